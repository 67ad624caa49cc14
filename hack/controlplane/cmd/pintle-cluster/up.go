package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type upOptions struct {
	stagesDir    string
	audit        bool
	etcdQuotaMiB int64
}

const startTimeout = 90 * time.Second

// up starts every part, waits until a Pod could run, and stops everything again if one part fails.
func (i *instance) up(options upOptions) error {
	began := time.Now()
	unlock, err := i.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if processes := i.processes(); len(processes) > 0 {
		dead := []string{}
		for _, p := range processes {
			if !p.alive() {
				dead = append(dead, p.name)
			}
		}
		if len(dead) == 0 {
			*i = *openInstance(i.dir, i.tools)
			if _, err := os.Stat(i.path("audit.log")); options.audit && err != nil {
				return fmt.Errorf("%s is already up, but without --audit; run hack/cluster down --name %s first", i.name(), i.name())
			}
			fmt.Printf("%s is already up: %s\n", i.name(), i.addresses())
			return nil
		}
		if len(dead) < len(processes) {
			return fmt.Errorf("%s is half up (stopped: %s); see %s, then run hack/cluster start %s --name %s, or down", i.name(), strings.Join(dead, ", "), i.path("logs"), strings.Join(dead, " "), i.name())
		}
	}
	// All dead: a reboot or an earlier failure. Nothing in the folder is of use any more.
	if err := os.RemoveAll(i.dir); err != nil {
		return err
	}
	if err := i.prepare(options); err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		_ = i.stopAll()
		os.Exit(130)
	}()
	if err := i.startAll(options); err != nil {
		// The logs stay until the next up or down.
		_ = i.stopAll()
		return err
	}
	fmt.Printf("%s is up in %.1f s: Kubernetes %s, etcd %s (without fsync), KWOK %s, distribution %s; %s\n",
		i.name(), time.Since(began).Seconds(), kubernetesVersion, etcdVersion, kwokVersion, registryVersion, i.addresses())
	return nil
}

func (i *instance) prepare(options upOptions) error {
	for _, folder := range []string{"logs", "pids", "commands", "pki", "git", "charts", "registry", "registry-auth", "faults"} {
		if err := os.MkdirAll(i.path(folder), 0o755); err != nil {
			return err
		}
	}
	if err := i.choosePorts(); err != nil {
		return err
	}
	if err := i.writePKI(); err != nil {
		return err
	}
	if err := i.joinStages(options.stagesDir); err != nil {
		return err
	}
	policy := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
	return os.WriteFile(i.path("audit-policy.yaml"), []byte(policy), 0o644)
}

// joinStages makes the one file that KWOK wants of the folder of stages.
func (i *instance) joinStages(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no KWOK stages in %q", dir)
	}
	var joined bytes.Buffer
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&joined, "---\n# %s\n%s\n", filepath.Base(file), data)
	}
	return os.WriteFile(i.path("kwok.yaml"), joined.Bytes(), 0o644)
}

func (i *instance) startAll(options upOptions) error {
	pki := func(file string) string { return i.path("pki", file) }
	apiServerArgs := i.apiServerArgs(i.etcdURL(), i.ports.APIServer)
	if options.audit {
		apiServerArgs = append(apiServerArgs, "--audit-policy-file="+i.path("audit-policy.yaml"), "--audit-log-path="+i.path("audit.log"),
			// One file: a test that counts requests must not meet a rotation.
			"--audit-log-maxsize=4000")
	}
	if err := i.start("etcd", i.tools.kube, "etcd", "--data-dir="+i.path("etcd"), "--client-url="+i.etcdURL(),
		"--peer-url=http://"+address(i.ports.EtcdPeer), fmt.Sprintf("--quota-backend-bytes=%d", options.etcdQuotaMiB<<20)); err != nil {
		return err
	}
	if err := i.start("kube-apiserver", i.tools.kube, apiServerArgs...); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := i.start("services", self, "serve", "--state="+i.dir); err != nil {
		return err
	}
	client, err := i.apiClient("admin")
	if err != nil {
		return err
	}
	if err := i.waitFor("kube-apiserver", func() error { return client.do(http.MethodGet, "/readyz", "", nil, nil) }); err != nil {
		return err
	}
	if err := i.start("kube-controller-manager", i.tools.kube, "kube-controller-manager",
		"--kubeconfig="+pki("controller-manager.kubeconfig"),
		"--service-account-private-key-file="+pki("service-account.key"),
		"--root-ca-file="+pki("ca.crt"),
		"--cluster-signing-cert-file="+pki("ca.crt"),
		"--cluster-signing-key-file="+pki("ca.key"),
		"--leader-elect=false",
		"--secure-port=0",
		// Nodes are never unreachable here, but a busy machine could make them look so and evict Pods.
		"--controllers=*,-node-lifecycle-controller,-node-route-controller,-cloud-node-lifecycle-controller,-service-lb-controller",
		"--pvclaimbinder-sync-period=2s",
		"--kube-api-qps=1000", "--kube-api-burst=2000"); err != nil {
		return err
	}
	if err := i.start("kube-scheduler", i.tools.kube, "kube-scheduler",
		"--kubeconfig="+pki("scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0",
		"--kube-api-qps=1000", "--kube-api-burst=2000"); err != nil {
		return err
	}
	if err := i.createBasics(client); err != nil {
		return err
	}
	if err := i.start("kwok", i.tools.kwok, "--kubeconfig="+pki("kwok.kubeconfig"), "--config="+i.path("kwok.yaml"),
		"--manage-all-nodes=true", "--node-lease-duration-seconds=0", "--cidr=10.244.0.0/16"); err != nil {
		return err
	}
	if err := i.waitFor("kube-controller-manager", func() error {
		return client.do(http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", "", nil, nil)
	}); err != nil {
		return err
	}
	return i.waitFor("services", func() error {
		for _, port := range []int{i.ports.Registry, i.ports.RegistryAuth, i.ports.RegistryTLS, i.ports.Git, i.ports.GitTLS, i.ports.Kubelet} {
			connection, err := net.Dial("tcp", address(port))
			if err != nil {
				return err
			}
			connection.Close()
		}
		return nil
	})
}

func (i *instance) apiServerArgs(etcdURL string, port int) []string {
	pki := func(file string) string { return i.path("pki", file) }
	return []string{
		"kube-apiserver",
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		// Nothing reaches the API server through the Service `kubernetes`: there is no Pod network. A made-up
		// address keeps the start independent of the machine's network.
		"--advertise-address=192.0.2.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + pki("serving.crt"),
		"--tls-private-key-file=" + pki("serving.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("kubelet-client.crt"),
		"--kubelet-client-key=" + pki("kubelet-client.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + pki("service-account.key"),
		"--service-account-key-file=" + pki("service-account.key"),
		"--authorization-mode=Node,RBAC",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged",
	}
}

// waitFor asks until the answer is good, and gives up at once when any part has died.
func (i *instance) waitFor(part string, ready func() error) error {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		err := ready()
		if err == nil {
			return nil
		}
		for _, p := range i.processes() {
			if !p.alive() {
				return fmt.Errorf("%s stopped while starting; the end of its log:\n%s", p.name, i.logTail(p.name))
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s: %w; the end of its log:\n%s", part, startTimeout, err, i.logTail(part))
		}
	}
}

// createBasics makes the nodes and the default StorageClass. The nodes' status is written here once; KWOK plays their Pods.
func (i *instance) createBasics(client *apiClient) error {
	for number := 1; number <= 3; number++ {
		name := fmt.Sprintf("node-%d", number)
		node := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": %q, "labels":
			{"kubernetes.io/hostname": %q, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok"}}}`, name, name)
		if err := client.do(http.MethodPost, "/api/v1/nodes", "application/json", []byte(node), nil); err != nil {
			return err
		}
		// Admission taints a new node as not ready; the controller that would take it off is not running.
		if err := client.do(http.MethodPatch, "/api/v1/nodes/"+name, "application/merge-patch+json", []byte(`{"spec": {"taints": null}}`), nil); err != nil {
			return err
		}
		status, err := json.Marshal(map[string]any{"status": i.nodeStatus(name)})
		if err != nil {
			return err
		}
		if err := client.do(http.MethodPatch, "/api/v1/nodes/"+name+"/status", "application/merge-patch+json", status, nil); err != nil {
			return err
		}
	}
	class := `{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
		"metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
		"provisioner": "pintle.dev/simulated", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}`
	return client.do(http.MethodPost, "/apis/storage.k8s.io/v1/storageclasses", "application/json", []byte(class), nil)
}

func (i *instance) nodeStatus(name string) map[string]any {
	now := time.Now().UTC().Format(time.RFC3339)
	room := map[string]string{"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "5000"}
	return map[string]any{
		"capacity":    room,
		"allocatable": room,
		"addresses":   []any{map[string]any{"type": "InternalIP", "address": "127.0.0.1"}, map[string]any{"type": "Hostname", "address": name}},
		// `kubectl logs` ends up there: see kubelet.go.
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": i.ports.Kubelet}},
		"nodeInfo": map[string]any{
			"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": kubernetesVersion,
			"containerRuntimeVersion": "kwok://" + kwokVersion, "osImage": "simulated", "kernelVersion": "", "kubeProxyVersion": "",
			"machineID": "", "systemUUID": "", "bootID": "",
		},
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated",
			"lastHeartbeatTime": now, "lastTransitionTime": now,
		}},
	}
}

// down stops what runs and removes the folder.
func (i *instance) down() error {
	unlock, err := i.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(i.dir); errors.Is(err, fs.ErrNotExist) {
		fmt.Printf("%s is down\n", i.name())
		return nil
	}
	if err := i.stopAll(); err != nil {
		return err
	}
	if err := os.RemoveAll(i.dir); err != nil {
		return err
	}
	fmt.Printf("%s is down, its state is removed\n", i.name())
	return nil
}

func (i *instance) stopAll() error {
	var failures []error
	for _, p := range i.processes() {
		if err := p.stop(); err != nil {
			failures = append(failures, err)
			continue
		}
		_ = os.Remove(i.path("pids", p.name))
	}
	return errors.Join(failures...)
}

// apiClient speaks the few REST calls that this program needs.
type apiClient struct {
	base string
	http *http.Client
}

func (i *instance) apiClient(identity string) (*apiClient, error) {
	transport, err := i.clientTransport(identity)
	if err != nil {
		return nil, err
	}
	return &apiClient{base: "https://" + address(i.ports.APIServer), http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

// do sends one request and reads the answer into `answer`, if there is one to read into.
func (c *apiClient) do(method, path, contentType string, body []byte, answer any) error {
	request, err := http.NewRequest(method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return &apiError{status: response.StatusCode, text: fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, strings.TrimSpace(string(data)))}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}

type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string { return e.text }
