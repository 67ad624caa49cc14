// Command render-loop is the Helm side of hack/bench render: it renders a chart many times in one process, on Helm's
// engine.
//
//	render-loop CHART COUNT [VALUES]
//
// The chart is read once. Each turn is what helm's own packages do between a chart in memory and a sorted
// manifest: dependencies, values, schema, templates, order.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "render-loop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: render-loop CHART COUNT [VALUES]")
	}
	path, count, valuesFiles := args[0], args[1], args[2:]
	turns, err := strconv.Atoi(count)
	if err != nil || turns < 1 {
		return fmt.Errorf("%q is no count", count)
	}
	chart, err := loader.Load(path)
	if err != nil {
		return err
	}
	given := map[string]any{}
	for _, file := range valuesFiles {
		if given, err = common.ReadValuesFile(file); err != nil {
			return err
		}
	}
	options := common.ReleaseOptions{Name: "rel", Namespace: "testns", Revision: 1, IsInstall: true}
	manifestBytes := 0
	began := time.Now()
	for range turns {
		if err := chartutil.ProcessDependencies(chart, given); err != nil {
			return err
		}
		values, err := commonutil.ToRenderValues(chart, given, options, common.DefaultCapabilities)
		if err != nil {
			return err
		}
		files, err := engine.Render(chart, values)
		if err != nil {
			return err
		}
		for name := range files {
			if strings.HasSuffix(name, "NOTES.txt") {
				delete(files, name)
			}
		}
		_, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
		if err != nil {
			return err
		}
		var manifest strings.Builder
		for _, document := range manifests {
			fmt.Fprintf(&manifest, "---\n# Source: %s\n%s\n", document.Name, document.Content)
		}
		manifestBytes = manifest.Len()
	}
	fmt.Printf("%.3f ms a render, %d bytes of manifest\n", time.Since(began).Seconds()*1e3/float64(turns), manifestBytes)
	return nil
}
