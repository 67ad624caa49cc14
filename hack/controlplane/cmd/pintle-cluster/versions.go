package main

import "runtime/debug"

// The versions come from go.mod by way of the build: one place says them.
// hack/cluster stamps the first three, as it stamps the programs they belong to.
var (
	kubernetesVersion = "unknown"
	etcdVersion       = "unknown"
	kwokVersion       = "unknown"
	registryVersion   = moduleVersion("github.com/distribution/distribution/v3")
)

func moduleVersion(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
