package estimate

import (
	"sort"
	"strings"

	"kaito.sh/kaito/internal/model"
)

const (
	// bytesOfCache are those of a number in the KV cache unless it is quantised.
	bytesOfCache = 2
	// batchedTokens is the most that vLLM computes in one step, its default of
	// --max-num-batched-tokens on cards of 70 GiB and more; on others it is less. A layer
	// with a window keeps so many beside the window (vLLM, v1/kv_cache_interface.py,
	// SlidingWindowSpec.max_memory_usage_bytes).
	batchedTokens = 8192
	// ropeBytes and scaleBytes are those of fp8_ds_mla, vLLM's 8-bit cache of sparse latent
	// attention: rotary keys stay at 16 bits, and each 128 numbers have a scale of 32 bits.
	// 512 and 64 numbers are 656 bytes (vLLM, v1/attention/backends/mla/flashmla_sparse.py).
	ropeBytes, scaleBytes, scaled = 2, 4, 128
)

// cacheCost is what one request takes of the KV cache of each GPU.
type cacheCost struct {
	// perToken is what every token takes, windowed what it takes while it is in the windows.
	perToken, windowed model.Bytes
	// window is how many tokens are in the windows; 0 is no window.
	window int
	// state is taken once.
	state model.Bytes
}

// costOn is what a request takes on each GPU of the fullest stage. KV heads are shared out,
// and copied where there are more GPUs than KV heads; a latent vector belongs to all heads,
// so each GPU keeps all of it (vLLM, MLAAttentionSpec). A stage keeps for its own layers.
func costOn(m model.Model, wish model.Wish, l layout) cacheCost {
	layer := model.Bytes(layerBytes(m, cacheBits(m, wish), l.tensor))
	full, windowed, state := stageKeeps(m, l.stages())
	c := cacheCost{perToken: layer * model.Bytes(full), state: state}
	if windowed > 0 {
		c.windowed = layer * model.Bytes(windowed)
		c.window = m.Attention.Window - 1 + batchedTokens + cacheBlock
		return c
	}
	c.perToken = max(1, c.perToken)
	return c
}

// layerBytes is what one layer keeps of one token on each of n GPUs, at so many bits a number.
func layerBytes(m model.Model, bits, n int) int {
	const perByte, half = 8, 8
	a := m.Attention
	if a.Kind != model.AttentionLatent {
		heads := max(1, (m.KVHeads+n-1)/n)
		return m.KVNumbers()/m.KVHeads*heads*bits/perByte + a.IndexBytes
	}
	if a.Indexed && bits == half {
		return a.Latent + (a.Latent+scaled-1)/scaled*scaleBytes + a.Rope*ropeBytes + a.IndexBytes
	}
	return m.KVNumbers()*bits/perByte + a.IndexBytes
}

// cacheBits are those of a number in vLLM's cache: what the user says, else what the
// catalog sets for the model, else 16.
func cacheBits(m model.Model, wish model.Wish) int {
	const most, half = 16, 8
	switch {
	case wish.CacheBits > 0:
		return wish.CacheBits
	case strings.HasPrefix(m.VLLM["kv-cache-dtype"], "fp8"):
		return half
	}
	return most
}

// of is what a request of so many tokens takes, in whole blocks.
func (c cacheCost) of(tokens int) model.Bytes {
	blocks := (tokens + cacheBlock - 1) / cacheBlock * cacheBlock
	kept := blocks
	if c.window > 0 {
		kept = min(blocks, c.window)
	}
	return c.state + c.perToken*model.Bytes(blocks) + c.windowed*model.Bytes(kept)
}

// inAll is what a token takes while all layers keep it.
func (c cacheCost) inAll() model.Bytes { return c.perToken + c.windowed }

// whole rounds a room down to blocks of all layers, as vLLM hands them out.
func (c cacheCost) whole(room model.Bytes) model.Bytes {
	block := cacheBlock * c.inAll()
	return room / block * block
}

// longest is the longest request, in whole blocks and at most so many tokens, that a room holds.
func (c cacheCost) longest(room model.Bytes, most int) int {
	if c.of(most) <= room {
		return most
	}
	blocks := sort.Search(most/cacheBlock+1, func(i int) bool { return c.of((i+1)*cacheBlock) > room })
	return min(most, blocks*cacheBlock)
}
