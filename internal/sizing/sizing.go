// Package sizing answers, before anything is created, on which machines a model runs and
// how: what `kaito plan` prints and what the controller refuses. It has the judgements that
// both make of a Workspace and of a type of machine, without a cluster.
package sizing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine/llamacpp"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

// Ask is what is to be planned: a model, on some types of machines.
type Ask struct {
	Model model.Model
	// Wishes are what the plan shall hold, by engine.
	Wishes model.Wishes
	// Held asks for plans whose KV cache holds as many usual requests as the wishes have
	// slots; without it slots are only how many the engine takes at once.
	Held bool
	// Check, where there is one, refuses plans that do not go together with what else was asked for.
	Check func(model.Plan) *Objection
	// Types are the machines.
	Types []instance.Type
	// Prices are those of types; none is known where it is empty.
	Prices Prices
	// Partition is the part of a node's GPUs that is asked for, or nil.
	Partition *v1beta1.PartitionSpec
}

// Answer is what fits and what does not.
type Answer struct {
	// Plans are those that fit, best first.
	Plans []Plan
	// Refusals are the types that do not, by cloud and name.
	Refusals []Refusal
}

// Plan is a model on one type of machine.
type Plan struct {
	Type instance.Type
	model.Plan
	// Wishes are those that the plan was made with.
	Wishes model.Wishes
	// Tokens is how many tokens the KV cache holds, Requests how many usual requests.
	Tokens, Requests int
	// Headroom is the memory that the plan leaves alone: of the GPUs that it uses, or of a
	// node without; negative is unknown.
	Headroom model.Bytes
	// Limit is what keeps the plan from serving more.
	Limit Limit
	// Hour is the price of the machines for an hour, where there is one.
	Hour *float64
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

// Refusal is a type that a model is not served on.
type Refusal struct {
	Type instance.Type
	// Reason is that of the condition Accepted of a Workspace that asks for it.
	Reason string
	// Text says why, and what would fit.
	Text string
	// Successors are the types that come after a retired one.
	Successors []string
}

// Wishes are those for a context and a number of requests, for each engine; 0 leaves it to
// the planner.
func Wishes(context, slots int) model.Wishes {
	wish := model.Wish{Context: context, Slots: slots}
	return model.Wishes{vllm.Name: wish, llamacpp.Name: wish}
}

// Serve plans a server on every type; the table knows the successors of those that are retired.
func Serve(ask Ask, types *instance.Table) Answer {
	var a Answer
	for _, of := range ask.Types {
		if of.Retired {
			a.Refusals = append(a.Refusals, retiredType(of, types.Successors(of.Name)))
			continue
		}
		plan, err := ask.onType(of)
		if err != nil {
			a.Refusals = append(a.Refusals, Refusal{Type: of, Reason: v1beta1.ReasonDoesNotFit, Text: OfType(Sentence(err), of)})
			continue
		}
		if ask.Check != nil {
			if no := ask.Check(plan.Plan); no != nil {
				a.Refusals = append(a.Refusals, Refusal{Type: of, Reason: no.Condition.Reason, Text: no.Condition.Message})
				continue
			}
		}
		a.Plans = append(a.Plans, plan)
	}
	slices.SortStableFunc(a.Plans, func(x, y Plan) int { return ask.compare(x, y) })
	slices.SortStableFunc(a.Refusals, byType)
	return a
}

func retiredType(of instance.Type, successors []string) Refusal {
	text := v1beta1.RetiredInstanceType(of.Name, successors)
	text = strings.ToUpper(text[:1]) + text[1:]
	return Refusal{Type: of, Reason: v1beta1.ReasonDoesNotFit, Text: text, Successors: successors}
}

// onType plans for one type, on more of its GPUs where the fewest do not hold all requests.
func (ask Ask) onType(of instance.Type) (Plan, error) {
	wishes := ask.Wishes
	shape, err := TypePart(of, ask.Partition)
	if err != nil {
		return Plan{}, err
	}
	first, err := estimate.OnNode(ask.Model, wishes, shape)
	if err != nil {
		return Plan{}, err
	}
	best := ask.planned(of, first, wishes)
	wish := wishes[first.Engine]
	if !ask.Held || first.GPU == nil || wish.Slots <= best.Requests {
		return best, nil
	}
	for n := first.GPU.Count * 2; wish.GPUs == 0 && n <= of.GPUs; n *= 2 {
		more := maps.Clone(wishes)
		spread := wish
		spread.GPUs = n
		more[first.Engine] = spread
		plan, err := estimate.OnNode(ask.Model, more, shape)
		var uneven *estimate.SpreadError
		if errors.As(err, &uneven) {
			break
		}
		if err != nil {
			return Plan{}, err
		}
		if best = ask.planned(of, plan, more); best.Requests >= wish.Slots {
			return best, nil
		}
	}
	return Plan{}, &RequestsError{
		Model: ask.Model.ID, Node: of.Name, GPUs: best.GPU.Count, Product: of.GPU,
		Want: wish.Slots, Holds: best.Requests, Tokens: estimate.RequestTokens(best.Plan),
	}
}

// RequestsError says that a KV cache holds fewer requests than were asked for.
type RequestsError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// GPUs is how many the model can use there, Product what they are called.
	GPUs    int
	Product string
	// Want is what was asked for, Holds what the cache holds, of requests of so many Tokens.
	Want, Holds, Tokens int
}

// Error says what would do.
func (e *RequestsError) Error() string {
	return fmt.Sprintf("model %q on %d x %s of node %q holds %d requests of %d tokens at once, and %d are asked for: it fits with a concurrency of %d or less, or on GPUs with more memory",
		e.Model, e.GPUs, e.Product, e.Node, e.Holds, e.Tokens, e.Want, e.Holds)
}

// planned says of a plan what a reader asks next.
func (ask Ask) planned(of instance.Type, plan model.Plan, wishes model.Wishes) Plan {
	p := Plan{
		Type: of, Plan: plan, Wishes: wishes,
		Tokens: estimate.CacheTokens(ask.Model, wishes, plan), Requests: estimate.Requests(ask.Model, wishes, plan),
	}
	if plan.GPU != nil {
		p.Headroom = plan.GPU.Each*model.Bytes(plan.GPU.Count) - plan.GPU.Memory.Total()
	} else {
		p.Headroom = TypeShape(of).Memory - plan.Memory.Total()
	}
	p.Limit = ask.limit(p, wishes[plan.Engine])
	if price, ok := ask.Prices.Of(of.Name); ok {
		price *= float64(plan.Nodes)
		p.Hour = &price
	}
	return p
}

func (ask Ask) limit(p Plan, wish model.Wish) Limit {
	switch {
	case wish.Slots > 0 && p.Requests >= wish.Slots:
		return LimitAsked
	case p.GPU == nil:
		return LimitCPU
	case p.Context < ask.Model.Context && wish.Context == 0:
		return LimitContext
	case p.Requests > p.Slots:
		return LimitEngine
	}
	return LimitCache
}

// LimitText says in a sentence what a plan's limit is.
func (p Plan) LimitText(m model.Model) string {
	switch p.Limit {
	case LimitContext:
		return fmt.Sprintf("the KV cache holds %d tokens, less than the model's context of %d", p.Tokens, m.Context)
	case LimitCache:
		return fmt.Sprintf("the KV cache holds %d tokens, %d requests of %d", p.Tokens, p.Requests, estimate.RequestTokens(p.Plan))
	case LimitEngine:
		return fmt.Sprintf("%s takes at most %d requests at once; the KV cache would hold %d of %d tokens", p.Engine, p.Slots, p.Requests, estimate.RequestTokens(p.Plan))
	case LimitAsked:
		return fmt.Sprintf("the concurrency of %d that was asked for", p.Slots)
	case LimitCPU:
		return fmt.Sprintf("the processor: more than %d requests at once are not faster together", p.Slots)
	}
	return ""
}

// compare puts first what holds all of the context that is wanted, or the most of it; then
// what is cheapest where both have a price, then what has the fewest GPUs, the least memory
// of GPUs, and the least memory of machines.
func (ask Ask) compare(a, b Plan) int {
	wanted := func(p Plan) int {
		if wish := ask.Wishes[p.Engine]; wish.Context > 0 {
			return 0
		}
		return -p.Context
	}
	return cmp.Or(
		cmp.Compare(wanted(a), wanted(b)),
		dearer(a.Hour, b.Hour),
		smaller(a.Type, b.Type),
	)
}

// smaller puts the type first that has the fewest GPUs, the least memory of GPUs, and the
// least memory of its own.
func smaller(a, b instance.Type) int {
	return cmp.Or(
		cmp.Compare(a.GPUs, b.GPUs),
		cmp.Compare(float64(a.GPUs)*a.MemoryGiB, float64(b.GPUs)*b.MemoryGiB),
		cmp.Compare(a.RAMGiB, b.RAMGiB),
		cmp.Compare(a.CPUs, b.CPUs),
		cmp.Compare(a.Cloud, b.Cloud),
		cmp.Compare(a.Name, b.Name),
	)
}

func byType(a, b Refusal) int {
	return cmp.Or(cmp.Compare(a.Type.Cloud, b.Type.Cloud), cmp.Compare(a.Type.Name, b.Type.Name))
}

// dearer compares two prices; one that is not known comes last.
func dearer(a, b *float64) int {
	switch {
	case a != nil && b != nil:
		return cmp.Compare(*a, *b)
	case a != nil:
		return -1
	case b != nil:
		return 1
	}
	return 0
}
