// Package sizing answers, before anything is created, on which machines a model runs and
// how: what `kaito plan` prints and what the controller refuses. It has the judgements that
// both make of a Workspace and of a type of machine, without a cluster.
package sizing

import (
	"cmp"
	"fmt"
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
	// Check, where there is one, refuses plans that do not go together with what else was asked for.
	Check func(model.Plan) *Objection
	// Types are the machines. Retired has those planned for that are sold no more.
	Types   []instance.Type
	Retired bool
	// Nodes are nodes that are there.
	Nodes []Place
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

// Plan is a model in one place.
type Plan struct {
	Place
	model.Plan
	// Wishes are those that the plan was made with.
	Wishes model.Wishes
	Figures
	// Hour is the price of the machines for an hour, where there is one.
	Hour *float64
}

// Refusal is a type that a model is not served on.
type Refusal struct {
	Type instance.Type
	// Reason is that of the condition Accepted of a Workspace that asks for it.
	Reason string
	// Text says why, and what would fit.
	Text string
	// Successors are the types that come after a retired one.
	Successors []string
	// Nodes are the names of nodes that are there and alike, Of the type that they say to be
	// of; of a type there are none.
	Nodes []string
	Of    string
}

// Wishes are those for a context and room for a number of requests, for each engine; 0
// leaves it to the planner.
func Wishes(context, requests int) model.Wishes {
	wish := model.Wish{Context: context, Slots: requests, Held: requests > 0}
	return model.Wishes{vllm.Name: wish, llamacpp.Name: wish}
}

// Serve plans a server on every type; the table knows the successors of those that are retired.
func Serve(ask Ask, types *instance.Table) Answer {
	var a Answer
	for _, at := range places(ask.Types, ask.Nodes) {
		of := at.Type
		if of.Retired && !ask.Retired && len(at.Nodes) == 0 {
			a.Refusals = append(a.Refusals, retiredType(of, types.Successors(of.Name)))
			continue
		}
		plan, err := ask.on(at)
		if err != nil {
			a.Refusals = append(a.Refusals, Refusal{Type: of, Nodes: at.Nodes, Of: at.Of, Reason: v1beta1.ReasonDoesNotFit, Text: at.sentence(err)})
			continue
		}
		if ask.Check != nil {
			if no := ask.Check(plan.Plan); no != nil {
				a.Refusals = append(a.Refusals, Refusal{Type: of, Nodes: at.Nodes, Of: at.Of, Reason: no.Condition.Reason, Text: no.Condition.Message})
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

// on plans for one place.
func (ask Ask) on(at Place) (Plan, error) {
	var err error
	if at.Shape, err = at.part(ask.Partition); err != nil {
		return Plan{}, err
	}
	plan, err := estimate.OnNode(ask.Model, ask.Wishes, at.Shape)
	if err == nil && len(at.Nodes) > 0 && plan.Nodes > len(at.Nodes) {
		plan, _, err = estimate.Best(ask.Model, ask.Wishes, at.shapes()) // which says how many are missing
	}
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Place: at, Plan: plan, Wishes: ask.Wishes, Figures: FiguresOf(ask.Model, ask.Wishes, plan, at.Shape.Memory)}
	if price, ok := ask.Prices.Of(at.Of); ok {
		price *= float64(plan.Nodes)
		p.Hour = &price
	}
	return p, nil
}

// shapes are those of the nodes of a place, each.
func (at Place) shapes() []model.NodeShape {
	var all []model.NodeShape
	for _, name := range at.Nodes {
		one := at.Shape
		one.Name = name
		all = append(all, one)
	}
	return all
}

// LimitText says in a sentence what a plan's limit is.
func (p Plan) LimitText(m model.Model) string {
	switch p.Limit {
	case LimitContext:
		return fmt.Sprintf("the KV cache holds %d tokens, less than the model's context of %d", p.Tokens, m.Context)
	case LimitCache:
		requests := "requests"
		if p.Requests == 1 {
			requests = "request"
		}
		return fmt.Sprintf("the KV cache holds %d tokens, %d %s of %d", p.Tokens, p.Requests, requests, estimate.RequestTokens(p.Plan))
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
// what is cheapest where both have a price, then what has the fewest nodes, the fewest GPUs,
// the least memory of GPUs, and the least memory of machines.
func (ask Ask) compare(a, b Plan) int {
	wanted := func(p Plan) int {
		if wish := ask.Wishes[p.Engine]; wish.Context > 0 {
			return 0
		}
		return -p.Context
	}
	return cmp.Or(
		servesSooner(a, b),
		cmp.Compare(wanted(a), wanted(b)),
		dearer(a.Hour, b.Hour),
		cmp.Compare(a.Plan.Nodes, b.Plan.Nodes),
		smaller(a.Type, b.Type),
	)
}

// servesSooner puts first, of nodes that are there, what the operator would take: what can do
// the most, for they are paid for.
func servesSooner(a, b Plan) int {
	switch {
	case len(a.Place.Nodes) == 0 || len(b.Place.Nodes) == 0:
		return 0
	case estimate.Better(a.Plan, b.Plan):
		return -1
	case estimate.Better(b.Plan, a.Plan):
		return 1
	}
	return 0
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
