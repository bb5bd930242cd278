package modelfacts

import (
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// config reads the facts of a config.json as vLLM 0.33 reads it (transformers_utils/
// model_arch_config_convertor.py), under the names that publishers use.
func config(raw []byte) (config hfConfig, err error) {
	root, err := parse("config.json", raw)
	if err != nil {
		return hfConfig{}, err
	}
	text := hoisted(root)
	c := hfConfig{
		architectures: root.texts("architectures"),
		kind:          text.text("model_type"),
		dtype:         dtype(root, text),
	}
	_, c.remoteCode = root.object("auto_map")
	c.shape(text)
	c.model.Context = int(derivedContext(text, c.kind))
	c.attends(text)
	c.quantised(root, text)
	c.shared(text)
	return c, root.err()
}

// attends reads the kind of attention. A latent vector belongs to all heads together, so there
// is no width of one.
func (c *hfConfig) attends(f fields) {
	c.model.Attention = attention(f, c.kind, c.model)
	if c.model.Attention.Kind == model.AttentionLatent {
		c.model.HeadDim = 0
	}
}

// hfConfig is what a configuration says.
type hfConfig struct {
	model         model.Model
	architectures []string
	kind, dtype   string
	remoteCode    bool
}

// hoisted are the fields of the language model, which models with several towers keep one
// level down. A key of the outer object does not count there: it is of another tower.
func hoisted(root fields) fields {
	for _, key := range []string{"text_config", "llm_config", "language_config", "thinker_config"} {
		if inner, ok := root.object(key); ok {
			return hoisted(inner)
		}
	}
	return root
}

// dtype is the type of numbers that the publisher computed in.
func dtype(root, text fields) string {
	for _, f := range []fields{root, text} {
		if name := strings.TrimPrefix(f.text("dtype", "torch_dtype"), "torch."); name != "" {
			return name
		}
	}
	return ""
}

// shape reads the numbers that size weights and cache.
func (c *hfConfig) shape(f fields) {
	m := &c.model
	m.Layers = int(f.count(model.MostSmall, "num_hidden_layers", "n_layers", "n_layer", "num_layers"))
	m.Heads = int(f.count(model.MostSmall, "num_attention_heads", "n_heads", "n_head", "num_heads"))
	m.Hidden = int(f.count(model.MostHidden, "hidden_size", "n_embd", "d_model", "dim"))
	m.MLP = int(f.count(model.MostHidden, "intermediate_size", "ffn_hidden_size", "n_inner", "hidden_dim", "ffn_dim"))
	m.Vocabulary = int(f.count(model.MostVocabulary, "vocab_size", "padded_vocab_size"))
	m.Experts = int(f.count(model.MostHidden, "num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts"))
	m.ExpertsPerToken = int(f.count(model.MostHidden, "num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k"))
	m.KVHeads = int(c.kvHeads(f))
	m.HeadDim = int(f.count(model.MostSmall, "head_dim", "hidden_size_per_head", "attention_head_dim"))
	if m.HeadDim == 0 && m.Heads > 0 {
		m.HeadDim = min(m.Hidden/m.Heads, model.MostSmall)
	}
	if m.Heads > 0 && m.KVHeads > 0 && m.Heads%m.KVHeads != 0 {
		f.problem("num_attention_heads", "is %d, which %d num_key_value_heads cannot share evenly", m.Heads, m.KVHeads)
	}
}

// kvHeads is how many heads have a key and a value of their own. Where nothing is said each
// has; Falcon says so by a word.
func (c *hfConfig) kvHeads(f fields) int64 {
	if n := f.count(model.MostSmall, "n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num", "num_attention_groups", "n_kv_heads"); n > 0 {
		many, _ := f.flag("new_decoder_architecture")
		if one, _ := f.flag("multi_query"); !one || many || !strings.HasPrefix(strings.ToLower(c.kind), "falcon") {
			return n
		}
		return 1
	}
	if inner, ok := f.object("attn_config"); ok {
		if n := inner.count(model.MostSmall, "kv_n_heads"); n > 0 {
			return n
		}
	}
	if one, _ := f.flag("multi_query"); one {
		return 1
	}
	return int64(c.model.Heads)
}

// shared says whether words go in and come out through the same matrix. Transformers takes
// that for granted where nothing is said, and most publishers say it; only what is said counts.
func (c *hfConfig) shared(f fields) { c.model.TiedEmbeddings, _ = f.flag("tie_word_embeddings") }

// quantised reads by which method the weights are quantised. The names are those of vLLM's
// flag --quantization.
func (c *hfConfig) quantised(root, text fields) {
	for _, f := range []fields{root, text} {
		for _, key := range []string{"quantization_config", "compression_config"} {
			if q, ok := f.object(key); ok {
				c.model.Quantisation, c.model.QuantisationBits = quantisation(q)
				return
			}
		}
	}
}

// bitsOf are those of the methods that have one width only.
func bitsOf(method string) int {
	const half, quarter = 8, 4
	switch method {
	case "fp8", "modelopt", "fbgemm_fp8", "experts_int8":
		return half
	case "mxfp4", "modelopt_fp4", "petit_nvfp4":
		return quarter
	}
	return 0
}

// quantisation reads one such object.
func quantisation(q fields) (method string, bits int) {
	const most = 16
	method = strings.ReplaceAll(strings.ToLower(q.text("quant_method")), "compressed_tensors", "compressed-tensors")
	if algo := modelopt(q); algo != "" {
		method = algo
	}
	bits = int(q.count(most, "bits", "w_bit", "weight_bits"))
	for key, n := range map[string]int{"load_in_4bit": 4, "load_in_8bit": 8} {
		if set, _ := q.flag(key); set {
			bits = n
		}
	}
	if groups, ok := q.object("config_groups"); ok {
		bits = widestGroup(groups)
	}
	if bits == 0 {
		bits = bitsOf(method)
	}
	return method, bits
}

// widestGroup is the largest width of the groups of compressed-tensors.
func widestGroup(groups fields) int {
	const most = 16
	bits := 0
	for name := range groups.values {
		group, ok := groups.object(name)
		if !ok {
			continue
		}
		if weights, ok := group.object("weights"); ok {
			bits = max(bits, int(weights.count(most, "num_bits")))
		}
	}
	return bits
}

// modelopt is vLLM's name for what NVIDIA's tool did, in both forms of its file.
func modelopt(q fields) string {
	inner := q
	if nested, ok := q.object("quantization"); ok {
		inner = nested
	} else if producer, ok := q.object("producer"); !ok || producer.text("name") != "modelopt" {
		return ""
	}
	switch algo := strings.ToUpper(inner.text("quant_algo")); {
	case strings.HasPrefix(algo, "FP8"):
		return "modelopt"
	case algo == "NVFP4":
		return "modelopt_fp4"
	case algo == "MIXED_PRECISION":
		return "modelopt_mixed"
	}
	return ""
}

// derivedContext is the most tokens that vLLM lets prompt and answer share, by the keys and
// the scaling that it looks at (config/model.py, _get_and_verify_max_len): the smallest of
// those that are there, times the factor of a scaling that is not counted in already.
func derivedContext(f fields, kind string) int64 {
	keys := []string{
		"max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_target_positions",
		"max_sequence_length", "max_seq_length", "seq_len",
	}
	var n int64
	for _, key := range keys {
		if next := f.count(model.MostContext, key); next > 0 && (n == 0 || next < n) {
			n = next
		}
	}
	// Cohere's models say more than they were built for elsewhere.
	if own := f.count(model.MostContext, "model_max_length"); own > 0 {
		n = own
	}
	if n == 0 || strings.Contains(kind, "gemma3") {
		return n
	}
	scaled := float64(n) * ropeFactor(f)
	if scaled > model.MostContext || scaled < 1 {
		f.problem("rope_scaling", "makes a context of %.0f of %d tokens", scaled, n)
		return n
	}
	return int64(scaled)
}

// ropeFactor is the factor by which rotary positions were stretched after the context was
// said; 1 where it is counted in.
func ropeFactor(f fields) float64 {
	factor := 1.0
	for _, key := range []string{"rope_parameters", "rope_scaling"} {
		outer, ok := f.object(key)
		if !ok {
			continue
		}
		for _, rope := range ropes(outer) {
			counted := []string{"su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "default", "mrope"}
			if slices.Contains(counted, rope.text("rope_type", "type")) {
				continue
			}
			if x := rope.factor("factor"); x > 0 {
				factor = x
			}
		}
		return factor
	}
	return factor
}

// ropes are the parameters themselves, or those of each type of layer.
func ropes(outer fields) []fields {
	var inner []fields
	for _, name := range slices.Sorted(keysOf(outer.values)) {
		if _, nested := outer.values[name].(map[string]any); nested {
			each, _ := outer.object(name)
			inner = append(inner, each)
		}
	}
	if len(inner) > 0 && !outer.has("rope_type") && !outer.has("type") {
		return inner
	}
	return []fields{outer}
}
