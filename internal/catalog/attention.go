package catalog

import (
	"errors"
	"fmt"
	"slices"

	"kaito.sh/kaito/internal/model"
)

// attention is what the layers of a model keep of the tokens they have seen.
type attention struct {
	Kind         model.AttentionKind `json:"kind,omitempty"`
	Latent       int                 `json:"latent,omitempty"`
	Rope         int                 `json:"rope,omitempty"`
	Window       int                 `json:"window,omitempty"`
	WindowLayers int                 `json:"windowLayers,omitempty"`
	Layers       int                 `json:"layers,omitempty"`
	StateBytes   int64               `json:"stateBytes,omitempty"`
	Indexed      bool                `json:"indexed,omitempty"`
	IndexBytes   int                 `json:"indexBytes,omitempty"`
}

func (a attention) model() model.Attention {
	return model.Attention{
		Kind: a.Kind, Latent: a.Latent, Rope: a.Rope, Window: a.Window, WindowLayers: a.WindowLayers,
		Layers: a.Layers, State: model.Bytes(a.StateBytes), Indexed: a.Indexed, IndexBytes: a.IndexBytes,
	}
}

// check says what is wrong with the attention of a model with so many layers; 0 is not known.
func (a attention) check(layers int) error {
	var errs []error
	known := []model.AttentionKind{model.AttentionFull, model.AttentionLatent, model.AttentionSliding, model.AttentionHybrid}
	if !slices.Contains(known, a.Kind) {
		errs = append(errs, fmt.Errorf("attention.kind %q is none of mla, sliding, hybrid; leave it out where every layer keeps every token", a.Kind))
	}
	inAll := int64(model.MostSmall)
	if layers > 0 {
		inAll = int64(layers)
	}
	for _, n := range []struct {
		name        string
		value, most int64
		kind        model.AttentionKind
	}{
		{"latent", int64(a.Latent), model.MostHidden, model.AttentionLatent},
		{"rope", int64(a.Rope), model.MostSmall, model.AttentionLatent},
		{"window", int64(a.Window), model.MostContext, model.AttentionSliding},
		{"windowLayers", int64(a.WindowLayers), inAll, model.AttentionSliding},
		{"layers", int64(a.Layers), inAll, model.AttentionHybrid},
		{"stateBytes", a.StateBytes, model.MostState, model.AttentionHybrid},
		{"indexBytes", int64(a.IndexBytes), model.MostHidden, a.Kind},
	} {
		switch {
		case n.value < 0 || n.value > n.most:
			errs = append(errs, fmt.Errorf("attention.%s %d is not between 0 and %d", n.name, n.value, n.most))
		case n.value > 0 && n.kind != a.Kind:
			errs = append(errs, fmt.Errorf("attention.%s belongs to kind %q, not %q", n.name, n.kind, a.Kind))
		}
	}
	if a.Kind == model.AttentionLatent && (a.Latent == 0 || a.Rope == 0) {
		errs = append(errs, errors.New("attention of kind mla needs latent and rope"))
	}
	if a.IndexBytes > 0 && !a.Indexed {
		errs = append(errs, errors.New("attention.indexBytes needs indexed: true"))
	}
	return errors.Join(errs...)
}
