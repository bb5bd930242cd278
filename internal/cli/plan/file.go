package plan

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/sizing"
)

// manifest is what a file holds: one Workspace, and ConfigMaps by name.
type manifest struct {
	workspace *v1beta1.Workspace
	configs   map[string]*corev1.ConfigMap
}

// readManifest reads the documents of a file strictly: a field that does not exist is told.
func readManifest(name string, data []byte) (manifest, error) {
	m := manifest{configs: map[string]*corev1.ConfigMap{}}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var others []string
	for i := 1; ; i++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("manifest %q: %w", name, err)
		}
		kind, err := m.add(text)
		if err != nil {
			return m, fmt.Errorf("manifest %q, document %d: %w", name, i, err)
		}
		if kind != "" {
			others = append(others, kind)
		}
	}
	switch {
	case m.workspace != nil:
		return m, nil
	case len(others) > 0:
		return m, fmt.Errorf("manifest %q holds no Workspace of kaito.sh, but %s", name, some(others))
	}
	return m, fmt.Errorf("manifest %q holds no Workspace of kaito.sh", name)
}

// add takes one document, and names the kind of one that is not looked at.
func (m *manifest) add(text []byte) (other string, err error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return "", fmt.Errorf("is no object of Kubernetes: %w", err)
	}
	switch {
	case head.Kind == "" && len(bytes.TrimSpace(text)) == 0:
		return "", nil
	case head.Kind == v1beta1.WorkspaceKind && (head.APIVersion == "kaito.sh/v1alpha1" || head.APIVersion == "kaito.sh/v1beta1"):
		var ws v1beta1.Workspace
		if err := decode(text, v1beta1.WorkspaceKind, &ws, yaml.UnmarshalStrict); err != nil {
			return "", err
		}
		if m.workspace != nil {
			return "", fmt.Errorf("is a second Workspace, %q beside %q: plan one at a time", ws.Name, m.workspace.Name)
		}
		m.workspace = &ws
	case head.Kind == "ConfigMap" && head.APIVersion == "v1":
		var config corev1.ConfigMap
		if err := decode(text, head.Kind, &config, yaml.Unmarshal); err != nil {
			return "", err
		}
		m.configs[config.Name] = &config
	default:
		return fmt.Sprintf("%q of %q", head.Kind, head.APIVersion), nil
	}
	return "", nil
}

// decode reads an object of a kind.
func decode(text []byte, kind string, into any, read func([]byte, any, ...yaml.JSONOpt) error) error {
	if err := read(text, into); err != nil {
		return fmt.Errorf("is no %s: %s", kind, plainly(err))
	}
	return unquoted(text)
}

// wrongKind is how the decoder says that a value is of another kind than its field.
var wrongKind = regexp.MustCompile(`cannot unmarshal (\w+) into Go struct field (?:\w+\.)?(\S+) of type \S*?(\w+)$`)

// plainly says without words of Go what the decoder has found.
func plainly(err error) string {
	text := strings.NewReplacer("error converting YAML to JSON: ", "", "error unmarshaling JSON: ", "", "while decoding JSON: ", "", "json: ", "", "yaml: ", "", "\n ", "").Replace(err.Error())
	at := wrongKind.FindStringSubmatch(text)
	if at == nil {
		return text
	}
	kinds := map[string]string{"int": "a whole number", "int32": "a whole number", "int64": "a whole number", "bool": "true or false", "string": "text", "number": "a number", "object": "a map", "array": "a list"}
	return fmt.Sprintf("%s is %s, not %s", at[2], cmp.Or(kinds[at[1]], at[1]), cmp.Or(kinds[at[3]], "what belongs there"))
}

// unquoted refuses what kubectl does: a number or a truth where text must stand.
func unquoted(text []byte) error {
	var object struct {
		Metadata struct{ Annotations, Labels map[string]any }
		Resource struct {
			LabelSelector struct{ MatchLabels map[string]any }
		}
		Data map[string]any
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		return fmt.Errorf("is no object of Kubernetes: %w", err)
	}
	for _, of := range []struct {
		field  string
		values map[string]any
	}{
		{"metadata.annotations", object.Metadata.Annotations},
		{"metadata.labels", object.Metadata.Labels},
		{"resource.labelSelector.matchLabels", object.Resource.LabelSelector.MatchLabels},
		{"data", object.Data},
	} {
		for _, key := range slices.Sorted(maps.Keys(of.values)) {
			switch value := of.values[key].(type) {
			case string, nil:
			default:
				return fmt.Errorf("%s: the value of %s is no text, which kubectl refuses: quote it, %s: \"%v\"", of.field, key, key, value)
			}
		}
	}
	return nil
}

// whole says what the API server would refuse, where reading goes on from it.
func whole(ws *v1beta1.Workspace) error {
	switch {
	case ws.Name == "":
		return errors.New("metadata.name is missing")
	case (ws.Inference == nil) == (ws.Tuning == nil):
		return errors.New("set exactly one of inference and tuning")
	case ws.Resource.LabelSelector == nil:
		return errors.New("resource.labelSelector is missing")
	case ws.Tuning != nil && (ws.Tuning.Preset == nil || ws.Tuning.Input == nil || ws.Tuning.Output == nil):
		return errors.New("tuning has a preset, an input and an output, of which one is missing")
	case ws.Inference != nil && ws.Inference.Template != nil:
		return errors.New("inference.template brings its own containers: what they need is not planned")
	case ws.Inference != nil && ws.Inference.Preset == nil:
		return errors.New("inference.preset is missing")
	}
	return nil
}

// RefusedError is a Workspace that the controller would not accept.
type RefusedError struct {
	// Name is that of the Workspace, Reason and Message those of its condition Accepted.
	Name, Reason, Message string
}

// Error is the condition.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("workspace %q would not be accepted, %s: %s", e.Name, e.Reason, e.Message)
}

// over puts the catalogs that stand beside the Workspace before the models that are known.
func (m manifest) over(models *catalog.Catalog) *catalog.Catalog {
	var own []catalog.Source
	for name, c := range m.configs {
		if c.Labels[v1beta1.LabelCatalog] == "true" {
			own = append(own, catalog.Source{Place: fmt.Sprintf("ConfigMap %q", name), Files: c.Data})
		}
	}
	if len(own) == 0 {
		return models
	}
	return models.With(own, engine.CheckFacts)
}

// refusedOf is what the controller would say. It asks the hub about a model that no catalog
// has; nothing is asked here, so that is said with what helps.
func refusedOf(ws *v1beta1.Workspace, c metav1.Condition) error {
	name := sizing.Preset(ws).Name
	if ws.Tuning == nil && c.Reason == v1beta1.ReasonModelNotFound && catalog.IsHubID(name) {
		return fmt.Errorf("workspace %q: no catalog has %q; the operator would ask the hub what it is: write that down with `kaito model import %s -o FILE`, and plan with --catalog FILE", ws.Name, name, name)
	}
	return &RefusedError{Name: ws.Name, Reason: c.Reason, Message: c.Message}
}

// runFile plans what the controller would for the Workspace of a file.
func (o options) runFile(cmd *cobra.Command, sh shell.Shell, known facts) error {
	data, err := readFile("manifest", o.file)
	if err != nil {
		return err
	}
	m, err := readManifest(o.file, data)
	if err != nil {
		return err
	}
	ws := m.workspace
	if err := whole(ws); err != nil {
		return fmt.Errorf("manifest %q, Workspace %q: %w", o.file, ws.Name, err)
	}
	config := ""
	if ws.Tuning != nil {
		config = ws.Tuning.Config
	} else {
		config = ws.Inference.Config
	}
	known.models = m.over(known.models)
	read, no := sizing.Read(sizing.Facts{Models: known.models, Types: known.types}, ws, m.configs[config])
	if no != nil {
		return refusedOf(ws, no.Condition)
	}
	var types []instance.Type
	var nodes []sizing.Place
	selector, err := o.placeOf(cmd, ws, read)
	if err != nil {
		return err
	}
	own, err := o.fill(cmd, sh, known, selector, &types, &nodes)
	if err != nil {
		return err
	}
	if read.Type != nil {
		types = []instance.Type{*read.Type}
	}
	var prices sizing.Prices
	if o.prices != "" {
		if prices, err = readPrices(o.prices); err != nil {
			return err
		}
	}
	if ws.Tuning != nil {
		answer := sizing.Train(sizing.TrainAsk{Reading: read, Types: types, Retired: read.Type != nil, Nodes: nodes, Prices: prices}, known.types)
		return o.writeTraining(sh, ws.Name, read, answer, prices, o.notesOf(ws, read, len(answer.Plans), own))
	}
	ask := sizing.Ask{Model: read.Model, Wishes: read.Wishes(), Check: read.Check, Types: types, Retired: read.Type != nil, Nodes: nodes, Prices: prices, Partition: read.Partition}
	answer := sizing.Serve(ask, known.types)
	if err := o.write(sh, known, ask, answer, o.notesOf(ws, read, len(answer.Plans), own)...); err != nil {
		return err
	}
	return o.refusedAll(ws, read, len(answer.Plans), answer.Refusals)
}

// refusedAll ends with the words of the controller where the one type does not hold the model.
func (o options) refusedAll(ws *v1beta1.Workspace, read sizing.Reading, plans int, refusals []sizing.Refusal) error {
	switch {
	case plans > 0 || unjudged(read):
		return nil
	case (read.Type != nil || len(refusals) > 0 && len(refusals[0].Nodes) > 0) && len(refusals) == 1:
		return &RefusedError{Name: ws.Name, Reason: refusals[0].Reason, Message: refusals[0].Text}
	}
	return fmt.Errorf("model %q fits none of the %s as Workspace %q asks for it", read.Model.ID, o.machines(), ws.Name)
}

// unjudged is true of a type that is sold no more: the operator asks for it all the same,
// and judges what it holds once there is a node.
func unjudged(read sizing.Reading) bool { return read.Type != nil && read.Type.Retired }

// placeOf is the selector of the nodes that a Workspace may use, where those of a cluster are
// asked for.
func (o options) placeOf(cmd *cobra.Command, ws *v1beta1.Workspace, read sizing.Reading) (selector string, err error) {
	switch {
	case read.Type != nil && len(o.types) > 0:
		return "", shell.Usage(cmd, "the Workspace says resource.instanceType %s: leave out --instance-types", read.Type.Name)
	case read.Type != nil && o.own:
		return "", shell.Usage(cmd, "the Workspace says resource.instanceType %s, and nodes are made for it: leave out --own-nodes", read.Type.Name)
	case o.own && o.selector != "":
		return "", shell.Usage(cmd, "the Workspace says in resource.labelSelector which nodes it may use: leave out --selector")
	}
	selected, err := sizing.Selector(ws)
	if err != nil {
		return "", fmt.Errorf("read resource.labelSelector: %w", err)
	}
	return selected.String(), nil
}

// notesOf are what is said above the table.
func (o options) notesOf(ws *v1beta1.Workspace, read sizing.Reading, plans int, own ownNodes) []string {
	verdict := "would be accepted"
	switch {
	case plans == 0 && unjudged(read):
		verdict += ", and its node asked for; by what is published of the type it would then be refused, as below"
	case plans == 0:
		verdict = "would not be accepted"
	}
	notes := []string{fmt.Sprintf("Workspace %s: %s", ws.Name, verdict)}
	notes = append(notes, own.notes()...)
	if read.Type == nil && !o.own {
		notes = append(notes, "Its nodes are your own; these are plans for such as the types below. The operator plans for what the nodes say themselves, and so does --own-nodes")
	}
	for _, note := range read.Notes {
		notes = append(notes, "Note: "+note)
	}
	return notes
}
