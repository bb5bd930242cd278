package catalog

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/internal/model"
)

// entry is a catalog file as it is written.
type entry struct {
	ID         string          `json:"id"`
	HubID      string          `json:"hubID"`
	Aliases    []string        `json:"aliases"`
	Licence    string          `json:"licence"`
	Parameters int64           `json:"parameters"`
	Context    int             `json:"context"`
	Layers     int             `json:"layers"`
	KVHeads    int             `json:"kvHeads"`
	HeadDim    int             `json:"headDim"`
	Forms      map[string]form `json:"forms"`
	Chat       chat            `json:"chat"`
}

type form struct {
	File      string `json:"file,omitempty"`
	SizeBytes int64  `json:"sizeBytes"`
}

// chat is how the model is talked to where its own files say it badly.
type chat struct {
	Template    string   `json:"template,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"topP,omitempty"`
}

// Bounds that no real model reaches: products of facts stay far below what an int64 holds.
const (
	mostParameters = 1 << 45
	mostContext    = 1 << 24
	mostSmall      = 1 << 11
	mostName       = 128
	// Above 2 every model answers noise.
	mostTemperature = 2
)

var (
	// validID is a part of an image name: the model image is called after it.
	validID = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*$`)
	// validHubID is owner/name.
	validHubID = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
	// validAlias is a name without spaces.
	validAlias = regexp.MustCompile(`^[A-Za-z0-9][\w./-]*$`)
)

// Parse reads one catalog file and says everything that is wrong with it.
func Parse(data []byte) (model.Model, error) {
	var e entry
	if err := yaml.UnmarshalStrict(data, &e); err != nil {
		return model.Model{}, fmt.Errorf("read the model: %w", err)
	}
	if err := errors.Join(e.names(), e.shape(), e.weights(), e.Chat.check()); err != nil {
		return model.Model{}, err
	}
	m := model.Model{
		ID: e.ID, HubID: e.HubID, Aliases: e.Aliases, Licence: e.Licence,
		Parameters: e.Parameters, Context: e.Context,
		Layers: e.Layers, KVHeads: e.KVHeads, HeadDim: e.HeadDim,
		Forms: map[model.Form]model.Weights{},
		Chat:  model.Chat(e.Chat),
	}
	for name, f := range e.Forms {
		m.Forms[model.Form(name)] = model.Weights{Size: model.Bytes(f.SizeBytes), File: f.File}
	}
	return m, nil
}

func (e entry) names() error {
	var errs []error
	if !validID.MatchString(e.ID) || len(e.ID) > mostName {
		errs = append(errs, fmt.Errorf("id %q is not a lower-case image name", e.ID))
	}
	if !validHubID.MatchString(e.HubID) || len(e.HubID) > mostName {
		errs = append(errs, fmt.Errorf("hubID %q is not owner/name", e.HubID))
	}
	for _, a := range e.Aliases {
		if !validAlias.MatchString(a) || len(a) > mostName {
			errs = append(errs, fmt.Errorf("alias %q is not a name", a))
		}
	}
	if strings.TrimSpace(e.Licence) == "" {
		errs = append(errs, errors.New("licence is missing"))
	}
	return errors.Join(errs...)
}

func (e entry) shape() error {
	var errs []error
	for _, n := range []struct {
		name        string
		value, most int64
	}{
		{"parameters", e.Parameters, mostParameters},
		{"context", int64(e.Context), mostContext},
		{"layers", int64(e.Layers), mostSmall},
		{"kvHeads", int64(e.KVHeads), mostSmall},
		{"headDim", int64(e.HeadDim), mostSmall},
	} {
		if n.value < 1 || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s %d is not between 1 and %d", n.name, n.value, n.most))
		}
	}
	return errors.Join(errs...)
}

func (e entry) weights() error {
	if len(e.Forms) == 0 {
		return errors.New("forms is empty: name gguf or hf")
	}
	var errs []error
	for name, f := range e.Forms {
		if !slices.Contains([]model.Form{model.FormGGUF, model.FormHF}, model.Form(name)) {
			errs = append(errs, fmt.Errorf("form %q is neither gguf nor hf", name))
		}
		// No weights are smaller than one bit a parameter or larger than 64.
		if f.SizeBytes < e.Parameters/8 || f.SizeBytes/8 > e.Parameters || f.SizeBytes < 1 {
			errs = append(errs, fmt.Errorf("sizeBytes %d of form %q does not match %d parameters", f.SizeBytes, name, e.Parameters))
		}
		if name == string(model.FormGGUF) && (f.File == "" || path.Base(f.File) != f.File) {
			errs = append(errs, fmt.Errorf("file %q of form gguf is not a file name", f.File))
		}
	}
	return errors.Join(errs...)
}

func (c chat) check() error {
	var errs []error
	// It becomes an argument of an engine.
	if c.Template != "" && (!validID.MatchString(c.Template) || len(c.Template) > mostName) {
		errs = append(errs, fmt.Errorf("chat.template %q is not the name of a template", c.Template))
	}
	if c.Temperature != nil && (*c.Temperature < 0 || *c.Temperature > mostTemperature) {
		errs = append(errs, fmt.Errorf("chat.temperature %v is not between 0 and %d", *c.Temperature, mostTemperature))
	}
	if c.TopP != nil && (*c.TopP <= 0 || *c.TopP > 1) {
		errs = append(errs, fmt.Errorf("chat.topP %v is not above 0 and at most 1", *c.TopP))
	}
	return errors.Join(errs...)
}
