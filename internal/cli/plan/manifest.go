package plan

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// The Workspace of a manifest, with its fields in the order in which people write them.
type (
	manifestMeta struct {
		Name        string            `yaml:"name"`
		Annotations map[string]string `yaml:"annotations,omitempty"`
	}
	manifestWorkspace struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   manifestMeta      `yaml:"metadata"`
		Resource   manifestResource  `yaml:"resource"`
		Inference  manifestInference `yaml:"inference"`
	}
	manifestResource struct {
		InstanceType  string `yaml:"instanceType,omitempty"`
		LabelSelector struct {
			MatchLabels      map[string]string    `yaml:"matchLabels,omitempty"`
			MatchExpressions []manifestExpression `yaml:"matchExpressions,omitempty"`
		} `yaml:"labelSelector"`
	}
	manifestExpression struct {
		Key      string   `yaml:"key"`
		Operator string   `yaml:"operator"`
		Values   []string `yaml:"values,omitempty"`
	}
	manifestInference struct {
		Preset manifestMeta `yaml:"preset"`
	}
)

// writeManifest prints the Workspace of a plan, with annotations for what the plan has been
// asked for.
func (o options) writeManifest(w io.Writer, m model.Model, p sizing.Plan) error {
	name := workspaceName(m.ID)
	ws := manifestWorkspace{
		APIVersion: "kaito.sh/v1alpha1", Kind: v1beta1.WorkspaceKind, Metadata: manifestMeta{Name: name, Annotations: map[string]string{}},
		Inference: manifestInference{Preset: manifestMeta{Name: m.ID}},
	}
	if err := o.place(&ws.Resource, name, p); err != nil {
		return err
	}
	if wish := p.Wishes[p.Engine]; wish.Context > 0 {
		ws.Metadata.Annotations[v1beta1.AnnotationContext] = strconv.Itoa(wish.Context)
	}
	if wish := p.Wishes[p.Engine]; wish.Slots > 0 {
		ws.Metadata.Annotations[v1beta1.AnnotationConcurrency] = strconv.Itoa(wish.Slots)
	}
	e := yaml.NewEncoder(w)
	const indent = 2
	e.SetIndent(indent)
	if err := e.Encode(ws); err != nil {
		return fmt.Errorf("write the Workspace: %w", err)
	}
	return e.Close()
}

// place says on which nodes: of the type of the plan, or of the user's own with the labels
// that were asked for.
func (o options) place(r *manifestResource, name string, p sizing.Plan) error {
	if !o.own {
		r.InstanceType = p.Type.Name
		r.LabelSelector.MatchLabels = map[string]string{"apps": name}
		return nil
	}
	selector, err := metav1.ParseToLabelSelector(o.selector)
	if err != nil {
		return fmt.Errorf("read the selector %q: %w", o.selector, err)
	}
	r.LabelSelector.MatchLabels = selector.MatchLabels
	for _, e := range selector.MatchExpressions {
		r.LabelSelector.MatchExpressions = append(r.LabelSelector.MatchExpressions, manifestExpression{e.Key, string(e.Operator), e.Values})
	}
	return nil
}

// workspaceName makes a name that a Workspace may have of a model's id.
func workspaceName(id string) string {
	const most = 52
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
