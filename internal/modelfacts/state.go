package modelfacts

import "kaito.sh/kaito/internal/model"

// stateBytes is what one request keeps in all layers that keep a state, or 0 where the
// configuration does not say it: the window of a convolution and a matrix for each head, at 32
// bits, the most that an engine takes for them (vLLM 0.33, model_executor/layers/mamba/
// mamba_utils.py: mamba2_state_shape as NemotronH fills it, gated_delta_net_state_shape).
func stateBytes(f fields, layers []layerKind) model.Bytes {
	const bytesPerNumber = 4
	numbers := gatedDelta(f)
	if numbers == 0 {
		numbers = mamba2(f)
	}
	total := numbers * bytesPerNumber * int64(count(layers, keepsState))
	if total > model.MostState {
		f.problem("layers with a state", "keep %d bytes of each request, and at most %d make sense", total, int64(model.MostState))
		return 0
	}
	return model.Bytes(total)
}

// gatedDelta is Qwen3-Next's and Qwen3.5's.
func gatedDelta(f fields) int64 {
	of := func(key string) int64 { return f.count(model.MostSmall, key) }
	keys, values := of("linear_num_key_heads"), of("linear_num_value_heads")
	wide, high, kernel := of("linear_key_head_dim"), of("linear_value_head_dim"), of("linear_conv_kernel_dim")
	if keys == 0 || values == 0 || wide == 0 || high == 0 || kernel == 0 {
		return 0
	}
	return (2*wide*keys+high*values)*(kernel-1) + values*high*wide
}

// mamba2 is Nemotron-H's.
func mamba2(f fields) int64 {
	of := func(key string) int64 { return f.count(model.MostSmall, key) }
	heads, wide, state := of("mamba_num_heads"), of("mamba_head_dim"), of("ssm_state_size")
	groups, kernel := of("n_groups"), of("conv_kernel")
	if heads == 0 || wide == 0 || state == 0 || groups == 0 || kernel == 0 {
		return 0
	}
	return (heads*wide+2*groups*state)*(kernel-1) + heads*wide*state
}
