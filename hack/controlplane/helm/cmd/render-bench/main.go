// Command render-bench is the Helm side of hack/bench render, and its stopwatch.
//
//	render-bench loop CHART COUNT [VALUES]   renders a chart COUNT times in one process, on Helm's engine
//	render-bench measure COUNT COMMAND...    runs a command COUNT times, its output thrown away
//
// The loop reads the chart once. Each turn is what helm's own packages do between a chart in memory and a sorted
// manifest: dependencies, values, schema, templates, order.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
		fmt.Fprintln(os.Stderr, "render-bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("usage: render-bench loop CHART COUNT [VALUES] | measure COUNT COMMAND...")
	}
	switch args[0] {
	case "loop":
		return loop(args[1], args[2], args[3:])
	case "measure":
		return measure(args[1], args[2:])
	}
	return fmt.Errorf("there is no command %q", args[0])
}

func loop(path, count string, valuesFiles []string) error {
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

// measure prints the medians of wall time and of CPU time, and the largest memory. What the command prints goes
// nowhere, unless it runs once only.
func measure(count string, command []string) error {
	turns, err := strconv.Atoi(count)
	if err != nil || turns < 1 {
		return fmt.Errorf("%q is no count", count)
	}
	var walls, cpus []time.Duration
	var peakKiB int64
	for range turns {
		child := exec.Command(command[0], command[1:]...)
		child.Stderr = os.Stderr
		if turns == 1 {
			child.Stdout = os.Stdout
		}
		began := time.Now()
		if err := child.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
		walls = append(walls, time.Since(began))
		cpus = append(cpus, child.ProcessState.UserTime()+child.ProcessState.SystemTime())
		if usage, ok := child.ProcessState.SysUsage().(*syscall.Rusage); ok {
			peakKiB = max(peakKiB, usage.Maxrss)
		}
	}
	fmt.Printf("wall %s ms  CPU %s ms  peak %.1f MiB\n", median(walls), median(cpus), float64(peakKiB)/1024)
	return nil
}

func median(times []time.Duration) string {
	slices.Sort(times)
	return fmt.Sprintf("%.1f (least %.1f)", milliseconds(times[len(times)/2]), milliseconds(times[0]))
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
