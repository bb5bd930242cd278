package engine

import (
	"fmt"
	"strconv"
	"strings"

	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// Bounds of what a plan is asked for; no model or machine reaches them.
const (
	mostContext = 1 << 24
	mostSlots   = 1 << 14
	mostGPUs    = 1 << 10
	mostCache   = 1 << 24 // MiB
)

// hear puts the value of a flag that shapes the plan into the wish. The plan writes
// these flags itself, so that what is reserved and what runs are the same.
func hear(w *model.Wish, engine string, a flags.Argument) error {
	if len(a.Values) == 0 {
		return nil
	}
	name, text := a.Flag.Name, a.Values[0]
	whole := func(into *int, least, most int) error {
		n, err := count(text)
		if err != nil || n < least || n > most {
			return &flags.ValueError{Flag: name, Value: text, Want: fmt.Sprintf("a whole number from %d to %d", least, most)}
		}
		*into = max(0, n) // below 0 and 0 leave it to the plan
		return nil
	}
	switch engine + "." + name {
	case "vllm.max-model-len":
		if text == "auto" || text == "-1" {
			return nil
		}
		return whole(&w.Context, 1, mostContext)
	case "vllm.max-num-seqs":
		return whole(&w.Slots, 1, mostSlots)
	case "vllm.tensor-parallel-size":
		return whole(&w.GPUs, 1, mostGPUs)
	case "vllm.kv-cache-dtype":
		w.CacheBits = cacheBits(text)
	case "vllm.gpu-memory-utilization":
		part, err := strconv.ParseFloat(text, 64)
		if err != nil || part <= 0 || part > 1 {
			return &flags.ValueError{Flag: name, Value: text, Want: "a part of 1, such as 0.9"}
		}
		w.Utilisation = part
	case "llamacpp.ctx-size":
		return whole(&w.TotalContext, 0, mostContext)
	case "llamacpp.parallel":
		return whole(&w.Slots, -1, mostSlots)
	case "llamacpp.cache-ram":
		var mib int
		if err := whole(&mib, 0, mostCache); err != nil {
			return err
		}
		cache := model.Bytes(mib) * model.MiB
		w.PromptCache = &cache
	}
	return nil
}

// cacheBits are those of a number in vLLM's KV cache, where we are sure: fewer bits
// hold more tokens, so a doubt is 16.
func cacheBits(dtype string) int {
	const whole, half = 16, 8
	if strings.HasPrefix(dtype, "fp8") {
		return half
	}
	return whole
}

// count reads a whole number or a size with a unit as vLLM does: k is 1000, K is 1024.
func count(text string) (int, error) {
	units := map[string]float64{
		"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12,
		"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
	}
	if text != "" {
		if unit, ok := units[text[len(text)-1:]]; ok {
			f, err := strconv.ParseFloat(text[:len(text)-1], 64)
			if err != nil || f*unit > 1<<53 {
				return 0, fmt.Errorf("%q is out of range", text)
			}
			return int(f * unit), nil
		}
	}
	return strconv.Atoi(text)
}
