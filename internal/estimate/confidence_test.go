package estimate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

func TestAPlanSaysWhatItAssumed(t *testing.T) {
	t.Parallel()
	h200 := gpuNode(8, "H200", 143771, 9, 0)
	silent := preset(t, "llama-3.1-8b-instruct")
	silent.KVHeads, silent.HeadDim = 0, 0
	hybrid := preset(t, "qwen3.6-27b")
	hybrid.Attention.Layers = 16
	whole := hybrid
	whole.Attention.State = model.MiB
	for name, tc := range map[string]struct {
		model      model.Model
		confidence model.Confidence
		assumed    []string
	}{
		"facts alone":                       {preset(t, "llama-3.3-70b-instruct"), model.ConfidenceHigh, nil},
		"latent attention has all facts":    {preset(t, "deepseek-v3-0324"), model.ConfidenceHigh, nil},
		"a hybrid with all facts":           {whole, model.ConfidenceHigh, nil},
		"windows that nobody wrote down":    {preset(t, "gemma-3-27b-it"), model.ConfidenceLow, []string{"sliding window"}},
		"a hybrid without its layers":       {preset(t, "qwen3.6-27b"), model.ConfidenceLow, []string{"which layers attend"}},
		"a hybrid without its state":        {hybrid, model.ConfidenceLow, []string{"the state of the layers"}},
		"an index that nobody wrote down":   {preset(t, "deepseek-v3.2"), model.ConfidenceLow, []string{"index of sparse attention"}},
		"neither KV heads nor their widths": {silent, model.ConfidenceLow, []string{"the number of KV heads", "the width of a head"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := estimate.OnGPU(tc.model, model.Wish{Context: 4096}, h200)
			if err != nil {
				t.Fatal(err)
			}
			if p.Confidence != tc.confidence || len(p.Assumed) != len(tc.assumed) {
				t.Fatalf("confidence %s because of %q, want %s", p.Confidence, p.Assumed, tc.confidence)
			}
			for i, want := range tc.assumed {
				if !strings.Contains(p.Assumed[i], want) || !strings.Contains(p.Note, p.Assumed[i]) {
					t.Errorf("assumed %q, noted %q, want %q in both", p.Assumed[i], p.Note, want)
				}
			}
			if tc.confidence == model.ConfidenceHigh && p.Note != "" {
				t.Errorf("a note of nothing: %q", p.Note)
			}
		})
	}
}

func TestARefusalSaysWhatItAssumed(t *testing.T) {
	t.Parallel()
	_, err := estimate.OnGPU(preset(t, "gemma-3-27b-it"), model.Wish{Context: 131072}, gpuNode(1, "L4", 23034, 8, 9))
	if err == nil || !strings.Contains(err.Error(), "which layers have a sliding window is not known") {
		t.Errorf("got %v, want that confidence is low", err)
	}
}

// What a layer keeps of a token, by hand, for each kind of attention.
func TestCacheOfEachKindOfAttention(t *testing.T) {
	t.Parallel()
	hybrid := preset(t, "qwen3.6-27b")
	hybrid.Attention.Layers = 16
	indexed := preset(t, "deepseek-v3.2")
	indexed.Attention.IndexBytes = 132
	for name, tc := range map[string]struct {
		model model.Model
		want  model.Bytes
	}{
		// 2 x 32 KV heads x 96 x 32 layers x 2 bytes.
		"multi-head: Phi-3-mini": {preset(t, "phi-3-mini-4k-instruct"), 393216},
		// 2 x 8 x 128 x 80 x 2.
		"grouped queries: Llama-3.3-70B": {preset(t, "llama-3.3-70b-instruct"), 327680},
		// 2 x 1 x 256 x 35 x 2.
		"one KV head: gemma-4-E2B": {preset(t, "gemma-4-e2b-it"), 35840},
		// (512 + 64) x 61 x 2, once and not for each of the 128 heads.
		"latent: DeepSeek-V3": {preset(t, "deepseek-v3-0324"), 70272},
		// (256 + 64) x 36 x 2.
		"latent: Mistral-Small-4": {preset(t, "mistral-small-4-119b-2603"), 23040},
		// ((512 + 64) x 2 + 132) x 61.
		"latent with an index of 132 bytes": {indexed, 78324},
		// 2 x 16 x 128 x 62 x 2: a window lets go of tokens later, and takes no less of a new one.
		"sliding window: gemma-3-27b": {preset(t, "gemma-3-27b-it"), 507904},
		// 2 x 4 x 256 x 16 of 64 layers x 2.
		"hybrid with 16 layers that attend": {hybrid, 65536},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.model.KVBytesPerToken()); diff != "" {
				t.Errorf("bytes a token (-want +got):\n%s", diff)
			}
		})
	}
}

// What a whole request takes of the cache of one GPU, by hand: the plan's KV cache is made to hold exactly it.
func TestCacheOfAWholeRequest(t *testing.T) {
	t.Parallel()
	base := model.Model{
		ID: "m", Context: 65536, Layers: 10, Heads: 8, KVHeads: 2, HeadDim: 64, Hidden: 512,
		Forms: map[model.Form]model.Weights{model.FormHF: {Size: model.GiB}},
	}
	with := func(a model.Attention) model.Model {
		m := base
		m.Attention = a
		return m
	}
	for name, tc := range map[string]struct {
		model model.Model
		wish  model.Wish
		want  model.Bytes
	}{
		// A layer keeps 2 x 2 x 64 x 2 = 512 bytes of a token.
		"full: 10 layers x 512 x 65536":           {base, model.Wish{}, 335544320},
		"full at 8 bits is half":                  {base, model.Wish{CacheBits: 8}, 167772160},
		"full over 2 GPUs is the same together":   {base, model.Wish{GPUs: 2}, 335544320},
		"full over 4 GPUs copies the 2 KV heads":  {base, model.Wish{GPUs: 4}, 671088640},
		"latent: 10 x (64 + 16) x 2 x 65536":      {with(model.Attention{Kind: model.AttentionLatent, Latent: 64, Rope: 16}), model.Wish{}, 104857600},
		"latent over 4 GPUs is whole on each":     {with(model.Attention{Kind: model.AttentionLatent, Latent: 64, Rope: 16}), model.Wish{GPUs: 4}, 419430400},
		"latent with an index of 20 bytes":        {with(model.Attention{Kind: model.AttentionLatent, Latent: 64, Rope: 16, Indexed: true, IndexBytes: 20}), model.Wish{}, 117964800},
		"latent, sparse, at 8 bits: 64 + 4 + 32":  {with(model.Attention{Kind: model.AttentionLatent, Latent: 64, Rope: 16, Indexed: true, IndexBytes: 20}), model.Wish{CacheBits: 8}, 78643200},
		"hybrid: 4 layers attend, 1 MiB of state": {with(model.Attention{Kind: model.AttentionHybrid, Layers: 4, State: model.MiB}), model.Wish{}, 134217728 + 1048576},
		// 2 x 512 x 65536 whole; 8 x 512 of the window of 1024 less one, a step of 8192 and a block of 16.
		"sliding: 8 of 10 layers see 1024": {with(model.Attention{Kind: model.AttentionSliding, Window: 1024, WindowLayers: 8}), model.Wish{}, 67108864 + 4096*9231},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := wholeRequest(t, tc.model, tc.wish); got < tc.want || got >= tc.want+blockOf(tc.model, tc.wish) {
				t.Errorf("the least cache that holds a whole request has %d bytes, want %d and less than a block more", got, tc.want)
			}
		})
	}
}

// blockOf is what vLLM hands out together on all GPUs: 16 tokens of all layers.
func blockOf(m model.Model, wish model.Wish) model.Bytes {
	return 16 * m.KVBytesPerToken() * model.Bytes(max(1, wish.GPUs))
}

// wholeRequest is the KV cache of the smallest GPUs that hold the whole context.
func wholeRequest(t *testing.T, m model.Model, wish model.Wish) model.Bytes {
	t.Helper()
	wish.Context = m.Context
	wish.GPUs = max(1, wish.GPUs)
	plan := func(size model.Bytes) (model.Plan, error) {
		node := gpuNode(wish.GPUs, "X", 0, 9, 0)
		node.GPUs.Memory = size
		return estimate.OnGPU(m, wish, node)
	}
	low, high := model.Bytes(0), 64*model.GiB
	for low+1 < high {
		if middle := (low + high) / 2; fits(plan(middle)) {
			high = middle
		} else {
			low = middle
		}
	}
	p, err := plan(high)
	if err != nil {
		t.Fatal(err)
	}
	return p.GPU.Memory.KVCache
}

func fits(_ model.Plan, err error) bool { return err == nil }
