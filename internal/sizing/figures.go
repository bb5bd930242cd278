package sizing

import (
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

// Figures are what a reader asks next of a plan.
type Figures struct {
	// Tokens is how many tokens the KV cache holds, Requests how many usual requests.
	Tokens, Requests int
	// Headroom is the memory that the plan leaves alone: of the GPUs that it uses, or of a
	// node without.
	Headroom model.Bytes
	// Limit is what keeps the plan from serving more.
	Limit Limit
}

// Limit is what keeps a plan from serving more.
type Limit string

// What limits plans.
const (
	// LimitContext is a cache that holds less than one request of the model's whole context.
	LimitContext Limit = "context"
	// LimitCache is a cache that holds no more requests.
	LimitCache Limit = "cache"
	// LimitEngine is the number of requests that an engine takes at once.
	LimitEngine Limit = "engine"
	// LimitAsked is a number of requests that was asked for.
	LimitAsked Limit = "asked"
	// LimitCPU is the processor: more requests at once would only be slower each.
	LimitCPU Limit = "cpu"
)

// FiguresOf are those of a plan that was made with these wishes, on a node with so much memory.
func FiguresOf(m model.Model, wishes model.Wishes, plan model.Plan, memory model.Bytes) Figures {
	f := Figures{
		Tokens: estimate.CacheTokens(m, wishes, plan), Requests: estimate.Requests(m, wishes, plan),
		Headroom: memory - plan.Memory.Total(),
	}
	if plan.GPU != nil {
		f.Headroom = plan.GPU.Each*model.Bytes(plan.AllGPUs()) - plan.GPU.Memory.Total()
	}
	f.Limit = limit(m, wishes[plan.Engine], plan, f.Requests)
	return f
}

// limit is what keeps a plan, whose cache holds so many requests, from serving more.
func limit(m model.Model, wish model.Wish, plan model.Plan, requests int) Limit {
	switch {
	case wish.Slots > 0 && requests >= wish.Slots:
		return LimitAsked
	case plan.GPU == nil:
		return LimitCPU
	case plan.Context < m.Context && wish.Context == 0:
		return LimitContext
	case requests > plan.Slots:
		return LimitEngine
	}
	return LimitCache
}
