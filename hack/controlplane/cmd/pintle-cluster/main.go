// Pintle-cluster starts and stops one instance of the test cluster: a real Kubernetes control plane
// whose nodes are simulated by KWOK, an OCI registry with and without login, and a Git server.
//
// `hack/cluster` builds this program and the ones it starts, and is what people call. All state of an
// instance is one folder; everything listens on 127.0.0.1; nothing is found or stopped by name.
package main

import (
	"flag"
	"fmt"
	"os"
)

const usage = "usage: pintle-cluster (up|down|status|env|kill|start|api-server|serve) --state FOLDER [flags] [PART...]"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	stateDir := flags.String("state", "", "folder that holds everything of this instance")
	tools := toolPaths{}
	flags.StringVar(&tools.kube, "kube", "", "path of kube")
	flags.StringVar(&tools.kwok, "kwok", "", "path of kwok")
	flags.StringVar(&tools.kubectl, "kubectl", "", "path of kubectl")
	flags.StringVar(&tools.helm, "helm", "", "path of helm")
	stagesDir := flags.String("stages", "", "folder of KWOK stages (up)")
	audit := flags.Bool("audit", false, "have the API server write an audit log (up)")
	etcdQuotaMiB := flags.Int64("etcd-quota-mib", 8<<10, "size of etcd's data from which on it refuses writes (up)")
	etcdURL := flags.String("etcd", "", "how the other API server reaches etcd (api-server)")
	if err := flags.Parse(os.Args[2:]); err != nil || *stateDir == "" {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	instance := openInstance(*stateDir, tools)
	up := upOptions{stagesDir: *stagesDir, audit: *audit, etcdQuotaMiB: *etcdQuotaMiB}
	run := map[string]func() error{
		"up":         func() error { return instance.up(up) },
		"down":       instance.down,
		"status":     instance.status,
		"env":        instance.env,
		"kill":       func() error { return instance.kill(flags.Args()) },
		"start":      func() error { return instance.startAgain(flags.Args()) },
		"api-server": func() error { return instance.otherAPIServer(*etcdURL) },
		"serve":      instance.serve,
	}[os.Args[1]]
	if run == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "hack/cluster %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
