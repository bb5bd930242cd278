package nodetest

import (
	"context"
	"errors"
	"fmt"

	"kaito.sh/kaito/internal/node"
)

// refusal is a cloud's no: what it means, and whether asking again is of use.
type refusal struct {
	fault   Fault
	class   node.Class
	lasting bool
}

func refusalCases() map[string]check {
	all := map[string]check{
		"throttling holds for the whole provider until its time is over": {faults: []Fault{Throttled}, check: throttled},
		"what the cloud cannot be asked about is an error, never absent": {faults: []Fault{Unreachable}, check: unreachable},
		"an ended context is an error of the context": {check: func(w *world) {
			r := w.request(1)
			ctx, cancel := context.WithCancel(w.Context())
			cancel()
			if _, err := w.provider.Ensure(ctx, r); !errors.Is(err, context.Canceled) {
				w.Errorf("got %v, want that the context ended", err)
			}
			w.Cloud.Settle()
			w.ensure(r)
			w.Cloud.Settle()
			w.state(r, node.Ready)
		}},
		"any error is of a known class": {check: func(w *world) {
			for _, err := range []error{
				errors.New("something"), fmt.Errorf("get: %w", context.DeadlineExceeded), &node.Error{Class: node.Quota, Message: "none left", Zero: true}, nil,
			} {
				e := w.provider.Classify(err)
				if err == nil && e == nil {
					continue
				}
				w.wholeError(e)
				var own *node.Error
				if errors.As(err, &own) && (e.Class != own.Class || e.Zero != own.Zero) {
					w.Errorf("our own error %v became %v", own, e)
				}
			}
		}},
	}
	for _, r := range []refusal{
		{QuotaZero, node.Quota, true},
		{QuotaFull, node.Quota, false},
		{NoCapacity, node.Capacity, false},
		{NotSold, node.SKUUnavailable, true},
		{Refused, node.Auth, true},
		{NoCluster, node.NotFound, true},
		{Busy, node.Conflict, false},
		{Throttled, node.Throttled, false},
		{Unreachable, node.Transient, false},
	} {
		all[fmt.Sprintf("%s: %s, and nothing is left", r.fault, r.class)] = check{faults: []Fault{r.fault}, check: r.check}
	}
	return all
}

// check asks under the fault, twice, and once more after it.
func (want refusal) check(w *world) {
	r := w.request(1)
	w.Cloud.Inject(want.fault)
	first := w.refused(r)
	w.class(first, want.class)
	if first.Lasting() != want.lasting {
		w.Errorf("lasting is %v, want %v: %+v", first.Lasting(), want.lasting, first)
	}
	if first.Lasting() && first.Fix == "" {
		w.Errorf("nothing is advised: %+v", first)
	}
	if want.class == node.Quota && first.Fix == "" {
		w.Error("nobody is told to ask for quota")
	}
	w.Cloud.Settle()
	if want.class != node.Auth && want.class != node.NotFound && want.class != node.Transient && want.class != node.Throttled {
		w.gone(r)
	}
	second := w.refused(r)
	if first.Message != second.Message || first.Fix != second.Fix {
		w.Errorf("the same refusal reads differently:\n%s %s\n%s %s", first.Message, first.Fix, second.Message, second.Fix)
	}
	w.Cloud.Clear()
	w.Cloud.Settle()
	w.gone(r)
	before := w.Cloud.Creations()
	w.ensure(r)
	w.Cloud.Settle()
	w.state(r, node.Ready)
	w.creations(before + 1)
}

func throttled(w *world) {
	r, next := w.made(1), w.request(2)
	w.Cloud.Inject(Throttled)
	_, err := w.provider.Ensure(w.Context(), next)
	if e := w.reason(err, node.Throttled); e.RetryAfter <= 0 {
		w.Errorf("it is not said how long to wait: %+v", e)
	}
	w.Cloud.Clear()
	calls := w.Cloud.Calls()
	_, err = w.provider.Ensure(w.Context(), next)
	w.class(err, node.Throttled)
	_, err = w.provider.Remove(w.Context(), r.Key, r.Owner)
	if e := w.reason(err, node.Throttled); e.RetryAfter <= 0 {
		w.Errorf("it is not said how long to wait: %+v", e)
	}
	if got := w.Cloud.Calls(); got != calls {
		w.Errorf("%d calls went out before the time was over", got-calls)
	}
	w.Cloud.Settle()
	w.ensure(next)
	w.creations(2)
}

func unreachable(w *world) {
	r := w.made(1)
	w.Cloud.Inject(Unreachable)
	w.Cloud.Settle()
	_, err := w.provider.Observe(w.Context(), r.Key, r.Token)
	w.class(err, node.Transient)
	_, err = w.provider.List(w.Context(), cluster)
	w.class(err, node.Transient)
	_, err = w.provider.Remove(w.Context(), r.Key, r.Owner)
	w.class(err, node.Transient)
	_, err = w.provider.Ensure(w.Context(), w.request(2))
	w.class(err, node.Transient)
	w.Cloud.Clear()
	w.Cloud.Settle()
	w.state(r, node.Ready)
	w.creations(1)
}
