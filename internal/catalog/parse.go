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

// entry is a catalog file as it is written. What is not known is left out.
type entry struct {
	ID              string            `json:"id"`
	HubID           string            `json:"hubID"`
	Aliases         []string          `json:"aliases"`
	Licence         string            `json:"licence"`
	Redistributable bool              `json:"redistributable"`
	Gated           bool              `json:"gated"`
	Parameters      int64             `json:"parameters"`
	Context         int               `json:"context"`
	Layers          int               `json:"layers"`
	Heads           int               `json:"heads"`
	KVHeads         int               `json:"kvHeads"`
	HeadDim         int               `json:"headDim"`
	Hidden          int               `json:"hidden"`
	MLP             int               `json:"mlp"`
	Vocabulary      int               `json:"vocabulary"`
	Experts         int               `json:"experts"`
	ExpertsPerToken int               `json:"expertsPerToken"`
	TiedEmbeddings  bool              `json:"tiedEmbeddings"`
	Architectures   []string          `json:"architectures"`
	RemoteCode      bool              `json:"remoteCode"`
	Attention       attention         `json:"attention"`
	Quantisation    string            `json:"quantisation"`
	QuantisedBits   int               `json:"quantisationBits"`
	Source          string            `json:"source"`
	Forms           map[string]form   `json:"forms"`
	Chat            chat              `json:"chat"`
	VLLM            map[string]string `json:"vllm"`
	Tuning          *tuning           `json:"tuning"`
}

// tuning says how adapters of the model are trained.
type tuning struct {
	Targets []string `json:"targets"`
	Note    string   `json:"note,omitempty"`
}

type form struct {
	File      string `json:"file,omitempty"`
	SizeBytes int64  `json:"sizeBytes"`
	Hub       *hub   `json:"hub,omitempty"`
}

// hub is where the publisher has the weights. A revision is a commit that somebody
// has looked up, or main: the runner resolves it and the plan records the commit.
type hub struct {
	Revision string   `json:"revision"`
	Files    []string `json:"files,omitempty"`
}

// chat is how the model is talked to where its own files say it badly.
type chat struct {
	Template    string   `json:"template,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"topP,omitempty"`
}

// Bounds besides those of the room model.
const (
	mostBits = 16
	mostName = 128
	// Above 2 every model answers noise.
	mostTemperature = 2
)

var (
	// validID is a part of an image name: the model image is called after it.
	validID = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*$`)
	// validHubID is owner/name.
	validHubID = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
	// validArchitecture is the name of a class in Python.
	validArchitecture = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	// validRevision is a commit, a tag or a branch of git.
	validRevision = regexp.MustCompile(`^[A-Za-z0-9][\w./-]*$`)
	// validAlias is a name without spaces.
	validAlias = regexp.MustCompile(`^[A-Za-z0-9][\w./-]*$`)
)

// IsHubID is true of a name of the form owner/name.
func IsHubID(name string) bool { return validHubID.MatchString(name) && len(name) <= mostName }

// Parse reads one catalog file and says everything that is wrong with it.
func Parse(data []byte) (model.Model, error) {
	var e entry
	if err := yaml.UnmarshalStrict(data, &e); err != nil {
		return model.Model{}, unreadable(data, err)
	}
	if err := e.check(); err != nil {
		return model.Model{}, err
	}
	return e.model(), nil
}

// check says everything that is wrong with the facts.
func (e entry) check() error {
	return errors.Join(e.names(), e.shape(), e.attends(), e.Attention.check(e.Layers), e.weights(), e.Chat.check(), e.tuning())
}

func (e entry) model() model.Model {
	m := model.Model{
		ID: e.ID, HubID: e.HubID, Aliases: e.Aliases, Licence: e.Licence, Redistributable: e.Redistributable, Gated: e.Gated,
		Parameters: e.Parameters, Context: e.Context,
		Layers: e.Layers, Heads: e.Heads, KVHeads: e.KVHeads, HeadDim: e.HeadDim, Hidden: e.Hidden,
		MLP: e.MLP, Vocabulary: e.Vocabulary, Experts: e.Experts, ExpertsPerToken: e.ExpertsPerToken, TiedEmbeddings: e.TiedEmbeddings,
		Architectures: e.Architectures, RemoteCode: e.RemoteCode, Quantisation: e.Quantisation, QuantisationBits: e.QuantisedBits,
		Attention: e.Attention.model(),
		Forms:     map[model.Form]model.Weights{},
		Chat:      model.Chat(e.Chat),
		VLLM:      e.VLLM,
	}
	if e.Tuning != nil {
		m.Tuning = &model.Tuning{Targets: e.Tuning.Targets, Note: e.Tuning.Note}
	}
	for name, f := range e.Forms {
		w := model.Weights{Size: model.Bytes(f.SizeBytes), File: f.File}
		if f.Hub != nil {
			w.Hub = &model.Hub{Repository: e.HubID, Revision: f.Hub.Revision, Files: f.Hub.Files}
		}
		m.Forms[model.Form(name)] = w
	}
	return m
}

func (e entry) names() error {
	var errs []error
	if !validID.MatchString(e.ID) || len(e.ID) > mostName {
		errs = append(errs, fmt.Errorf("id %q is not a lower-case image name", e.ID))
	}
	// A model of one's own has none.
	if e.HubID != "" && !validHubID.MatchString(e.HubID) || len(e.HubID) > mostName {
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
		name               string
		value, least, most int64
	}{
		{"parameters", e.Parameters, 0, model.MostParameters},
		{"context", int64(e.Context), 1, model.MostContext},
		{"layers", int64(e.Layers), 0, model.MostSmall},
		{"heads", int64(e.Heads), 0, model.MostSmall},
		{"kvHeads", int64(e.KVHeads), 0, model.MostSmall},
		{"headDim", int64(e.HeadDim), 0, model.MostSmall},
		{"hidden", int64(e.Hidden), 0, model.MostHidden},
		{"quantisationBits", int64(e.QuantisedBits), 0, mostBits},
		{"experts", int64(e.Experts), 0, model.MostHidden},
		{"expertsPerToken", int64(e.ExpertsPerToken), 0, int64(e.Experts)},
		{"mlp", int64(e.MLP), 0, model.MostHidden},
		{"vocabulary", int64(e.Vocabulary), 0, model.MostVocabulary},
	} {
		if n.value < n.least || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s %d is not between %d and %d", n.name, n.value, n.least, n.most))
		}
	}
	return errors.Join(errs...)
}

// attends checks what the facts say of each other.
func (e entry) attends() error {
	var errs []error
	if e.Heads > 0 && e.KVHeads > 0 && e.Heads%e.KVHeads != 0 {
		errs = append(errs, fmt.Errorf("%d heads cannot share %d kvHeads evenly", e.Heads, e.KVHeads))
	}
	for _, a := range e.Architectures {
		if !validArchitecture.MatchString(a) {
			errs = append(errs, fmt.Errorf("architecture %q is not the name of a class", a))
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
		errs = append(errs, f.check(name, e.HubID, e.Parameters))
	}
	return errors.Join(errs...)
}

func (f form) check(name, hubID string, parameters int64) error {
	var errs []error
	if !slices.Contains([]model.Form{model.FormGGUF, model.FormHF}, model.Form(name)) {
		errs = append(errs, fmt.Errorf("form %q is neither gguf nor hf", name))
	}
	switch known := parameters > 0; {
	case f.SizeBytes < 1 || f.SizeBytes > model.MostBytes:
		errs = append(errs, fmt.Errorf("sizeBytes %d of form %q is not between 1 and %d", f.SizeBytes, name, int64(model.MostBytes)))
	// No weights are smaller than one bit a parameter or larger than 64.
	case known && (f.SizeBytes < parameters/8 || f.SizeBytes/8 > parameters):
		errs = append(errs, fmt.Errorf("sizeBytes %d of form %q does not match %d parameters", f.SizeBytes, name, parameters))
	}
	if f.Hub != nil {
		errs = append(errs, f.Hub.check(name, hubID))
	}
	if name == string(model.FormGGUF) && (f.File == "" || path.Base(f.File) != f.File) {
		errs = append(errs, fmt.Errorf("file %q of form gguf is not a file name", f.File))
	}
	return errors.Join(errs...)
}

func (h hub) check(form, hubID string) error {
	var errs []error
	if hubID == "" {
		errs = append(errs, fmt.Errorf("hub of form %q needs hubID", form))
	}
	if !validRevision.MatchString(h.Revision) {
		errs = append(errs, fmt.Errorf("hub.revision %q of form %q is no commit, tag or branch: say main where none was looked up", h.Revision, form))
	}
	return errors.Join(errs...)
}

// tuning checks that what is tuned has the layers that it names, and what a plan needs.
func (e entry) tuning() error {
	if e.Tuning == nil {
		return nil
	}
	var errs []error
	if _, ok := e.Forms[string(model.FormHF)]; !ok {
		errs = append(errs, errors.New("tuning needs the form hf"))
	}
	if e.Heads == 0 || e.Hidden == 0 || e.MLP == 0 || e.Vocabulary == 0 {
		errs = append(errs, errors.New("tuning needs heads, hidden, mlp and vocabulary"))
	}
	if len(e.Tuning.Targets) == 0 {
		errs = append(errs, errors.New("tuning.targets is empty: name the linear layers of a block"))
	}
	known := model.Model{}.Linears()
	for _, target := range e.Tuning.Targets {
		if _, ok := known[target]; !ok {
			errs = append(errs, fmt.Errorf("tuning.targets: %q is no linear layer that is known", target))
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
