package plan

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// The objects of a manifest, with their fields in the order in which people write them.
type (
	manifestMeta struct {
		Name string `yaml:"name"`
	}
	manifestConfig struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   manifestMeta      `yaml:"metadata"`
		Data       map[string]string `yaml:"data"`
	}
	manifestWorkspace struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   manifestMeta      `yaml:"metadata"`
		Resource   manifestResource  `yaml:"resource"`
		Inference  manifestInference `yaml:"inference"`
	}
	manifestResource struct {
		InstanceType  string `yaml:"instanceType"`
		LabelSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"labelSelector"`
	}
	manifestInference struct {
		Preset manifestMeta `yaml:"preset"`
		Config string       `yaml:"config,omitempty"`
	}
)

// writeManifest prints the Workspace of a plan, and before it the ConfigMap with what the
// plan has been asked for, where it was asked for anything.
func writeManifest(w io.Writer, m model.Model, p sizing.Plan) error {
	name := workspaceName(m.ID)
	ws := manifestWorkspace{
		APIVersion: "kaito.sh/v1alpha1", Kind: v1beta1.WorkspaceKind, Metadata: manifestMeta{name},
		Resource:  manifestResource{InstanceType: p.Type.Name},
		Inference: manifestInference{Preset: manifestMeta{m.ID}},
	}
	ws.Resource.LabelSelector.MatchLabels = map[string]string{"apps": name}
	e := yaml.NewEncoder(w)
	const indent = 2
	e.SetIndent(indent)
	if settings := settings(p); settings != "" {
		ws.Inference.Config = name + "-settings"
		config := manifestConfig{
			APIVersion: "v1", Kind: "ConfigMap", Metadata: manifestMeta{ws.Inference.Config},
			Data: map[string]string{v1beta1.ConfigKeyInference: settings},
		}
		if err := e.Encode(config); err != nil {
			return fmt.Errorf("write the ConfigMap: %w", err)
		}
	}
	if err := e.Encode(ws); err != nil {
		return fmt.Errorf("write the Workspace: %w", err)
	}
	return e.Close()
}

// settings are an inference_config.yaml with which the controller makes the same plan.
func settings(p sizing.Plan) string {
	wish := p.Wishes[p.Engine]
	if wish.Context == 0 && wish.Slots == 0 && wish.GPUs == 0 {
		return ""
	}
	lines := []string{p.Engine + ":"}
	set := func(flag string, n int) {
		if n > 0 {
			lines = append(lines, fmt.Sprintf("  %s: %d", flag, n))
		}
	}
	if p.Engine == vllm.Name {
		set("max-model-len", wish.Context)
		set("max-num-seqs", wish.Slots)
		set("tensor-parallel-size", wish.GPUs)
	} else {
		set("ctx-size", p.Context*p.Slots)
		set("parallel", p.Slots)
	}
	return strings.Join(lines, "\n") + "\n"
}

// workspaceName makes a name that a Workspace may have of a model's id.
func workspaceName(id string) string {
	const most = 52 - len("-settings")
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(id[strings.LastIndex(id, "/")+1:]))
	if name == "" || name[0] < 'a' {
		name = "model-" + name
	}
	return strings.Trim(name[:min(len(name), most)], "-")
}
