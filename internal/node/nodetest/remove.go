package nodetest

import (
	"kaito.sh/kaito/internal/node"
)

func removeCases() map[string]check {
	return map[string]check{
		"a removed machine is on its way out, and then absent": {check: func(w *world) {
			r := w.made(1)
			w.remove(r)
			w.state(r, node.Deleting, node.Absent)
			w.Cloud.Settle()
			w.state(r, node.Absent)
			if w.Cloud.Present(r.Key) {
				w.Error("the machine stands there after its removal")
			}
		}},
		"removing twice is one removal": {check: func(w *world) {
			r := w.made(1)
			w.remove(r)
			w.remove(r)
			w.Cloud.Settle()
			if o := w.remove(r); o.State != node.Absent {
				w.Errorf("a machine that is gone is %s", o.State)
			}
		}},
		"removing what never was is a success": {check: func(w *world) {
			if o := w.remove(node.Request{Key: key(1), Owner: owner(1)}); o.State != node.Absent {
				w.Errorf("what never was is %s", o.State)
			}
		}},
		"what is being made can be removed": {check: func(w *world) {
			r := w.request(1)
			r.Token = w.ensure(r).Token
			w.gone(r)
			w.state(r, node.Absent)
			w.creations(1)
		}},
		"what is stuck in the making can be removed": {faults: []Fault{CreationStuck}, check: func(w *world) {
			w.Cloud.Inject(CreationStuck)
			r := w.request(1)
			r.Token = w.ensure(r).Token
			w.Cloud.Settle()
			w.gone(r)
			w.state(r, node.Absent)
		}},
		"what is being made can be removed after a restart without the token": {check: func(w *world) {
			r := w.request(1)
			w.ensure(r)
			w.provider = w.Start()
			w.gone(r)
		}},
		"what was asked for with a lost answer can be removed at once": {faults: []Fault{AnswerLost}, check: lostCreationRemoved},
		"a failed machine can be removed": {faults: []Fault{CreationFails}, check: func(w *world) {
			r := w.failed()
			w.gone(r)
			w.state(r, node.Absent)
		}},
		"a failed machine that was removed once is absent later, asked with its token": {faults: []Fault{CreationFails}, check: func(w *world) {
			r := w.failed()
			w.remove(r)
			w.Cloud.Settle()
			w.state(r, node.Absent)
		}},
		"a removal whose answer was lost is a removal":                     {faults: []Fault{AnswerLost}, check: lostRemoval},
		"a removal that is refused as busy is a conflict, and works later": {faults: []Fault{Busy}, check: busyRemoval},
		"a slow removal is under way until it has ended":                   {faults: []Fault{DeletionSlow}, check: slowRemoval},
		"a stranger's machine is not removed":                              {check: strangerNotRemoved},
		"a machine is removed by its owner alone":                          {check: removedByOwner},
		"a stranger's machine is not started again": {check: func(w *world) {
			w.Cloud.Put(key(1), node.Owner{})
			w.class(w.provider.Reboot(w.Context(), key(1), owner(1)), node.Exists, node.Unsupported)
		}},
		"a machine is started again, or that cannot be done": {check: func(w *world) {
			r := w.made(1)
			if err := w.provider.Reboot(w.Context(), r.Key, r.Owner); err != nil {
				w.class(err, node.Unsupported)
			}
			w.Cloud.Settle()
			w.state(r, node.Ready)
			w.creations(1)
		}},
	}
}

func strangerNotRemoved(w *world) {
	for name, who := range strangers() {
		r := w.request(len(name))
		w.Cloud.Put(r.Key, who)
		_, err := w.provider.Remove(w.Context(), r.Key, r.Owner)
		w.class(err, node.Exists)
		w.Cloud.Settle()
		if !w.Cloud.Present(r.Key) {
			w.Errorf("%s: the machine of another was removed", name)
		}
		w.state(r, node.Ready)
	}
}

func slowRemoval(w *world) {
	r := w.made(1)
	w.Cloud.Inject(DeletionSlow)
	for range 3 {
		if o := w.remove(r); o.State != node.Deleting {
			w.Errorf("it is %s while it is being removed", o.State)
		}
		w.Cloud.Settle()
	}
	w.Cloud.Clear()
	w.gone(r)
}

func lostCreationRemoved(w *world) {
	w.Cloud.Inject(AnswerLost)
	r := w.request(1)
	if _, err := w.provider.Ensure(w.Context(), r); err != nil {
		w.class(err, node.Transient)
	}
	w.Cloud.Clear()
	w.gone(r)
}

func lostRemoval(w *world) {
	r := w.made(1)
	w.Cloud.Inject(AnswerLost)
	if _, err := w.provider.Remove(w.Context(), r.Key, r.Owner); err != nil {
		w.class(err, node.Transient)
	}
	w.Cloud.Clear()
	w.Cloud.Settle()
	w.state(r, node.Absent)
}

func busyRemoval(w *world) {
	r := w.made(1)
	w.Cloud.Inject(Busy)
	_, err := w.provider.Remove(w.Context(), r.Key, r.Owner)
	w.class(err, node.Conflict)
	w.state(r, node.Ready)
	w.Cloud.Clear()
	w.gone(r)
}

func removedByOwner(w *world) {
	r := w.made(1)
	_, err := w.provider.Remove(w.Context(), r.Key, owner(2))
	w.class(err, node.Exists)
	_, err = w.provider.Remove(w.Context(), r.Key, node.Owner{})
	w.class(err, node.Exists)
	w.Cloud.Settle()
	w.state(r, node.Ready)
}
