package nodetest

import (
	"strings"
	"sync"

	"kaito.sh/kaito/internal/node"
)

func ensureCases() map[string]check {
	return map[string]check{
		"a machine that was asked for is being made, and then ready": {check: becomesReady},
		"the capacity type of a machine is the wanted one":           {check: capacityTypeKept},
		"asking again makes no second machine":                       {check: askedAgain},
		"asking from many sides at once makes one machine":           {check: manySides},
		"two processes that ask at once make one machine":            {check: twoProcesses},
		"two claims have two machines": {check: func(w *world) {
			first, second := w.made(1), w.made(2)
			w.creations(2)
			w.gone(first)
			w.state(second, node.Ready)
		}},
		"after a restart the token goes on": {check: func(w *world) { w.restarted(func(t string) string { return t }) }},
		"after a restart without the token no second machine is made": {check: func(w *world) {
			w.restarted(func(string) string { return "" })
		}},
		"a token that was damaged makes no second machine": {check: func(w *world) {
			w.restarted(func(t string) string { return t[:len(t)/2] + "\x00{" })
		}},
		"a token of another machine makes no second machine": {check: func(w *world) {
			second := w.request(2)
			token := w.ensure(second).Token
			w.restarted(func(string) string { return token })
			w.state(second, node.Ready)
		}},
		"what was accepted and whose answer was lost is found again": {faults: []Fault{AnswerLost}, check: lostAnswer},
		"a creation that fails says why, until it is removed": {faults: []Fault{CreationFails}, check: func(w *world) {
			r := w.failed()
			w.creations(1)
			if o := w.ensure(r); o.State != node.Failed {
				w.Errorf("asked for again, a failed machine is %s", o.State)
			}
			w.creations(1)
			w.gone(r)
			r.Token = ""
			w.ensure(r)
			w.Cloud.Settle()
			w.state(r, node.Ready)
			w.creations(2)
		}},
		"a creation that failed says why after a restart with the token": {faults: []Fault{CreationFails}, check: func(w *world) {
			r := w.failed()
			w.provider = w.Start()
			w.class(w.state(r, node.Failed).Failure, node.Capacity)
		}},
		"a creation that failed is failed after a restart without the token": {faults: []Fault{CreationFails}, check: func(w *world) {
			r := w.failed()
			r.Token = ""
			w.provider = w.Start()
			w.state(r, node.Failed)
		}},
		"a creation that is stuck stays a creation": {faults: []Fault{CreationStuck}, check: func(w *world) {
			w.Cloud.Inject(CreationStuck)
			r := w.request(1)
			r.Token = w.ensure(r).Token
			w.Cloud.Settle()
			w.state(r, node.Creating)
			w.ensure(r)
			w.creations(1)
		}},
		"what is on its way out is not made again before it is gone": {faults: []Fault{DeletionSlow}, check: notMadeWhileRemoved},
		"what vanished is absent, with the token and without": {check: func(w *world) {
			r := w.made(1)
			w.Cloud.Vanish(r.Key)
			w.Cloud.Settle()
			w.state(r, node.Absent)
			r.Token = ""
			w.state(r, node.Absent)
		}},
		"a stranger's machine of the same name is never taken": {check: strangerKept},
	}
}

// strangers are owners that are not the suite's claims, by what sets them apart.
func strangers() map[string]node.Owner {
	return map[string]node.Owner{
		"no mark":         {},
		"another claim":   {Cluster: cluster, ClaimUID: "another", ClaimName: "ws000000001"},
		"another's place": {Cluster: "another", ClaimUID: owner(1).ClaimUID, ClaimName: owner(1).ClaimName},
	}
}

// restarted asks, starts the provider anew and asks with what is left of the token.
func (w *world) restarted(left func(token string) string) {
	w.Helper()
	before := w.Cloud.Creations()
	r := w.request(1)
	r.Token = left(w.ensure(r).Token)
	w.provider = w.Start()
	w.state(r, node.Creating, node.Ready)
	w.ensure(r)
	w.provider = w.Start()
	r.Token = w.ensure(r).Token
	w.Cloud.Settle()
	w.state(r, node.Ready)
	w.creations(before + 1)
}

// failed is a request whose creation failed.
func (w *world) failed() node.Request {
	w.Helper()
	w.Cloud.Inject(CreationFails)
	r := w.request(1)
	r.Token = w.ensure(r).Token
	w.Cloud.Settle()
	w.Cloud.Clear()
	w.class(w.state(r, node.Failed).Failure, node.Capacity)
	return r
}

func becomesReady(w *world) {
	r := w.request(1)
	o := w.ensure(r)
	if o.State != node.Creating && o.State != node.Ready {
		w.Fatalf("a machine that was just asked for is %s", o.State)
	}
	r.Token = o.Token
	w.state(r, node.Creating, node.Ready)
	w.Cloud.Settle()
	o = w.state(r, node.Ready)
	if o.Owner != r.Owner || o.Offer.InstanceType != r.Offer.InstanceType || o.CreatedAt.IsZero() {
		w.Errorf("the machine is %+v, it was asked for as %+v", o, r)
	}
	if o.ProviderID == "" && len(o.NodeLabels) == 0 {
		w.Error("nothing tells which node is this machine's")
	}
	w.creations(1)
}

func manySides(w *world) {
	r := w.request(1)
	var all sync.WaitGroup
	const sides = 8
	for range sides {
		all.Go(func() {
			if _, err := w.provider.Ensure(w.Context(), r); err != nil {
				w.Errorf("ensure: %v", err)
			}
		})
	}
	all.Wait()
	w.creations(1)
	w.Cloud.Settle()
	w.state(r, node.Ready)
}

func twoProcesses(w *world) {
	r := w.request(1)
	other := w.Start()
	var all sync.WaitGroup
	for _, p := range []node.Provider{w.provider, other} {
		all.Go(func() {
			if _, err := p.Ensure(w.Context(), r); err != nil {
				w.Errorf("ensure: %v", err)
			}
		})
	}
	all.Wait()
	w.creations(1)
	w.Cloud.Settle()
	w.state(r, node.Ready)
}

func lostAnswer(w *world) {
	w.Cloud.Inject(AnswerLost)
	r := w.request(1)
	if o, err := w.provider.Ensure(w.Context(), r); err == nil {
		r.Token = o.Token
	} else {
		w.class(err, node.Transient)
	}
	w.Cloud.Clear()
	w.state(r, node.Creating, node.Ready)
	w.ensure(r)
	w.Cloud.Settle()
	w.state(r, node.Ready)
	w.creations(1)
}

func strangerKept(w *world) {
	for name, who := range strangers() {
		r := w.request(len(name))
		w.Cloud.Put(r.Key, who)
		_, err := w.provider.Ensure(w.Context(), r)
		e := w.reason(err, node.Exists)
		if !strings.Contains(e.Error(), string(r.Key)) {
			w.Errorf("%s: %q does not name the machine", name, e)
		}
	}
	w.creations(0)
}

func askedAgain(w *world) {
	r := w.request(1)
	for range 3 {
		r.Token = w.ensure(r).Token
	}
	w.Cloud.Settle()
	for range 3 {
		if o := w.ensure(r); o.State != node.Ready {
			w.Errorf("the machine is %s when asked for again", o.State)
		}
	}
	w.creations(1)
}

func notMadeWhileRemoved(w *world) {
	r := w.made(1)
	w.Cloud.Inject(DeletionSlow)
	w.remove(r)
	w.Cloud.Settle()
	if o := w.ensure(r); o.State != node.Deleting {
		w.Errorf("asked for while it is removed, it is %s", o.State)
	}
	w.creations(1)
	w.Cloud.Clear()
	w.Cloud.Settle()
	w.state(r, node.Absent)
	r.Token = ""
	w.ensure(r)
	w.creations(2)
}

func capacityTypeKept(w *world) {
	shape := node.Shape{InstanceTypes: []string{w.GPU}, CapacityTypes: []string{"spot"}}
	offers, err := w.provider.Offers(w.Context(), shape)
	if err != nil {
		w.Fatal(err)
	}
	r := node.Request{Key: key(1), Owner: owner(1), Shape: shape, Offer: offers[0]}
	r.Token = w.ensure(r).Token
	w.Cloud.Settle()
	if got := w.state(r, node.Ready).Offer.CapacityType; got != "spot" {
		w.Errorf("the machine's capacity type is %q", got)
	}
}
