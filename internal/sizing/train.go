package sizing

import (
	"cmp"
	"slices"
	"sort"

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
	Types  []instance.Type
	Prices Prices
}

// TrainPlan is a training on one type of machine.
type TrainPlan struct {
	Type instance.Type
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
	for _, of := range ask.Types {
		if of.Retired {
			a.Refusals = append(a.Refusals, retiredType(of, types.Successors(of.Name)))
			continue
		}
		plan, why := ask.onType(of)
		if why != "" {
			a.Refusals = append(a.Refusals, Refusal{Type: of, Reason: v1beta1.ReasonDoesNotFit, Text: OfType(why, of)})
			continue
		}
		a.Plans = append(a.Plans, plan)
	}
	slices.SortStableFunc(a.Plans, func(x, y TrainPlan) int {
		return cmp.Or(cmp.Compare(y.Load.Length, x.Load.Length), dearer(x.Hour, y.Hour), smaller(x.Type, y.Type))
	})
	slices.SortStableFunc(a.Refusals, byType)
	return a
}

// onType plans for one type, or says why nothing fits, as the controller says it before the
// data is known.
func (ask TrainAsk) onType(of instance.Type) (TrainPlan, string) {
	shape, err := TypePart(of, ask.Partition)
	if err != nil {
		return TrainPlan{}, Sentence(err)
	}
	with := func(length int) (model.TunePlan, error) {
		return estimate.TuneOnNode(ask.Model, ask.Training.LoadOf(length), shape)
	}
	if _, err := with(ShortestRow); err != nil {
		return TrainPlan{}, Sentence(err)
	}
	if len(ask.Adapters) > 0 {
		if why := Unservable(ask.Model, ask.Wishes(), []model.NodeShape{shape}); why != "" {
			return TrainPlan{}, TrainedNotServed(why)
		}
	}
	p := TrainPlan{Type: of, Asked: ask.Training.Load.Length}
	plan, err := with(p.Asked)
	if err != nil {
		p.TooLong = OfType(Sentence(err), of)
		longer := sort.Search(p.Asked-ShortestRow, func(i int) bool {
			_, err := with(ShortestRow + 1 + i)
			return err != nil
		})
		if plan, err = with(ShortestRow + longer); err != nil {
			return TrainPlan{}, Sentence(err)
		}
	}
	p.TunePlan = plan
	p.Headroom = shape.Memory - plan.Memory.Total()
	if plan.GPU != nil {
		p.Headroom = plan.GPU.Each - plan.GPU.Memory.Total()
	}
	if price, ok := ask.Prices.Of(of.Name); ok {
		p.Hour = &price
	}
	return p, ""
}
