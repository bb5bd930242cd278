package nodetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"kaito.sh/kaito/internal/node"
)

// cluster is the cluster that the suite's machines belong to.
const cluster = "5f2c7f5e-11a3-4a53-a7f3-0a35c1f3a1de"

// world is a case's cloud and provider.
type world struct {
	testing.TB
	Harness
	provider node.Provider
}

// owner is the owner of the n-th claim, key its key.
func owner(n int) node.Owner {
	return node.Owner{Cluster: cluster, ClaimUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), ClaimName: fmt.Sprintf("ws%09d", n)}
}

func key(n int) node.Key { return node.KeyOf(cluster, owner(n).ClaimUID) }

// request is a request for the n-th claim's machine, of the best offer for its types.
func (w *world) request(n int, types ...string) node.Request {
	w.Helper()
	if len(types) == 0 {
		types = []string{w.GPU}
	}
	shape := node.Shape{InstanceTypes: types, Labels: map[string]string{"kaito.sh/workspace": "phi"}}
	offers, err := w.provider.Offers(w.Context(), shape)
	if err != nil || len(offers) == 0 {
		w.Fatalf("no offer for %v: %v, %v", types, offers, err)
	}
	return node.Request{Key: key(n), Owner: owner(n), Offer: offers[0], Shape: shape}
}

// ensure asks, and does not take an error for an answer.
func (w *world) ensure(r node.Request) node.Observed {
	w.Helper()
	o, err := w.provider.Ensure(w.Context(), r)
	if err != nil {
		w.Fatalf("ensure %s: %v", r.Key, err)
	}
	w.whole(o, r.Key)
	return o
}

// made is a request whose machine is ready.
func (w *world) made(n int) node.Request {
	w.Helper()
	r := w.request(n)
	r.Token = w.ensure(r).Token
	w.Cloud.Settle()
	w.state(r, node.Ready)
	return r
}

// observe looks, and does not take an error for an answer.
func (w *world) observe(r node.Request) node.Observed {
	w.Helper()
	o, err := w.provider.Observe(w.Context(), r.Key, r.Token)
	if err != nil {
		w.Fatalf("observe %s: %v", r.Key, err)
	}
	w.whole(o, r.Key)
	return o
}

// state looks and wants one of some states.
func (w *world) state(r node.Request, want ...node.State) node.Observed {
	w.Helper()
	o := w.observe(r)
	if !slices.Contains(want, o.State) {
		w.Fatalf("%s is %s, want %v", r.Key, o.State, want)
	}
	return o
}

// whole checks what is true of every answer.
func (w *world) whole(o node.Observed, k node.Key) {
	w.Helper()
	const mostToken = 4 << 10
	known := []node.State{node.Absent, node.Creating, node.Ready, node.Failed, node.Deleting}
	switch {
	case o.Key != k:
		w.Errorf("asked for %s, the answer is about %q", k, o.Key)
	case !slices.Contains(known, o.State):
		w.Errorf("%s is in the unknown state %q", k, o.State)
	case len(o.Token) > mostToken:
		w.Errorf("the token of %s has %d bytes, at most %d are kept", k, len(o.Token), mostToken)
	case (o.State == node.Failed) != (o.Failure != nil):
		w.Errorf("%s is %s with the failure %v", k, o.State, o.Failure)
	}
	if o.Failure != nil {
		w.wholeError(o.Failure)
	}
}

// remove removes, and does not take an error for an answer.
func (w *world) remove(r node.Request) node.Observed {
	w.Helper()
	o, err := w.provider.Remove(w.Context(), r.Key, r.Owner)
	if err != nil {
		w.Fatalf("remove %s: %v", r.Key, err)
	}
	w.whole(o, r.Key)
	if o.State != node.Deleting && o.State != node.Absent {
		w.Fatalf("removed %s is %s", r.Key, o.State)
	}
	return o
}

// gone removes as often as it takes; a provider may answer Conflict in between.
func (w *world) gone(r node.Request) {
	w.Helper()
	const tries = 5
	for range tries {
		o, err := w.provider.Remove(w.Context(), r.Key, r.Owner)
		if err != nil {
			w.class(err, node.Conflict)
		} else if o.State == node.Absent {
			if w.Cloud.Present(r.Key) {
				w.Fatalf("%s is said to be absent and stands there", r.Key)
			}
			return
		}
		w.Cloud.Settle()
	}
	w.Fatalf("%s is still there after it was removed %d times", r.Key, tries)
}

// class wants an error of one of some classes.
func (w *world) class(err error, want ...node.Class) {
	w.Helper()
	_ = w.reason(err, want...)
}

// reason is class, and gives the error.
func (w *world) reason(err error, want ...node.Class) *node.Error {
	w.Helper()
	var e *node.Error
	if !errors.As(err, &e) {
		w.Fatalf("got the error %v (%T), want a *node.Error of class %v", err, err, want)
	}
	w.wholeError(e)
	if !slices.Contains(want, e.Class) {
		w.Fatalf("the error is of class %s, want %v: %v", e.Class, want, e)
	}
	return e
}

// Classes are all classes of errors.
func Classes() []node.Class {
	return []node.Class{
		node.Capacity, node.Quota, node.SKUUnavailable, node.Conflict, node.Exists, node.Throttled, node.Transient,
		node.Invalid, node.Auth, node.NotFound, node.Unsupported,
	}
}

// wholeError checks what is true of every error.
func (w *world) wholeError(e *node.Error) {
	w.Helper()
	if !slices.Contains(Classes(), e.Class) {
		w.Errorf("the error %v is of the unknown class %q", e, e.Class)
	}
	if e.Message == "" {
		w.Errorf("an error of class %s says nothing", e.Class)
	}
}

// refused wants a request to be refused, at once or when the creation has ended, and gives the reason.
func (w *world) refused(r node.Request) *node.Error {
	w.Helper()
	o, err := w.provider.Ensure(w.Context(), r)
	if err == nil {
		r.Token = o.Token
		w.Cloud.Settle()
		o = w.state(r, node.Failed)
		return o.Failure
	}
	return w.reason(err, Classes()...)
}

// list lists, and does not take an error for an answer.
func (w *world) list() map[node.Key]node.Observed {
	w.Helper()
	l, err := w.provider.List(w.Context(), cluster)
	if err != nil {
		w.Fatalf("list: %v", err)
	}
	if l.Now.IsZero() {
		w.Error("the list does not say when it was made")
	}
	all := map[node.Key]node.Observed{}
	for _, o := range l.Machines {
		w.whole(o, o.Key)
		if _, twice := all[o.Key]; twice {
			w.Errorf("%s is listed twice", o.Key)
		}
		if o.CreatedAt.After(l.Now) {
			w.Errorf("%s was created at %s, after the list of %s", o.Key, o.CreatedAt, l.Now)
		}
		all[o.Key] = o
	}
	return all
}

// creations wants so many creations.
func (w *world) creations(want int) {
	w.Helper()
	if got := w.Cloud.Creations(); got != want {
		w.Fatalf("the cloud began to make %d machines, want %d", got, want)
	}
}
