package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The login of the second registry and of everything below /auth/ on the Git server.
const (
	testUser     = "pintle"
	testPassword = "pintle-password"
)

type toolPaths struct{ kube, kwok, kubectl, helm string }

// ports of one instance, written once by up and read by everything else.
type ports struct {
	Etcd         int `json:"etcd"`
	EtcdPeer     int `json:"etcdPeer"`
	APIServer    int `json:"apiServer"`
	Kubelet      int `json:"kubelet"`
	Registry     int `json:"registry"`
	RegistryAuth int `json:"registryAuth"`
	Git          int `json:"git"`
	RegistryTLS  int `json:"registryTLS"`
	GitTLS       int `json:"gitTLS"`
	// Of the API server beside the first, where one is asked for.
	OtherAPIServer int `json:"otherAPIServer"`
}

// instance is one running (or not yet running) cluster; its folder is its identity.
type instance struct {
	dir   string
	tools toolPaths
	ports ports
}

func openInstance(dir string, tools toolPaths) *instance {
	i := &instance{dir: dir, tools: tools}
	if data, err := os.ReadFile(i.path("ports.json")); err == nil {
		// A file cut short by a crash reads as ports of zero; up then starts afresh.
		_ = json.Unmarshal(data, &i.ports)
	}
	return i
}

func (i *instance) name() string { return filepath.Base(i.dir) }
func (i *instance) path(parts ...string) string {
	return filepath.Join(append([]string{i.dir}, parts...)...)
}

// lock makes up and down of one instance wait for each other. It lies beside the folder, which down removes.
func (i *instance) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(i.dir), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(filepath.Dir(i.dir), "."+i.name()+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { file.Close() }, nil
}

// choosePorts picks free ports below the range from which the kernel takes ports for outgoing connections,
// so that nothing slips in between the check here and the bind of the process that gets the port.
func (i *instance) choosePorts() error {
	var listeners []net.Listener
	defer func() {
		for _, listener := range listeners {
			listener.Close()
		}
	}()
	p := &i.ports
	for _, port := range []*int{&p.Etcd, &p.EtcdPeer, &p.APIServer, &p.Kubelet, &p.Registry, &p.RegistryAuth, &p.RegistryTLS, &p.Git, &p.GitTLS, &p.OtherAPIServer} {
		for attempt := 0; ; attempt++ {
			candidate := 20000 + rand.IntN(12000)
			listener, err := net.Listen("tcp", address(candidate))
			if err == nil {
				listeners = append(listeners, listener)
				*port = candidate
				break
			}
			if attempt == 100 {
				return fmt.Errorf("no free port on 127.0.0.1: %w", err)
			}
		}
	}
	data, err := json.MarshalIndent(i.ports, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(i.path("ports.json"), append(data, '\n'), 0o644)
}

func (i *instance) etcdURL() string { return "http://" + address(i.ports.Etcd) }

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (i *instance) status() error {
	processes := i.processes()
	if len(processes) == 0 {
		return fmt.Errorf("%s is down", i.name())
	}
	dead := 0
	for _, p := range processes {
		state := "running"
		if !p.alive() {
			state = "stopped"
			dead++
		}
		fmt.Printf("%-24s %-8s pid %d\n", p.name, state, p.pid)
	}
	if dead > 0 {
		return fmt.Errorf("%d of %d processes of %s stopped; their logs are in %s", dead, len(processes), i.name(), i.path("logs"))
	}
	fmt.Printf("%s is up: %s\n", i.name(), i.addresses())
	return nil
}

func (i *instance) addresses() string {
	return fmt.Sprintf("API server https://%s, registry %s (with login %s), Git and charts http://%s",
		address(i.ports.APIServer), address(i.ports.Registry), address(i.ports.RegistryAuth), address(i.ports.Git))
}

// env prints what a script needs, as shell: eval "$(hack/cluster env)".
func (i *instance) env() error {
	if _, err := os.Stat(i.path("kubeconfig")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is down: run hack/cluster up --name %s", i.name(), i.name())
	}
	for _, variable := range [][2]string{
		{"KUBECONFIG", i.path("kubeconfig")},
		{"KUBECTL", i.tools.kubectl},
		{"HELM", i.tools.helm},
		{"PINTLE_REGISTRY", address(i.ports.Registry)},
		{"PINTLE_REGISTRY_AUTH", address(i.ports.RegistryAuth)},
		{"PINTLE_REGISTRY_USER", testUser},
		{"PINTLE_REGISTRY_PASSWORD", testPassword},
		{"PINTLE_GIT", "http://" + address(i.ports.Git)},
		{"PINTLE_GIT_ROOT", i.path("git")},
		{"PINTLE_REGISTRY_TLS", address(i.ports.RegistryTLS)},
		{"PINTLE_GIT_TLS", "https://" + address(i.ports.GitTLS)},
		{"PINTLE_CA", i.path("pki", "ca.crt")},
		{"PINTLE_CHARTS", "http://" + address(i.ports.Git) + "/charts"},
		{"PINTLE_CHARTS_ROOT", i.path("charts")},
		{"PINTLE_ETCD", i.etcdURL()},
		{"PINTLE_CLUSTER_STATE", i.dir},
	} {
		fmt.Printf("export %s='%s'\n", variable[0], strings.ReplaceAll(variable[1], "'", `'\''`))
	}
	return nil
}
