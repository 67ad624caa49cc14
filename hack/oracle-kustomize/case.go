package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// Case is objects, what is done to them, and what comes of it.
type Case struct {
	Name           string           `json:"name"`
	Objects        []map[string]any `json:"objects"`
	PostRenderers  []PostRenderer   `json:"postRenderers,omitempty"`
	CommonMetadata *CommonMetadata  `json:"commonMetadata,omitempty"`
	// Want is the text of each resulting object, as Helm stores it.
	Want []string `json:"want,omitempty"`
	// Error is Kustomize's message where it fails.
	Error string `json:"error,omitempty"`
}

// PostRenderer has the shape of Flux's spec.postRenderers.
type PostRenderer struct {
	Kustomize struct {
		Patches []Patch       `json:"patches,omitempty"`
		Images  []types.Image `json:"images,omitempty"`
	} `json:"kustomize"`
}

// Patch has the shape of Flux's kustomize.Patch.
type Patch struct {
	Patch  string    `json:"patch"`
	Target *Selector `json:"target,omitempty"`
}

// Selector has the shape of Flux's kustomize.Selector.
type Selector struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Name               string `json:"name,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
}

// CommonMetadata has the shape of Flux's spec.commonMetadata.
type CommonMetadata struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func printCase(out io.Writer, c Case) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(c)
}

func (c Case) answered() Case {
	c.Want, c.Error = nil, ""
	want, err := c.result()
	if err != nil {
		c.Error = err.Error()
	} else {
		c.Want = want
	}
	return c
}

// The annotation by which Helm finds the file of a document again.
const filename = "postrenderer.helm.sh/postrender-filename"

// result goes the way of a document through Helm's post-rendering with Flux's post-renderers.
func (c Case) result() (texts []string, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v", panicked)
		}
	}()
	var nodes []*kyaml.RNode
	for _, object := range c.Objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		parsed, err := kio.ParseAll(string(text))
		if err != nil {
			return nil, err
		}
		for _, node := range parsed {
			if err := node.PipeE(kyaml.SetAnnotation(filename, "a.yaml")); err != nil {
				return nil, err
			}
		}
		nodes = append(nodes, parsed...)
	}
	stream, err := kio.StringAll(nodes)
	if err != nil {
		return nil, err
	}
	for _, renderer := range c.PostRenderers {
		if stream, err = renderer.run(stream); err != nil {
			return nil, err
		}
	}
	if c.CommonMetadata != nil {
		if stream, err = c.CommonMetadata.run(stream); err != nil {
			return nil, err
		}
	}
	results, err := kio.ParseAll(stream)
	if err != nil {
		return nil, err
	}
	for _, node := range results {
		if err := node.PipeE(kyaml.ClearAnnotation(filename)); err != nil {
			return nil, err
		}
		text, err := kio.StringAll([]*kyaml.RNode{node})
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func (p PostRenderer) run(stream string) (string, error) {
	kustomization := types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: []string{"rendered.yaml"},
		Images:    p.Kustomize.Images,
	}
	for _, patch := range p.Kustomize.Patches {
		kustomization.Patches = append(kustomization.Patches, types.Patch{Patch: patch.Patch, Target: patch.Target.kustomize()})
	}
	text, err := json.Marshal(kustomization)
	if err != nil {
		return "", err
	}
	fs := filesys.MakeFsInMemory()
	if err := fs.WriteFile("rendered.yaml", []byte(stream)); err != nil {
		return "", err
	}
	if err := fs.WriteFile("kustomization.yaml", text); err != nil {
		return "", err
	}
	options := &krusty.Options{LoadRestrictions: types.LoadRestrictionsNone, PluginConfig: types.DisabledPluginConfig()}
	result, err := krusty.MakeKustomizer(options).Run(fs, ".")
	if err != nil {
		return "", err
	}
	output, err := result.AsYaml()
	return string(output), err
}

func (s *Selector) kustomize() *types.Selector {
	if s == nil {
		return nil
	}
	selector := &types.Selector{LabelSelector: s.LabelSelector, AnnotationSelector: s.AnnotationSelector}
	selector.Group, selector.Version, selector.Kind = s.Group, s.Version, s.Kind
	selector.Name, selector.Namespace = s.Name, s.Namespace
	return selector
}

func (m CommonMetadata) run(stream string) (string, error) {
	factory := resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory())
	resources, err := factory.NewResMapFromBytes(bytes.NewBufferString(stream).Bytes())
	if err != nil {
		return "", err
	}
	if m.Labels != nil {
		labels := builtins.LabelTransformerPlugin{
			Labels:     m.Labels,
			FieldSpecs: []types.FieldSpec{{Path: "metadata/labels", CreateIfNotPresent: true}},
		}
		if err := labels.Transform(resources); err != nil {
			return "", err
		}
	}
	if m.Annotations != nil {
		annotations := builtins.AnnotationsTransformerPlugin{
			Annotations: m.Annotations,
			FieldSpecs:  []types.FieldSpec{{Path: "metadata/annotations", CreateIfNotPresent: true}},
		}
		if err := annotations.Transform(resources); err != nil {
			return "", err
		}
	}
	output, err := resources.AsYaml()
	return string(output), err
}
