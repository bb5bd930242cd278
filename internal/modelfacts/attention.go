package modelfacts

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// latent are the kinds of models of which vLLM 0.33 keeps one latent vector a token
// (transformers_utils/model_arch_config_convertor.py, is_deepseek_mla). Of all others it keeps
// keys and values, whatever else their configuration says.
func latent() []string {
	return []string{
		"axk1", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots3_note", "glm5_next", "glm5_next_text", "glm_moe_dsa", "glm4_moe_lite",
		"kimi_k2", "kimi_linear", "longcat_flash", "pangu_ultra_moe", "bailing_hybrid", "hy_v4",
	}
}

// attention is what the layers of a model keep. What is not known for sure is left out, and
// bounded from above by the planner.
func attention(f fields, kind string, m model.Model) model.Attention {
	if a, ok := latentAttention(f, kind); ok {
		return a
	}
	layers := layerKinds(f, kind, m.Layers)
	if a, ok := hybrid(f, layers); ok {
		return a
	}
	return sliding(f, kind, m, layers)
}

func latentAttention(f fields, kind string) (model.Attention, bool) {
	rank := f.count(model.MostHidden, "kv_lora_rank")
	rope := f.count(model.MostSmall, "qk_rope_head_dim")
	if rank == 0 || rope == 0 || !slices.Contains(latent(), kind) {
		return model.Attention{}, false
	}
	a := model.Attention{Kind: model.AttentionLatent, Latent: int(rank), Rope: int(rope)}
	if f.count(model.MostHidden, "index_topk") > 0 {
		a.Indexed = true
		// 8 bits a number, and a scale of 32 bits for each 128 of them (vLLM 0.33,
		// model_executor/models/deepseek_v2.py, DeepseekV32IndexerCache).
		const scaled, scale = 128, 4
		if wide := int(f.count(model.MostSmall, "index_head_dim")); wide > 0 {
			a.IndexBytes = wide + (wide+scaled-1)/scaled*scale
		}
	}
	return a, true
}

// layerKind is what one layer keeps.
type layerKind int

const (
	keepsAll layerKind = iota
	keepsWindow
	keepsState
	// keepsNothing is a layer of a feed-forward network alone.
	keepsNothing
)

// layerKinds says of each layer what it keeps; nil where the configuration does not.
func layerKinds(f fields, kind string, layers int) []layerKind {
	var kinds []layerKind
	for _, key := range []string{"layers_block_type", "layer_types", "block_types"} {
		if words := f.texts(key); len(words) > 0 {
			kinds = fromWords(words)
			break
		}
	}
	if kinds == nil {
		kinds = fromPattern(f.text("hybrid_override_pattern"))
	}
	if kinds == nil {
		kinds = fromList(f)
	}
	if kinds == nil {
		kinds = fromPeriod(f, kind, layers)
	}
	if layers == 0 || len(kinds) < layers {
		return nil
	}
	// Some lists go on with the layers that predict several tokens.
	return kinds[:layers]
}

// fromWords reads a list of names. Sparse attention keeps every token as full attention does
// (vLLM 0.33, config/model.py, _ATTENTION_LAYER_TYPES).
func fromWords(words []string) []layerKind {
	var kinds []layerKind
	for _, word := range words {
		switch {
		case word == "sliding_attention" || word == "chunked_attention" || word == "local_attention":
			kinds = append(kinds, keepsWindow)
		case word == "mlp" || word == "moe":
			kinds = append(kinds, keepsNothing)
		case word == "linear_attention" || !strings.Contains(word, "attention") && word != "hybrid":
			kinds = append(kinds, keepsState)
		default:
			kinds = append(kinds, keepsAll)
		}
	}
	return kinds
}

// fromPattern reads NemotronH's: one letter a layer, * attends, M has a state, - and E neither.
func fromPattern(pattern string) []layerKind {
	var kinds []layerKind
	for _, letter := range pattern {
		switch letter {
		case '*':
			kinds = append(kinds, keepsAll)
		case 'M':
			kinds = append(kinds, keepsState)
		case '-', 'E':
			kinds = append(kinds, keepsNothing)
		}
	}
	return kinds
}

// fromList reads MiniMax's: 1 attends, 0 has a state.
func fromList(f fields) []layerKind {
	list, _ := f.values["attn_type_list"].([]any)
	var kinds []layerKind
	for _, item := range list {
		if number, ok := item.(json.Number); ok && number.String() == "0" {
			kinds = append(kinds, keepsState)
		} else {
			kinds = append(kinds, keepsAll)
		}
	}
	return kinds
}

// fromPeriod is for configurations of which transformers fills in the list itself, by the
// period that it documents for the kind: every so many layers one attends to everything.
func fromPeriod(f fields, kind string, layers int) []layerKind {
	const gemma2, gemma3, cohere = 2, 6, 4
	period, other := int64(0), keepsWindow
	switch {
	case kind == "gemma2":
		period = gemma2
	case strings.HasPrefix(kind, "gemma3") && !strings.HasPrefix(kind, "gemma3n"):
		period = gemma3
	case kind == "cohere2":
		period = cohere
	}
	if said := f.count(model.MostSmall, "sliding_window_pattern", "_sliding_window_pattern"); said > 0 && period > 0 {
		period = said
	}
	if said := f.count(model.MostSmall, "full_attention_interval"); said > 0 {
		period, other = said, keepsState
	}
	if period == 0 {
		return nil
	}
	kinds := make([]layerKind, layers)
	for i := range kinds {
		if int64(i+1)%period != 0 {
			kinds[i] = other
		}
	}
	return kinds
}

// hybrid is a model of which some layers keep a state: by its list, or by keys that only such
// models have.
func hybrid(f fields, layers []layerKind) (model.Attention, bool) {
	a := model.Attention{Kind: model.AttentionHybrid}
	if slices.Contains(layers, keepsState) || slices.Contains(layers, keepsNothing) {
		a.Layers = count(layers, keepsAll) + count(layers, keepsWindow)
		a.State = stateBytes(f, layers)
		return a, true
	}
	if layers != nil {
		return a, false
	}
	for _, key := range []string{"ssm_state_size", "mamba_d_state", "mamba_d_ssm", "state_size", "linear_num_value_heads", "conv_L_cache", "lru_width", "linear_attn_config"} {
		if f.has(key) {
			return a, true
		}
	}
	return a, false
}

// sliding is a model whose layers keep every token, or of which some keep a window.
func sliding(f fields, kind string, m model.Model, layers []layerKind) model.Attention {
	listed := count(layers, keepsWindow)
	window := f.count(model.MostContext, "sliding_window")
	if window == 0 && listed > 0 {
		window = f.count(model.MostContext, "attention_chunk_size")
	}
	if window == 0 || m.Context > 0 && window >= int64(m.Context) {
		return model.Attention{}
	}
	if layers != nil {
		return windows(window, listed)
	}
	if !usesWindow(f, kind) {
		return model.Attention{}
	}
	list, _ := f.values["sliding_window"].([]any)
	switch {
	case m.Layers == 0:
	case len(list) > 0:
		return windows(window, everyWindow(list, m.Layers))
	case slices.Contains([]string{"mistral", "mixtral", "transformer"}, kind):
		return windows(window, m.Layers)
	}
	return model.Attention{Kind: model.AttentionSliding} // whose window it is, nobody says
}

// usesWindow is false of configurations that name a window and do not use it: Qwen's, unless
// they say so.
func usesWindow(f fields, kind string) bool {
	used, said := f.flag("use_sliding_window")
	if said {
		return used
	}
	return !strings.HasPrefix(kind, "qwen")
}

// windows is an attention of so many windows; all of unknown width where there is none.
func windows(window int64, layers int) model.Attention {
	if layers == 0 {
		return model.Attention{}
	}
	return model.Attention{Kind: model.AttentionSliding, Window: int(window), WindowLayers: layers}
}

func count(layers []layerKind, kind layerKind) int {
	n := 0
	for _, l := range layers {
		if l == kind {
			n++
		}
	}
	return n
}

// everyWindow counts the windows of a list that repeats over all layers, as Mistral's own
// form has it: null is none (vLLM 0.33, transformers_utils/configs/mistral.py).
func everyWindow(list []any, layers int) int {
	n := 0
	for i := range layers {
		if list[i%len(list)] != nil {
			n++
		}
	}
	return n
}

func keysOf(values map[string]any) iter.Seq[string] { return maps.Keys(values) }

func keysOfSet(values map[string]struct{}) iter.Seq[string] { return maps.Keys(values) }
