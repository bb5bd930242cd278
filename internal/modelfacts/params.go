package modelfacts

import "kaito.sh/kaito/internal/model"

// params reads a params.json, Mistral's own form of a configuration, as vLLM 0.33 turns it
// into the usual one (transformers_utils/configs/mistral.py).
func params(raw []byte) (hfConfig, error) {
	const defaultContext = 128_000
	f, err := parse("params.json", raw)
	if err != nil {
		return hfConfig{}, err
	}
	c := hfConfig{kind: "transformer", dtype: f.text("dtype")}
	moe, isMoE := f.object("moe")
	shared := isMoE && moe.count(model.MostHidden, "num_shared_experts") > 0
	c.architectures = []string{architectureOf(f, isMoE, shared)}
	if shared {
		c.kind = "deepseek_v3"
	}
	c.shape(f)
	m := &c.model
	m.TiedEmbeddings, _ = f.flag("tied_embeddings")
	if isMoE {
		m.Experts = int(moe.count(model.MostHidden, "num_experts"))
		m.ExpertsPerToken = int(moe.count(model.MostHidden, "num_experts_per_tok"))
	}
	m.Context = int(f.count(model.MostContext, "max_seq_len", "max_position_embeddings"))
	if m.Context == 0 {
		m.Context = defaultContext
	}
	if own := f.count(model.MostContext, "max_position_embeddings"); own > 0 {
		m.Context = min(m.Context, int(own))
	}
	c.attends(f)
	if q, ok := f.object("quantization"); ok {
		m.Quantisation, m.QuantisationBits = quantisation(q)
		if q.text("qformat_weight") == "fp8_e4m3" {
			m.Quantisation, m.QuantisationBits = "fp8", bitsOf("fp8")
		}
	}
	return c, f.err()
}

func architectureOf(f fields, isMoE, shared bool) string {
	multimodal, _ := f.object("multimodal")
	switch {
	case f.text("model_type") == "mamba":
		return "Mamba2ForCausalLM"
	case f.has("vision_encoder") || multimodal.has("vision_encoder_args"):
		return "PixtralForConditionalGeneration"
	case shared:
		return "MistralLarge3ForCausalLM"
	case isMoE:
		return "MixtralForCausalLM"
	}
	return "MistralForCausalLM"
}
