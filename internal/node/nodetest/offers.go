package nodetest

import (
	"strings"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/node"
)

func offerCases() map[string]check {
	return map[string]check{
		"offers come in the order of types, and are by region": {check: func(w *world) {
			got := w.offers(node.Shape{InstanceTypes: []string{w.Other, w.GPU}})
			want := []string{w.Other + " on-demand ", w.GPU + " on-demand "}
			if diff := cmp.Diff(want, got); diff != "" {
				w.Errorf("offers (-want +got):\n%s", diff)
			}
		}},
		"the wish for a capacity type weighs more than that for a type": {check: func(w *world) {
			got := w.offers(node.Shape{InstanceTypes: []string{w.GPU, w.Other}, CapacityTypes: []string{"spot", "on-demand"}})
			want := []string{w.GPU + " spot ", w.Other + " spot ", w.GPU + " on-demand ", w.Other + " on-demand "}
			if diff := cmp.Diff(want, got); diff != "" {
				w.Errorf("offers (-want +got):\n%s", diff)
			}
		}},
		"an offer says how many GPUs there are": {check: func(w *world) {
			for name, want := range map[string]int{w.GPU: w.GPUs, w.CPU: 0} {
				if got := w.request(1, name).Offer.GPUs; got != want {
					w.Errorf("%s is offered with %d GPUs, want %d", name, got, want)
				}
			}
		}},
		"a type that nobody knows is invalid, and the nearest are named": {check: func(w *world) {
			near := w.GPU[:len(w.GPU)-1] + "9"
			for _, unknown := range []string{near[3:], "no such type", ""} {
				_, err := w.provider.Offers(w.Context(), node.Shape{InstanceTypes: []string{unknown}})
				e := w.reason(err, node.Invalid)
				if unknown == near[3:] && !strings.Contains(e.Message+e.Fix, w.GPU) {
					w.Errorf("%q is refused without naming %s: %v %s", unknown, w.GPU, e, e.Fix)
				}
			}
		}},
		"no type at all is invalid": {check: func(w *world) {
			_, err := w.provider.Offers(w.Context(), node.Shape{})
			w.class(err, node.Invalid)
		}},
		"a type that is known and retired is offered, and the cloud refuses it": {faults: []Fault{Retired}, check: func(w *world) {
			w.Cloud.Inject(Retired)
			e := w.refused(w.request(1, w.Gone))
			w.class(e, node.SKUUnavailable)
			if !e.Lasting() || e.Fix == "" {
				w.Errorf("a retired type is no lasting error, or nothing is advised: %+v", e)
			}
		}},
	}
}

// offers are a shape's offers in short.
func (w *world) offers(shape node.Shape) []string {
	w.Helper()
	offers, err := w.provider.Offers(w.Context(), shape)
	if err != nil {
		w.Fatalf("offers: %v", err)
	}
	var short []string
	for _, o := range offers {
		short = append(short, o.InstanceType+" "+o.CapacityType+" "+o.Zone)
	}
	return short
}
