package sizing

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine/llamacpp"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/model"
)

// MostRequests is more than any engine answers at once.
const MostRequests = 1 << 14

// Asked are the wishes of inference.config with what annotations ask for, of every engine:
// the context, and the number of requests for which there shall be room. Where both say
// something, they must say the same: neither wins in silence.
func Asked(ws *v1beta1.Workspace, m model.Model, wishes model.Wishes) (model.Wishes, *Objection) {
	context, no := numberOf(ws, v1beta1.AnnotationContext, m.Context, fmt.Sprintf("tokens from 1 to %d, the context of model %q", m.Context, m.ID))
	if no != nil {
		return nil, no
	}
	requests, no := numberOf(ws, v1beta1.AnnotationConcurrency, MostRequests, fmt.Sprintf("requests from 1 to %d", MostRequests))
	if no != nil || context == 0 && requests == 0 {
		return wishes, no
	}
	all := maps.Clone(wishes)
	if all == nil {
		all = model.Wishes{}
	}
	for _, f := range wishFlags() {
		wish, no := f.with(ws, all[f.engine], context, requests)
		if no != nil {
			return nil, no
		}
		all[f.engine] = wish
	}
	return all, nil
}

// with is the wish of an engine's flags with what annotations ask for; 0 is nothing.
func (f wishFlag) with(ws *v1beta1.Workspace, wish model.Wish, context, requests int) (model.Wish, *Objection) {
	if context > 0 {
		// llama.cpp counts the context of all requests together.
		total := wish.TotalContext > 0 && wish.TotalContext != context*cmp.Or(requests, wish.Slots)
		if total || wish.Context > 0 && wish.Context != context {
			return wish, twoWords(ws, v1beta1.AnnotationContext, f.engine+"."+f.context, cmp.Or(wish.Context, wish.TotalContext))
		}
		wish.Context, wish.TotalContext = context, 0
	}
	if requests > 0 {
		if wish.Slots > 0 && wish.Slots != requests {
			return wish, twoWords(ws, v1beta1.AnnotationConcurrency, f.engine+"."+f.slots, wish.Slots)
		}
		wish.Slots, wish.Held = requests, true
	}
	return wish, nil
}

// wishFlag names the flags of an engine that say what annotations say.
type wishFlag struct{ engine, context, slots string }

func wishFlags() []wishFlag {
	return []wishFlag{{vllm.Name, "max-model-len", "max-num-seqs"}, {llamacpp.Name, "ctx-size", "parallel"}}
}

// numberOf reads an annotation that counts something; 0 is not set.
func numberOf(ws *v1beta1.Workspace, annotation string, most int, allowed string) (int, *Objection) {
	value, set := ws.Annotations[annotation]
	if !set {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < 1 || n > most {
		return 0, object(v1beta1.InvalidAnnotation(annotation, value, "a number of "+allowed))
	}
	return n, nil
}

// twoWords refuses what is said twice, and differently.
func twoWords(ws *v1beta1.Workspace, annotation, flag string, says int) *Objection {
	return refuse(v1beta1.ReasonInvalidAnnotation, "Annotation %s is %q, and %s of inference.config says %d: leave one of the two out",
		annotation, ws.Annotations[annotation], flag, says)
}
