package main

import (
	"fmt"
	"sort"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/openapi/kubernetesapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// printKeys prints the part of Kustomize's OpenAPI document that decides how a patch is merged: the kinds, and of each
// type the fields below which a list is merged by key.
func printKeys() error {
	// The first look-up loads the document.
	openapi.SchemaForResourceType(yaml.TypeMeta{APIVersion: "v1", Kind: "Pod"})
	definitions := spec.Definitions{}
	for name, definition := range openapi.Schema().Definitions {
		// The kinds of Kustomize's own files are there too.
		if !strings.HasSuffix(name, ".Kustomization") {
			definitions[name] = definition
		}
	}
	types := map[string]map[string]field{}
	for name, definition := range definitions {
		types[name] = fields(definition)
	}
	matters := reach(types)

	fmt.Printf("# Kubernetes %s, as built into sigs.k8s.io/kustomize/kyaml v0.21.1.\n", kubernetesapi.DefaultOpenAPI)
	fmt.Println("# Written by hack/oracle-kustomize; src/postrender/keys.rs tells what the lines mean.")
	var lines []string
	for name, definition := range definitions {
		kinds, _ := definition.Extensions["x-kubernetes-group-version-kind"].([]any)
		for _, kind := range kinds {
			kind := kind.(map[string]any)
			apiVersion := strings.TrimPrefix(fmt.Sprintf("%v/%v", kind["group"], kind["version"]), "/")
			scope := ""
			meta := yaml.TypeMeta{APIVersion: apiVersion, Kind: kind["kind"].(string)}
			if openapi.IsCertainlyClusterScoped(meta) {
				scope = " cluster"
			}
			if !matters[name] && scope == "" {
				continue
			}
			lines = append(lines, fmt.Sprintf("kind %s %s %s%s", apiVersion, kind["kind"], short(name), scope))
		}
	}
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, "\n"))
	for _, name := range sorted(types) {
		if !matters[name] {
			continue
		}
		fmt.Printf("type %s\n", short(name))
		for _, key := range sorted(types[name]) {
			f := types[name][key]
			switch {
			case f.merged:
				fmt.Println(strings.TrimRight(fmt.Sprintf("  %s [%s] %s", key, strings.Join(f.keys, ","), kept(f.to, matters)), " "))
			case matters[f.to]:
				fmt.Printf("  %s %s\n", key, short(f.to))
			}
		}
	}
	return nil
}

// field says what lies below a field: a type, or a list that is merged, of that type.
type field struct {
	merged bool
	keys   []string
	to     string
}

func fields(definition spec.Schema) map[string]field {
	found := map[string]field{}
	for name, property := range definition.Properties {
		schema := openapi.ResourceSchema{Schema: &property}
		strategy, keys := schema.PatchStrategyAndKeyList()
		switch {
		case strings.Contains(strategy, "merge") && property.Items != nil:
			found[name] = field{merged: true, keys: keys, to: target(*property.Items.Schema)}
		default:
			found[name] = field{to: target(property)}
		}
	}
	if definition.AdditionalProperties != nil && definition.AdditionalProperties.Schema != nil {
		found["*"] = field{to: target(*definition.AdditionalProperties.Schema)}
	}
	return found
}

func target(schema spec.Schema) string {
	return strings.TrimPrefix(schema.Ref.String(), "#/definitions/")
}

// reach tells which types lead to a merged list.
func reach(types map[string]map[string]field) map[string]bool {
	matters := map[string]bool{}
	for grown := true; grown; {
		grown = false
		for name, fields := range types {
			for _, f := range fields {
				if !matters[name] && (f.merged || matters[f.to]) {
					matters[name], grown = true, true
				}
			}
		}
	}
	return matters
}

func kept(name string, matters map[string]bool) string {
	if matters[name] {
		return short(name)
	}
	return ""
}

func short(name string) string {
	parts := strings.Split(name, ".")
	return strings.Join(parts[max(0, len(parts)-3):], ".")
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
