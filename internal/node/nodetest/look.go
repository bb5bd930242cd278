package nodetest

import (
	"kaito.sh/kaito/internal/node"
)

func lookCases() map[string]check {
	return map[string]check{
		"what nobody asked for is absent": {check: func(w *world) {
			w.state(node.Request{Key: key(1)}, node.Absent)
			w.state(node.Request{Key: key(1), Token: "a token of nothing"}, node.Absent)
			w.creations(0)
		}},
		"the owner of another's machine is the one written on it":                      {check: ownerAsWritten},
		"a list holds what is being made, is ready and has failed, with owner and age": {faults: []Fault{CreationFails, CreationStuck}, check: listsAll},
		"a list after a restart has owner and age": {check: func(w *world) {
			r := w.made(1)
			w.provider = w.Start()
			if o := w.list()[r.Key]; o.Owner != r.Owner || o.CreatedAt.IsZero() {
				w.Errorf("listed as %+v, want the owner %+v and when it was created", o, r.Owner)
			}
		}},
		"a list holds nothing of strangers and other clusters": {check: func(w *world) {
			r := w.made(1)
			w.Cloud.Put(key(2), node.Owner{})
			w.Cloud.Put(key(3), node.Owner{Cluster: "another", ClaimUID: "x", ClaimName: "y"})
			w.Cloud.Settle()
			got := w.list()
			if len(got) != 1 || got[r.Key].State != node.Ready {
				w.Errorf("the list is %+v, want %s alone", got, r.Key)
			}
		}},
		"a list does not hold what was removed": {check: func(w *world) {
			first, second := w.made(1), w.made(2)
			w.list()
			w.gone(first)
			got := w.list()
			if _, there := got[first.Key]; there || len(got) != 1 {
				w.Errorf("the list is %+v, want %s alone", got, second.Key)
			}
		}},
		"a list shows what was removed as on its way out": {faults: []Fault{DeletionSlow}, check: func(w *world) {
			r := w.made(1)
			w.list()
			w.Cloud.Inject(DeletionSlow)
			w.remove(r)
			if o := w.list()[r.Key]; o.State != node.Deleting {
				w.Errorf("the removed machine is listed as %q", o.State)
			}
		}},
		"a list that was refused is an error, never empty": {faults: []Fault{Refused, Throttled}, check: refusedList},
		"looking makes no machine and removes none":        {check: lookingChangesNothing},
	}
}

func listsAll(w *world) {
	failed := w.failed()
	ready := w.made(2)
	w.Cloud.Inject(CreationStuck)
	creating := w.request(3)
	w.ensure(creating)
	got := w.list()
	if len(got) != 3 {
		w.Errorf("%d machines are listed, want 3", len(got))
	}
	for r, want := range map[*node.Request]node.State{&failed: node.Failed, &ready: node.Ready, &creating: node.Creating} {
		o := got[r.Key]
		if o.State != want || o.Owner != r.Owner || o.CreatedAt.IsZero() {
			w.Errorf("%s is listed as %+v, want %s of %+v and when it was created", r.Key, o, want, r.Owner)
		}
	}
}

func refusedList(w *world) {
	w.made(1)
	for _, f := range []Fault{Refused, Throttled} {
		w.provider = w.Start()
		w.Cloud.Inject(f)
		l, err := w.provider.List(w.Context(), cluster)
		w.class(err, node.Auth, node.Throttled)
		if len(l.Machines) != 0 {
			w.Errorf("an error comes with machines: %+v", l)
		}
		w.Cloud.Clear()
		w.Cloud.Settle()
	}
}

func ownerAsWritten(w *world) {
	for name, who := range strangers() {
		k := key(len(name))
		w.Cloud.Put(k, who)
		w.Cloud.Settle()
		if got := w.observe(node.Request{Key: k}).Owner; got != who {
			w.Errorf("%s: the owner is %+v, want %+v", name, got, who)
		}
	}
}

func lookingChangesNothing(w *world) {
	r := w.made(1)
	for range 3 {
		w.observe(r)
		w.list()
		w.observe(node.Request{Key: key(2)})
	}
	w.creations(1)
	if !w.Cloud.Present(r.Key) {
		w.Error("the machine is gone")
	}
}
