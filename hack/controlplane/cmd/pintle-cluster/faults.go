package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
)

const apiServer, otherAPIServer = "kube-apiserver", "kube-apiserver-2"

// kill ends parts as a crash would. They count as stopped until they are started again.
func (i *instance) kill(names []string) error {
	unlock, err := i.lock()
	if err != nil {
		return err
	}
	defer unlock()
	parts, err := i.parts(names)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := part.stop(); err != nil {
			return err
		}
	}
	return nil
}

// startAgain starts parts that were killed as they were started before, with the data they left.
func (i *instance) startAgain(names []string) error {
	unlock, err := i.lock()
	if err != nil {
		return err
	}
	defer unlock()
	parts, err := i.parts(names)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if part.alive() {
			return fmt.Errorf("%s is running", part.name)
		}
		line, err := os.ReadFile(i.path("commands", part.name))
		if err != nil {
			return err
		}
		var command []string
		if err := json.Unmarshal(line, &command); err != nil || len(command) == 0 {
			return fmt.Errorf("%s holds no command: %s", i.path("commands", part.name), line)
		}
		if err := i.start(part.name, command[0], command[1:]...); err != nil {
			return err
		}
	}
	if !slices.Contains(names, apiServer) {
		return nil
	}
	return i.waitForAPIServer(apiServer, i.ports.APIServer)
}

// parts are the processes of these names, in this order.
func (i *instance) parts(names []string) ([]process, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no part is named; hack/cluster status --name %s lists them", i.name())
	}
	known := i.processes()
	var parts []process
	for _, name := range names {
		index := slices.IndexFunc(known, func(p process) bool { return p.name == name })
		if index < 0 {
			return nil, fmt.Errorf("%s has no part %q; hack/cluster status --name %s lists them", i.name(), name, i.name())
		}
		parts = append(parts, known[index])
	}
	return parts, nil
}

// otherAPIServer starts a second API server of the same cluster, which reaches etcd at this address: behind something
// that can hold the bytes back, it lags behind the first. It prints the path of its kubeconfig.
func (i *instance) otherAPIServer(etcdURL string) error {
	unlock, err := i.lock()
	if err != nil {
		return err
	}
	defer unlock()
	kubeconfig, err := os.ReadFile(i.path("kubeconfig"))
	if err != nil {
		return fmt.Errorf("%s is down: %w", i.name(), err)
	}
	if etcdURL == "" {
		etcdURL = i.etcdURL()
	}
	if err := i.start(otherAPIServer, i.tools.kube, i.apiServerArgs(etcdURL, i.ports.OtherAPIServer)...); err != nil {
		return err
	}
	if err := i.waitForAPIServer(otherAPIServer, i.ports.OtherAPIServer); err != nil {
		return err
	}
	path := i.path("kubeconfig-2")
	first, other := []byte(address(i.ports.APIServer)), []byte(address(i.ports.OtherAPIServer))
	if err := os.WriteFile(path, bytes.ReplaceAll(kubeconfig, first, other), 0o600); err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

func (i *instance) waitForAPIServer(part string, port int) error {
	client, err := i.apiClient("admin")
	if err != nil {
		return err
	}
	client.base = "https://" + address(port)
	return i.waitFor(part, func() error { return client.do(http.MethodGet, "/readyz", "", nil, nil) })
}
