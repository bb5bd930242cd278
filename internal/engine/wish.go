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
	mostContext  = 1 << 24
	mostSlots    = 1 << 14
	mostGPUs     = 1 << 10
	mostCache    = 1 << 24 // MiB
	mostRank     = 1 << 16
	mostAdapters = 1 << 10
)

// hearing puts the value of a flag into the wish, or says what it should be.
type hearing func(w *model.Wish, text string) (want string)

// hearings are the flags that shape the plan, by engine and name. The plan writes
// these flags itself, so that what is reserved and what runs are the same.
func hearings() map[string]hearing {
	context := func(w *model.Wish) *int { return &w.Context }
	slots := func(w *model.Wish) *int { return &w.Slots }
	return map[string]hearing{
		"vllm.max-model-len":          unless([]string{"auto", "-1"}, whole(context, 1, mostContext)),
		"vllm.max-num-seqs":           whole(slots, 1, mostSlots),
		"vllm.tensor-parallel-size":   whole(func(w *model.Wish) *int { return &w.GPUs }, 1, mostGPUs),
		"vllm.data-parallel-size":     whole(func(w *model.Wish) *int { return &w.Copies }, 1, mostGPUs),
		"vllm.gpu-memory-utilization": utilisation,
		"vllm.kv-cache-dtype":         cacheType,
		"vllm.max-lora-rank":          whole(func(w *model.Wish) *int { return &w.Adapters.MaxRank }, 1, mostRank),
		"vllm.max-loras":              whole(func(w *model.Wish) *int { return &w.Adapters.AtOnce }, 1, mostAdapters),
		"llamacpp.ctx-size":           whole(func(w *model.Wish) *int { return &w.TotalContext }, 0, mostContext),
		"llamacpp.parallel":           whole(slots, -1, mostSlots),
		"llamacpp.cache-ram":          promptCache,
	}
}

// hear lets a flag shape the plan, if it is one that does.
func hear(w *model.Wish, engine string, a flags.Argument) error {
	h, ok := hearings()[engine+"."+a.Flag.Name]
	if !ok || len(a.Values) == 0 {
		return nil
	}
	if want := h(w, a.Values[0]); want != "" {
		return &flags.ValueError{Flag: a.Flag.Name, Value: a.Values[0], Want: want}
	}
	return nil
}

// whole is a number within bounds; 0 and less leave it to the plan.
func whole(into func(*model.Wish) *int, least, most int) hearing {
	return func(w *model.Wish, text string) string {
		n, err := Count(text)
		if err != nil || n < least || n > most {
			return fmt.Sprintf("a whole number from %d to %d", least, most)
		}
		*into(w) = max(0, n)
		return ""
	}
}

// unless leaves some words to the plan.
func unless(words []string, otherwise hearing) hearing {
	return func(w *model.Wish, text string) string {
		for _, word := range words {
			if text == word {
				return ""
			}
		}
		return otherwise(w, text)
	}
}

func utilisation(w *model.Wish, text string) string {
	part, err := strconv.ParseFloat(text, 64)
	if err != nil || part <= 0 || part > 1 {
		return "a part of 1, such as 0.9"
	}
	w.Utilisation = part
	return ""
}

// cacheType counts the bits of a number in vLLM's KV cache where we are sure: fewer
// bits hold more tokens, so a doubt is 16.
func cacheType(w *model.Wish, text string) string {
	const most, half = 16, 8
	w.CacheBits = most
	if strings.HasPrefix(text, "fp8") {
		w.CacheBits = half
	}
	return ""
}

func promptCache(w *model.Wish, text string) string {
	mib, err := Count(text)
	if err != nil || mib < 0 || mib > mostCache {
		return fmt.Sprintf("a whole number of MiB from 0 to %d", mostCache)
	}
	cache := model.Bytes(mib) * model.MiB
	w.PromptCache = &cache
	return ""
}

// Count reads a whole number or a size with a unit as vLLM does: k is 1000, K is 1024.
func Count(text string) (int, error) {
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
