package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
)

// generate prints made-up cases: objects of many kinds, and patches that mostly fit them.
func generate(count int, seed uint64) error {
	for i := range count {
		m := maker{rand.New(rand.NewPCG(seed, uint64(i)))}
		c := m.oneCase()
		c.Name = fmt.Sprintf("generated %d/%d", seed, i)
		c = c.answered()
		// Kustomize stumbles here over objects that a JSON patch has bent out of their kind's shape.
		if strings.HasPrefix(c.Error, "updating name reference") {
			continue
		}
		if err := printCase(os.Stdout, c); err != nil {
			return err
		}
	}
	return nil
}

type maker struct{ *rand.Rand }

type object = map[string]any

func pick[T any](m maker, of ...T) T { return of[m.IntN(len(of))] }

func (m maker) oneIn(n int) bool { return m.IntN(n) == 0 }

var kinds = []string{"Deployment", "StatefulSet", "Pod", "CronJob", "Service", "ConfigMap", "ServiceAccount", "Widget", "ClusterRole"}

var apiVersions = map[string]string{
	"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Pod": "v1", "CronJob": "batch/v1", "Service": "v1",
	"ConfigMap": "v1", "ServiceAccount": "v1", "Widget": "example.com/v1", "ClusterRole": "rbac.authorization.k8s.io/v1",
}

func (m maker) oneCase() Case {
	var c Case
	seen := map[string]bool{}
	for range 1 + m.IntN(3) {
		made := m.object(pick(m, kinds...))
		meta := made["metadata"].(object)
		id := fmt.Sprint(made["kind"], meta["name"])
		if seen[id] {
			continue
		}
		seen[id] = true
		c.Objects = append(c.Objects, made)
	}
	for range 1 + m.IntN(2) {
		var p PostRenderer
		for range 1 + m.IntN(2) {
			p.Kustomize.Patches = append(p.Kustomize.Patches, m.patch(c.Objects))
		}
		c.PostRenderers = append(c.PostRenderers, p)
	}
	if m.oneIn(4) {
		c.CommonMetadata = &CommonMetadata{Labels: map[string]string{"team": pick(m, "a", "true", "5")}}
	}
	return c
}

func (m maker) object(kind string) object {
	meta := object{"name": pick(m, "web", "db")}
	if m.oneIn(3) {
		meta["namespace"] = pick(m, "apps", "default")
	}
	if m.oneIn(2) {
		meta["labels"] = object{"app": pick(m, "web", "db"), "n": pick(m, "1", "yes")}
	}
	if m.oneIn(4) {
		meta["annotations"] = object{"note": "a: b"}
	}
	if m.oneIn(6) {
		meta["finalizers"] = []any{"example.com/a", "example.com/b"}[:1+m.IntN(2)]
	}
	made := object{"apiVersion": apiVersions[kind], "kind": kind, "metadata": meta}
	m.body(made, kind, false)
	return made
}

// body adds what a kind has; in a patch any of it may be missing, null or directed.
func (m maker) body(made object, kind string, patch bool) {
	switch kind {
	case "Deployment", "StatefulSet", "Widget":
		spec := object{"template": object{"spec": m.podSpec(patch)}}
		if m.oneIn(2) {
			spec["replicas"] = m.IntN(5)
		}
		if m.oneIn(3) {
			spec["strategy"] = object{"type": "Recreate"}
		}
		if kind == "Widget" && m.oneIn(2) {
			spec["list"] = []any{object{"name": "a", "x": m.IntN(9)}, "text", 5}
		}
		made["spec"] = spec
	case "Pod":
		made["spec"] = m.podSpec(patch)
	case "CronJob":
		made["spec"] = object{"schedule": "0 0 * * *", "jobTemplate": object{"spec": object{"template": object{"spec": m.podSpec(patch)}}}}
	case "Service":
		made["spec"] = object{"ports": m.ports("port", patch), "selector": object{"app": pick(m, "web", "db")}}
	case "ConfigMap":
		made["data"] = object{pick(m, "a", "b"): pick(m, "one", "two\nlines\n", "yes", " x", "1"), "c": "d"}
	case "ServiceAccount":
		made["secrets"] = []any{object{"name": pick(m, "x", "y")}}
		made["imagePullSecrets"] = []any{object{"name": pick(m, "x", "y")}}
	case "ClusterRole":
		made["rules"] = []any{object{"apiGroups": []any{""}, "resources": []any{pick(m, "pods", "nodes")}, "verbs": []any{"get"}}}
	}
}

func (m maker) podSpec(patch bool) object {
	spec := object{"containers": m.named(patch, func() object { return m.container(patch) })}
	if m.oneIn(4) {
		spec["initContainers"] = m.named(patch, func() object { return m.container(patch) })
	}
	if m.oneIn(2) {
		spec["volumes"] = m.named(patch, func() object {
			return pick(m, object{"emptyDir": object{}}, object{"configMap": object{"name": "web"}}, object{"secret": object{"secretName": "s", "items": []any{object{"key": "a", "path": "b"}}}})
		})
	}
	if m.oneIn(3) {
		spec["tolerations"] = []any{object{"key": pick(m, "a", "b"), "operator": "Exists"}}
	}
	if m.oneIn(4) {
		spec["imagePullSecrets"] = m.named(patch, func() object { return object{} })
	}
	if m.oneIn(5) {
		spec["topologySpreadConstraints"] = []any{object{"topologyKey": pick(m, "zone", "host"), "whenUnsatisfiable": pick(m, "DoNotSchedule", "ScheduleAnyway"), "maxSkew": 1 + m.IntN(3)}}
	}
	if m.oneIn(5) {
		spec["hostAliases"] = []any{object{"ip": pick(m, "10.0.0.1", "10.0.0.2"), "hostnames": []any{pick(m, "a", "b")}}}
	}
	if m.oneIn(3) {
		spec["securityContext"] = object{"runAsUser": m.IntN(3), "runAsNonRoot": m.oneIn(2)}
	}
	if patch {
		m.disturb(spec)
	}
	return spec
}

func (m maker) container(patch bool) object {
	c := object{"image": pick(m, "nginx:1.2", "r.example.com:5000/app@sha256:abc", "busybox")}
	if m.oneIn(2) {
		c["env"] = m.named(patch, func() object {
			return pick(m, object{"value": pick(m, "x", "true", "1")}, object{"valueFrom": object{"fieldRef": object{"fieldPath": "a"}}})
		})
	}
	if m.oneIn(2) {
		c["ports"] = m.ports("containerPort", patch)
	}
	if m.oneIn(3) {
		c["args"] = []any{"-a", pick(m, "b", "c")}
	}
	if m.oneIn(3) {
		c["resources"] = object{"limits": object{"cpu": pick(m, "1", "500m")}, "requests": object{"memory": "1Gi"}}
	}
	if m.oneIn(3) {
		c["volumeMounts"] = []any{object{"mountPath": pick(m, "/a", "/b"), "name": "v"}}
	}
	if patch {
		m.disturb(c)
	}
	return c
}

// named makes a list of elements that differ in their names.
func (m maker) named(patch bool, make func() object) []any {
	var list []any
	for _, name := range []string{"a", "b", "c"} {
		if m.oneIn(2) {
			continue
		}
		element := make()
		element["name"] = name
		if patch && m.oneIn(8) {
			element = object{"name": name, "$patch": pick(m, "delete", "replace", "merge")}
		}
		list = append(list, element)
	}
	if len(list) == 0 {
		element := make()
		element["name"] = "a"
		list = append(list, element)
	}
	m.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	if patch && m.oneIn(15) {
		list = append(list, object{"$patch": pick(m, "replace", "delete", "merge")})
	}
	return list
}

func (m maker) ports(key string, patch bool) []any {
	var list []any
	seen := map[string]bool{}
	for range 1 + m.IntN(3) {
		port := object{key: pick(m, 80, 443, 8080)}
		if !m.oneIn(3) {
			port["protocol"] = pick(m, "TCP", "UDP")
		}
		if m.oneIn(2) {
			port["name"] = pick(m, "http", "https", "x")
		}
		id := fmt.Sprint(port[key], port["protocol"])
		if !seen[id] {
			seen[id] = true
			list = append(list, port)
		}
	}
	if patch && m.oneIn(12) {
		list = append(list, object{"$patch": "replace"})
	}
	return list
}

// disturb takes fields away, nulls them, or directs the table.
func (m maker) disturb(table object) {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		switch {
		case m.oneIn(3):
			delete(table, key)
		case m.oneIn(8):
			table[key] = nil
		}
	}
	if m.oneIn(15) {
		table["$patch"] = pick(m, "replace", "merge", "delete")
	}
}

func (m maker) patch(objects []object) Patch {
	victim := pick(m, objects...)
	kind, meta := victim["kind"].(string), victim["metadata"].(object)
	if m.oneIn(3) {
		return Patch{Patch: m.operations(victim), Target: m.target(victim)}
	}
	made := object{"apiVersion": victim["apiVersion"], "kind": kind, "metadata": object{"name": meta["name"]}}
	patchMeta := made["metadata"].(object)
	m.body(made, kind, true)
	if m.oneIn(2) {
		patchMeta["labels"] = object{"app": pick(m, any("web"), any(nil)), "new": "1"}
	}
	if m.oneIn(5) {
		patchMeta["annotations"] = pick(m, any(object{"note": "x"}), any(nil))
	}
	if m.oneIn(8) {
		patchMeta["finalizers"] = []any{"example.com/c"}
	}
	if m.oneIn(20) {
		made["$patch"] = "delete"
	}
	var target *Selector
	if m.oneIn(2) {
		target = m.target(victim)
		// Nulls in labels mean something else under a target; see DIFFERENCES.md.
		patchMeta["labels"], patchMeta["annotations"] = object{"new": "1"}, object{"note": "y"}
		if m.oneIn(2) {
			patchMeta["name"], made["kind"] = "any", "Any"
		}
	} else if namespace, found := meta["namespace"]; found && !m.oneIn(8) {
		patchMeta["namespace"] = namespace
	}
	text, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		panic(err)
	}
	return Patch{Patch: string(text), Target: target}
}

func (m maker) target(victim object) *Selector {
	var s Selector
	meta := victim["metadata"].(object)
	if m.oneIn(2) {
		s.Kind = pick(m, victim["kind"].(string), "Deploy.*|Pod", "Nothing")
	}
	if m.oneIn(3) {
		s.Name = pick(m, meta["name"].(string), "w.*", "e", "")
	}
	if m.oneIn(5) {
		s.Namespace = pick(m, "default", "apps", "a.*", "_non_namespaceable_")
	}
	if m.oneIn(5) {
		s.Group = pick(m, "apps", "", "batch")
	}
	if m.oneIn(6) {
		s.LabelSelector = pick(m, "app=web", "app in (web,db),n", "!app", "app!=web")
	}
	if m.oneIn(8) {
		s.AnnotationSelector = pick(m, "note", "!note")
	}
	return &s
}

func (m maker) operations(victim object) string {
	var paths []string
	walk("", victim, &paths)
	var operations []object
	for range 1 + m.IntN(3) {
		path := pick(m, paths...)
		value := pick(m, any("x"), any(5), any(nil), any(object{"a": "b"}), any([]any{"c"}))
		switch m.IntN(6) {
		case 0:
			if m.oneIn(2) {
				path += "/new"
			}
			operations = append(operations, object{"op": "add", "path": path, "value": value})
		case 1:
			operations = append(operations, object{"op": "remove", "path": path})
		case 2:
			if m.oneIn(4) {
				path += "/new"
			}
			operations = append(operations, object{"op": "replace", "path": path, "value": value})
		case 3:
			operations = append(operations, object{"op": "move", "from": path, "path": pick(m, paths...)})
		case 4:
			operations = append(operations, object{"op": "copy", "from": path, "path": pick(m, "/metadata/labels/copied", "/spec/copied", pick(m, paths...))})
		case 5:
			operations = append(operations, object{"op": "test", "path": path, "value": value}, object{"op": "add", "path": "/metadata/annotations/tested", "value": "yes"})
		}
	}
	text, err := json.Marshal(operations)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// walk collects the paths of an object, but for what makes its identity.
func walk(path string, value any, into *[]string) {
	switch path {
	case "/metadata/name", "/metadata/namespace", "/metadata", "/kind", "/apiVersion":
	default:
		if path != "" {
			*into = append(*into, path)
		}
	}
	switch value := value.(type) {
	case object:
		keys := make([]string, 0, len(value))
		for key := range value {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			walk(path+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), value[key], into)
		}
	case []any:
		*into = append(*into, path+"/-", path+"/-1")
		for i, item := range value {
			walk(path+"/"+strconv.Itoa(i), item, into)
		}
	}
}
