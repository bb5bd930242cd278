package sizing

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

// ShortestRow is the longest row, in tokens, with which a training is planned before the
// data is known: what does not fit with rows so short fits with none.
const ShortestRow = 16

// TrainAsk is a training that is to be planned on some types of machines.
type TrainAsk struct {
	// Reading is what was read of the Workspace; with an adapter the model is served afterwards.
	Reading
	// Whole refuses a type on which rows so long as the settings allow do not fit; else the
	// longest that do are planned for.
	Whole bool
	// Types are the machines. Retired has those planned for that are sold no more.
	Types   []instance.Type
	Retired bool
	// Nodes are nodes that are there.
	Nodes  []Place
	Prices Prices
}

// TrainPlan is a training in one place.
type TrainPlan struct {
	Place
	model.TunePlan
	// Asked is the most tokens of a row that the settings allow; the plan's load has fewer
	// where rows so long do not fit, and TooLong says then why.
	Asked   int
	TooLong string
	// Headroom is the memory that the plan leaves alone, of the GPU or of the node.
	Headroom model.Bytes
	// Hour is the price of the machine for an hour, where there is one.
	Hour *float64
}

// TrainAnswer is what fits and what does not.
type TrainAnswer struct {
	Plans    []TrainPlan
	Refusals []Refusal
}

// Train plans a training on every type, best first: with the longest rows, then the
// cheapest, then the smallest machine.
func Train(ask TrainAsk, types *instance.Table) TrainAnswer {
	var a TrainAnswer
	for _, at := range places(ask.Types, ask.Nodes) {
		of := at.Type
		if of.Retired && !ask.Retired && len(at.Nodes) == 0 {
			a.Refusals = append(a.Refusals, retiredType(of, types.Successors(of.Name)))
			continue
		}
		plan, why := ask.on(at)
		if why != "" {
			a.Refusals = append(a.Refusals, Refusal{Type: of, Nodes: at.Nodes, Of: at.Of, Reason: v1beta1.ReasonDoesNotFit, Text: at.Text(why)})
			continue
		}
		a.Plans = append(a.Plans, plan)
	}
	slices.SortStableFunc(a.Plans, func(x, y TrainPlan) int {
		return cmp.Or(cmp.Compare(y.Load.Length, x.Load.Length), trainsSooner(x, y), dearer(x.Hour, y.Hour), smaller(x.Type, y.Type))
	})
	slices.SortStableFunc(a.Refusals, byType)
	return a
}

// trainsSooner puts first, of nodes that are there, what the operator would take.
func trainsSooner(x, y TrainPlan) int {
	switch {
	case len(x.Nodes) == 0 || len(y.Nodes) == 0:
		return 0
	case estimate.TrainsBetter(x.TunePlan, y.TunePlan):
		return -1
	case estimate.TrainsBetter(y.TunePlan, x.TunePlan):
		return 1
	}
	return 0
}

// on plans for one place, or says why nothing fits, as the controller says it before the
// data is known.
func (ask TrainAsk) on(at Place) (TrainPlan, string) {
	shape, err := at.part(ask.Partition)
	if err != nil {
		return TrainPlan{}, at.sentence(err)
	}
	with := func(length int) (model.TunePlan, error) {
		return estimate.TuneOnNode(ask.Model, ask.Training.LoadOf(length), shape)
	}
	if _, err := with(ShortestRow); err != nil {
		return TrainPlan{}, at.sentence(err)
	}
	if len(ask.Adapters) > 0 {
		if why := Unservable(ask.Model, ask.Wishes(), []model.NodeShape{shape}); why != "" {
			return TrainPlan{}, TrainedNotServed(why)
		}
	}
	p := TrainPlan{Place: at, Asked: ask.Training.Load.Length}
	plan, err := with(p.Asked)
	if err != nil && ask.Whole {
		return TrainPlan{}, at.sentence(err)
	}
	if err != nil {
		why := err
		longer := sort.Search(p.Asked-ShortestRow, func(i int) bool {
			_, err := with(ShortestRow + 1 + i)
			return err != nil
		})
		if plan, err = with(ShortestRow + longer); err != nil {
			return TrainPlan{}, at.sentence(err)
		}
		p.TooLong = at.sentence(exactly(why, ShortestRow+longer))
	}
	p.TunePlan = plan
	p.Headroom = shape.Memory - plan.Memory.Total()
	if plan.GPU != nil {
		p.Headroom = plan.GPU.Each - plan.GPU.Memory.Total()
	}
	if price, ok := ask.Prices.Of(at.Of); ok {
		p.Hour = &price
	}
	return p, ""
}

// exactly names the longest rows that fit where a refusal names a round number below.
func exactly(err error, longest int) error {
	var large *estimate.TrainingTooLargeError
	if !errors.As(err, &large) {
		return err
	}
	const advice = "set TrainingArguments.max_length to "
	said := *large
	said.Fits = slices.Clone(said.Fits)
	for i, fit := range said.Fits {
		if strings.HasPrefix(fit, advice) {
			said.Fits[i] = fmt.Sprintf("%s%d or less", advice, longest)
		}
	}
	return &said
}
