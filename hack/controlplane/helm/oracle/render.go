package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/sprig/v3"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/kube/fake"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	"helm.sh/helm/v4/pkg/strvals"
)

// renderFiles gives what each template printed, before it is split into documents.
func (c *Case) renderFiles() (map[string]string, error) {
	loaded, values, err := c.load()
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(loaded, values); err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	if c.KubeVersion != "" {
		parsed, err := common.ParseKubeVersion(c.KubeVersion)
		if err != nil {
			return nil, fmt.Errorf("invalid kube version '%s': %w", c.KubeVersion, err)
		}
		capabilities.KubeVersion = *parsed
	}
	options := common.ReleaseOptions{
		Name: "rel", Namespace: "testns", Revision: 1, IsInstall: !c.Upgrade, IsUpgrade: c.Upgrade,
	}
	scope, err := util.ToRenderValues(loaded, values, options, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(loaded, scope)
}

// template gives what `helm template rel CHART -n testns --include-crds` prints, and after it the notes.
func (c *Case) template() (string, error) {
	loaded, values, err := c.load()
	if err != nil {
		return "", err
	}
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return "", fmt.Errorf("%s charts are not installable", kind)
	}
	accessor, err := chart.NewAccessor(loaded)
	if err != nil {
		return "", err
	}
	if wanted := accessor.MetaDependencies(); len(wanted) > 0 {
		if err := action.CheckDependencies(loaded, wanted); err != nil {
			return "", err
		}
	}
	install := action.NewInstall(&action.Configuration{
		Releases:     storage.Init(driver.NewMemory()),
		KubeClient:   &fake.PrintingKubeClient{Out: io.Discard},
		Capabilities: common.DefaultCapabilities.Copy(),
	})
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName = "rel"
	install.Namespace = "testns"
	install.Replace = true
	install.IncludeCRDs = true
	install.IsUpgrade = c.Upgrade
	if c.KubeVersion != "" {
		if install.KubeVersion, err = common.ParseKubeVersion(c.KubeVersion); err != nil {
			return "", fmt.Errorf("invalid kube version '%s': %w", c.KubeVersion, err)
		}
	}
	result, err := install.Run(loaded, values)
	if err != nil {
		return "", err
	}
	rendered := result.(*release.Release)
	var out strings.Builder
	fmt.Fprintln(&out, strings.TrimSpace(rendered.Manifest))
	for _, hook := range rendered.Hooks {
		fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
		fmt.Fprintf(&out, "# %s %s %v %d %v\n", hook.Kind, hook.Name, hook.Events, hook.Weight, hook.DeletePolicies)
	}
	fmt.Fprintf(&out, "NOTES:\n%s", rendered.Info.Notes)
	return out.String(), nil
}

// load reads the chart, whose Chart.yaml may be left out, and the user's values.
func (c *Case) load() (*v2.Chart, map[string]any, error) {
	files := []*archive.BufferedFile{}
	if _, found := c.Files["Chart.yaml"]; !found {
		files = append(files, &archive.BufferedFile{
			Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: c\nversion: 1.2.3\nappVersion: \"4.5\"\n"),
		})
	}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		files = append(files, &archive.BufferedFile{Name: path, Data: []byte(c.Files[path])})
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, nil, err
	}
	values, err := loader.LoadValues(bytes.NewReader([]byte(c.Values)))
	if err != nil {
		return nil, nil, err
	}
	return loaded, values, c.set(values)
}

// set lays --set and its like over the values, in the order given.
func (c *Case) set(values map[string]any) error {
	for _, word := range c.Set {
		flag, line := word[0], word[1]
		var err error
		switch flag {
		case "set":
			err = strvals.ParseInto(line, values)
		case "set-string":
			err = strvals.ParseIntoString(line, values)
		case "set-json":
			err = strvals.ParseJSON(line, values)
		case "set-literal":
			err = strvals.ParseLiteralInto(line, values)
		case "set-file":
			content := func(path []rune) (any, error) { return "<" + string(path) + ">", nil }
			err = strvals.ParseIntoFile(line, values, content)
		default:
			err = fmt.Errorf("oracle: no flag --%s", flag)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setValues gives the values with their Go types.
func (c *Case) setValues() (string, error) {
	values, err := loader.LoadValues(bytes.NewReader([]byte(c.Values)))
	if err != nil {
		return "", err
	}
	if err := c.set(values); err != nil {
		return "", err
	}
	return fmt.Sprintf("%#v", values), nil
}

// readValues gives a values file as JSON.
func (c *Case) readValues() (string, error) {
	values, err := loader.LoadValues(bytes.NewReader([]byte(c.Values)))
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(values)
	return string(text), err
}

// functionNames gives Sprig's functions with their types, one a line.
func functionNames() string {
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		fmt.Fprintf(&out, "%s %T\n", name, functions[name])
	}
	return out.String()
}
