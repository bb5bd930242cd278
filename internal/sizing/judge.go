package sizing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodelabel"
	"kaito.sh/kaito/internal/tuning"
)

// Objection is why a Workspace is not accepted as it is written.
type Objection struct {
	// Condition is Accepted, which is not True.
	Condition metav1.Condition
	// Waits is true where something else than an edit can help.
	Waits bool
}

func object(condition metav1.Condition) *Objection { return &Objection{Condition: condition} }

func refuse(reason, format string, args ...any) *Objection {
	return object(v1beta1.Refused(reason, format, args...))
}

// FindModel finds the model of a preset.
func FindModel(models *catalog.Catalog, name string) (model.Model, *Objection) {
	found, ok := models.Lookup(name)
	if broken := models.InTheWay(name); len(broken) > 0 {
		var files []string
		for _, b := range broken {
			files = append(files, b.Error())
		}
		return found, &Objection{Condition: v1beta1.InvalidCatalog(name, files), Waits: true}
	}
	if !ok {
		return found, object(v1beta1.ModelNotFound(name, models.Near(name)))
	}
	return engine.Served(found), nil
}

// OriginNotes say of a model that it is not one of the shipped ones.
func OriginNotes(models *catalog.Catalog, m model.Model) []string {
	place, hides := models.Origin(m.ID)
	switch {
	case place == "":
		return nil
	case hides:
		return []string{fmt.Sprintf("its facts are those of %s, and not those that the same name has elsewhere", place)}
	}
	return []string{"its facts are those of " + place}
}

// FindTunable finds the model of a tuning and what is known of tuning it.
func FindTunable(models *catalog.Catalog, ws *v1beta1.Workspace) (model.Model, *Objection) {
	name := ws.Tuning.Preset.Name
	found, no := FindModel(models, name)
	if no == nil {
		no = Tunable(models, found)
	}
	switch {
	case no != nil && no.Condition.Reason == v1beta1.ReasonModelNotFound && catalog.IsHubID(name) && len(models.Near(name)) == 0:
		return found, object(v1beta1.OnlyCatalogTunes(name))
	case no != nil:
		return found, no
	case ws.Name == engine.ServedID(found):
		return found, refuse(v1beta1.ReasonNameTaken,
			"The tuned model would answer under the Workspace's name, %q, under which the base model answers: give the Workspace another name", ws.Name)
	}
	return found, nil
}

// Tunable refuses a model of which it is not known how it is tuned.
func Tunable(models *catalog.Catalog, m model.Model) *Objection {
	if m.Tuning != nil {
		return nil
	}
	return object(v1beta1.NotTunable(m.ID, tunable(models)))
}

// tunable are the ids of the models that can be tuned, sorted.
func tunable(models *catalog.Catalog) []string {
	var ids []string
	for _, id := range models.IDs() {
		if m, ok := models.Lookup(id); ok && m.Tuning != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Preset is what names the model of a Workspace, or nil.
func Preset(ws *v1beta1.Workspace) *v1beta1.PresetSpec {
	switch {
	case ws.Tuning != nil:
		return ws.Tuning.Preset
	case ws.Inference != nil:
		return ws.Inference.Preset
	}
	return nil
}

// Options are the preset's options, where there are any.
func Options(ws *v1beta1.Workspace) v1beta1.PresetOptions {
	if p := Preset(ws); p != nil && p.PresetOptions != nil {
		return *p.PresetOptions
	}
	return v1beta1.PresetOptions{}
}

// Image looks at the one reference that a user writes.
func Image(ws *v1beta1.Workspace) *Objection {
	image := Options(ws).Image
	if image == "" {
		return nil
	}
	if _, err := name.ParseReference(image); err != nil {
		return refuse(v1beta1.ReasonInvalidImage,
			"The value %q of inference.preset.presetOptions.image is no image: write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST", image)
	}
	return nil
}

// Settings are what ConfigMap and annotations of a server say, and what of it has no effect.
// A ConfigMap that is missing is no failure for good: it is watched.
func Settings(ws *v1beta1.Workspace, config *corev1.ConfigMap, m model.Model) (settings engine.Settings, notes []string, no *Objection) {
	if settings, notes, no = configured(ws, config); no != nil {
		return settings, nil, no
	}
	settings.Wishes, no = Asked(ws, m, settings.Wishes)
	return settings, notes, no
}

// configured reads the ConfigMap that inference.config names.
func configured(ws *v1beta1.Workspace, config *corev1.ConfigMap) (settings engine.Settings, notes []string, no *Objection) {
	name := ws.Inference.Config
	if name == "" {
		settings.RemoteCode = TrustsCode(ws)
		return settings, nil, nil
	}
	if config == nil {
		return settings, nil, &Objection{Condition: v1beta1.ConfigMapNotFound(name, v1beta1.ConfigKeyInference), Waits: true}
	}
	text, there := config.Data[v1beta1.ConfigKeyInference]
	if !there {
		return settings, nil, refuse(v1beta1.ReasonInvalidSettings,
			"ConfigMap %q has no key %s: write the settings of the engine there", name, v1beta1.ConfigKeyInference)
	}
	settings, err := engine.ParseSettings([]byte(text))
	if err != nil {
		return settings, nil, refuse(v1beta1.ReasonInvalidSettings, "ConfigMap %q cannot be used, %s: %v", name, v1beta1.ConfigKeyInference, err)
	}
	if no = CodeSetting(ws, settings); no != nil {
		return engine.Settings{}, nil, no
	}
	settings.RemoteCode = TrustsCode(ws)
	for _, key := range settings.Ignored {
		notes = append(notes, "inference.config: no effect has "+key)
	}
	return settings, notes, nil
}

// OtherEngine says of settings that they are for another engine than that of the plan, or nothing.
func OtherEngine(settings engine.Settings, engineName string) string {
	if len(settings.Arguments) == 0 || len(settings.Arguments[engineName]) > 0 {
		return ""
	}
	others := strings.Join(slices.Sorted(maps.Keys(settings.Arguments)), " and ")
	return fmt.Sprintf("inference.config: no effect has the section %s, because %s serves the model on these nodes", others, engineName)
}

// TrainingSettings reads the ConfigMap that tuning.config names, and says what of it has
// no effect. A missing one is no failure for good: it is watched.
func TrainingSettings(ws *v1beta1.Workspace, config *corev1.ConfigMap, m model.Model) (settings tuning.Settings, notes []string, no *Objection) {
	var text string
	if name := ws.Tuning.Config; name != "" {
		if config == nil {
			return settings, nil, object(v1beta1.TuningConfigNotFound(name)).waiting()
		}
		var there bool
		if text, there = config.Data[v1beta1.ConfigKeyTuning]; !there {
			return settings, nil, refuse(v1beta1.ReasonInvalidSettings,
				"ConfigMap %q has no key %s: write the settings of the training there", name, v1beta1.ConfigKeyTuning)
		}
	}
	settings, err := tuning.Parse([]byte(text), strings.ToLower(string(ws.Tuning.Method)), m)
	if err != nil {
		return settings, nil, refuse(v1beta1.ReasonInvalidSettings, "ConfigMap %q cannot be used, %s: %v", ws.Tuning.Config, v1beta1.ConfigKeyTuning, err)
	}
	for _, key := range settings.Ignored {
		notes = append(notes, "tuning.config: no effect has "+key)
	}
	return settings, notes, nil
}

func (o *Objection) waiting() *Objection {
	o.Waits = true
	return o
}

// ErrEmptySelector says that a selector would take every node.
var ErrEmptySelector = errors.New("it names no label, and a Workspace must say which nodes it may use")

// Selector reads the labels of the nodes that a Workspace may use.
func Selector(ws *v1beta1.Workspace) (labels.Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(ws.Resource.LabelSelector)
	switch {
	case err != nil:
		return nil, err
	case selector.Empty():
		return nil, ErrEmptySelector
	}
	return selector, nil
}

// BadSelector is the objection against a selector that cannot be used.
func BadSelector(err error) *Objection {
	if err == nil {
		return nil
	}
	return refuse(v1beta1.ReasonInvalidSelector, "resource.labelSelector cannot be used: %v", err)
}

// Machine is what a Workspace says of the nodes that are made for it.
type Machine struct {
	// Type is resource.instanceType.
	Type instance.Type
	// CapacityTypes and ImageFamily are what annotations say; empty leaves it to the cloud.
	CapacityTypes []string
	ImageFamily   string
}

// MachineOf looks at the type, and at all else that a node which is made can have.
func MachineOf(ws *v1beta1.Workspace, types *instance.Table) (m Machine, notes []string, no *Objection) {
	name := ws.Resource.InstanceType
	known, ok := types.Lookup(name)
	if !ok {
		return m, nil, object(v1beta1.UnknownInstanceType(name, types.Near(name)))
	}
	if no = m.readAnnotations(ws); no != nil {
		return m, nil, no
	}
	if why := unmet(ws, known); why != "" {
		return m, nil, object(v1beta1.SelectorCannotBeMet(why))
	}
	m.Type = known
	if known.Retired {
		notes = append(notes, v1beta1.RetiredInstanceType(known.Name, types.Successors(known.Name)))
	}
	return m, notes, nil
}

// readAnnotations reads what the user says of the nodes beside their type.
func (m *Machine) readAnnotations(ws *v1beta1.Workspace) *Objection {
	const capacity, family = v1beta1.AnnotationCapacityType, v1beta1.AnnotationImageFamily
	if value := ws.Annotations[capacity]; value != "" {
		for one := range strings.SplitSeq(value, ",") {
			one = strings.TrimSpace(one)
			if (one != "spot" && one != "on-demand") || slices.Contains(m.CapacityTypes, one) {
				return object(v1beta1.InvalidAnnotation(capacity, value, `"on-demand", "spot" or "spot,on-demand"`))
			}
			m.CapacityTypes = append(m.CapacityTypes, one)
		}
	}
	switch value := strings.ToLower(ws.Annotations[family]); value {
	case "", "ubuntu", "azurelinux":
		m.ImageFamily = value
	default:
		return object(v1beta1.InvalidAnnotation(family, ws.Annotations[family], `"ubuntu" or "azurelinux"`))
	}
	return nil
}

// unmet says what of a selector no node of a type can meet, or nothing: a node is given
// the labels of matchLabels that are the user's own, and says itself what type it is.
func unmet(ws *v1beta1.Workspace, of instance.Type) string {
	has := labels.Set(nodelabel.Made(ws))
	has[corev1.LabelInstanceTypeStable], has[corev1.LabelOSStable] = of.Name, string(corev1.Linux)
	var all []string
	for _, key := range slices.Sorted(maps.Keys(ws.Resource.LabelSelector.MatchLabels)) {
		if want := ws.Resource.LabelSelector.MatchLabels[key]; has[key] != want {
			all = append(all, fmt.Sprintf("matchLabels %s=%s", key, want))
		}
	}
	for _, e := range ws.Resource.LabelSelector.MatchExpressions {
		alone := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{e}}
		if s, err := metav1.LabelSelectorAsSelector(alone); err != nil || !s.Matches(has) {
			all = append(all, "matchExpressions "+metav1.FormatLabelSelector(alone))
		}
	}
	return strings.Join(all, " and ")
}
