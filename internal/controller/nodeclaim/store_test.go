package nodeclaim

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// store is an API server for claims and nodes in a few lines, for tests that make
// millions of requests: versions, conflicts, finalizers, and patches that carry what they patch.
type store struct {
	clock *clocktesting.FakeClock

	mu      sync.Mutex
	version int
	// objects are never changed, only replaced.
	objects map[string]client.Object
	// asks counts the notes that a machine is asked for, refuse makes writes of status fail.
	asks, conflicts int
	refuse          bool
	// onGone is called when a claim goes since nothing holds it any more.
	onGone func(*nodeclaim.NodeClaim)
}

func newStore(clock *clocktesting.FakeClock) *store {
	return &store{clock: clock, objects: map[string]client.Object{}}
}

// view is the store as somebody sees it: from the time of a snapshot, if there is one.
type view struct {
	client.Client // nil: what is not implemented here is not used

	store *store
	old   map[string]client.Object
	// before is called before every request, with its name.
	before func(string)
}

func id(o client.Object) string {
	if _, ok := o.(*corev1.Node); ok {
		return "node/" + o.GetName()
	}
	return "claim/" + o.GetName()
}

func missing(what string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: what}, what)
}

func conflict(what string) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: what}, what, fmt.Errorf("somebody else has written it"))
}

// snapshot is all as it is now.
func (s *store) snapshot() map[string]client.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.objects)
}

func (v *view) seen() map[string]client.Object {
	if v.old != nil {
		return v.old
	}
	return v.store.snapshot()
}

func (v *view) call(name string) {
	if v.before != nil {
		v.before(name)
	}
}

func (v *view) Get(_ context.Context, key client.ObjectKey, to client.Object, _ ...client.GetOption) error {
	v.call("get")
	to.SetName(key.Name)
	from := v.seen()[id(to)]
	if from == nil {
		return missing(id(to))
	}
	copyTo(to, from)
	return nil
}

func copyTo(to, from client.Object) {
	switch to := to.(type) {
	case *corev1.Node:
		from.(*corev1.Node).DeepCopyInto(to)
	case *nodeclaim.NodeClaim:
		from.(*nodeclaim.NodeClaim).DeepCopyInto(to)
	}
}

func (v *view) List(_ context.Context, to client.ObjectList, opts ...client.ListOption) error {
	v.call("list")
	var o client.ListOptions
	o.ApplyOptions(opts)
	want := ""
	if o.FieldSelector != nil {
		want = o.FieldSelector.Requirements()[0].Value
	}
	for _, object := range slices.SortedFunc(maps.Values(v.seen()), func(a, b client.Object) int { return cmp.Compare(id(a), id(b)) }) {
		switch list := to.(type) {
		case *corev1.NodeList:
			if n, ok := object.(*corev1.Node); ok && (want == "" || slices.Contains(indexNode(n), want)) {
				list.Items = append(list.Items, *n)
			}
		case *nodeclaim.NodeClaimList:
			if c, ok := object.(*nodeclaim.NodeClaim); ok {
				list.Items = append(list.Items, *c)
			}
		}
	}
	return nil
}

// put stores a new version of an object, or lets it go when nothing holds it; the lock is held.
func (s *store) put(o client.Object) {
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	if !o.GetDeletionTimestamp().IsZero() && len(o.GetFinalizers()) == 0 {
		delete(s.objects, id(o))
		if c, ok := o.(*nodeclaim.NodeClaim); ok && s.onGone != nil {
			s.onGone(c)
		}
		return
	}
	s.objects[id(o)] = o.DeepCopyObject().(client.Object)
}

func (v *view) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	v.call("create")
	s := v.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[id(o)] != nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: id(o)}, o.GetName())
	}
	if o.GetUID() == "" {
		o.SetUID(types.UID(fmt.Sprintf("uid-%s-%d", o.GetName(), s.version)))
	}
	o.SetCreationTimestamp(metav1.NewTime(s.clock.Now()))
	s.put(o)
	return nil
}

func (v *view) Delete(_ context.Context, o client.Object, opts ...client.DeleteOption) error {
	v.call("delete " + id(o))
	s := v.store
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.objects[id(o)]
	var options client.DeleteOptions
	options.ApplyOptions(opts)
	switch {
	case have == nil:
		return missing(id(o))
	case options.Preconditions != nil && options.Preconditions.UID != nil && *options.Preconditions.UID != have.GetUID():
		return conflict(id(o))
	case !have.GetDeletionTimestamp().IsZero():
		return nil
	}
	next := have.DeepCopyObject().(client.Object)
	now := metav1.NewTime(s.clock.Now())
	next.SetDeletionTimestamp(&now)
	s.put(next)
	return nil
}

func (v *view) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.PatchOption) error {
	v.call("patch " + id(o))
	return v.store.patch(o, false)
}

// patch replaces an object's status, or all else of it.
func (s *store) patch(o client.Object, status bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.objects[id(o)]
	switch _, isNode := o.(*corev1.Node); {
	case have == nil || have.GetUID() != o.GetUID():
		return missing(id(o))
	case status && isNode: // the simulator's kubelets do not look who else writes
	case have.GetResourceVersion() != o.GetResourceVersion():
		s.conflicts++
		return conflict(id(o))
	case status && s.refuse:
		return apierrors.NewBadRequest("the status is not valid")
	}
	next := have.DeepCopyObject().(client.Object)
	switch o := o.(type) {
	case *corev1.Node:
		n := next.(*corev1.Node)
		if status {
			o.Status.DeepCopyInto(&n.Status)
		} else {
			held := n.Status
			o.DeepCopyInto(n)
			n.Status = held
		}
	case *nodeclaim.NodeClaim:
		c := next.(*nodeclaim.NodeClaim)
		if status {
			o.Status.DeepCopyInto(&c.Status)
		} else {
			if c.Annotations[nodeclaim.AnnotationAttempts] != o.Annotations[nodeclaim.AnnotationAttempts] && o.Annotations[nodeclaim.AnnotationAttempts] != "" {
				s.asks++
			}
			held, deleted := c.Status, c.DeletionTimestamp
			o.DeepCopyInto(c)
			c.Status, c.DeletionTimestamp = held, deleted
		}
	}
	s.put(next)
	copyTo(o, next)
	return nil
}

func (v *view) Status() client.SubResourceWriter { return statusWriter{view: v} }

type statusWriter struct {
	client.SubResourceWriter

	view *view
}

func (w statusWriter) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	w.view.call("status " + id(o))
	return w.view.store.patch(o, true)
}

// claims and nodes are what stands there now.
func (s *store) claims() []*nodeclaim.NodeClaim {
	var all []*nodeclaim.NodeClaim
	for _, o := range s.snapshot() {
		if c, ok := o.(*nodeclaim.NodeClaim); ok {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *nodeclaim.NodeClaim) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (s *store) nodes() []*corev1.Node {
	var all []*corev1.Node
	for _, o := range s.snapshot() {
		if n, ok := o.(*corev1.Node); ok {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// watched is a provider whose every call is announced, before it and after it.
type watched struct {
	node.Provider

	before func(string)
}

func (w watched) Ensure(ctx context.Context, r node.Request) (node.Observed, error) {
	w.before("ensure")
	defer w.before("ensured")
	return w.Provider.Ensure(ctx, r)
}

func (w watched) Observe(ctx context.Context, key node.Key, token string) (node.Observed, error) {
	w.before("observe")
	return w.Provider.Observe(ctx, key, token)
}

func (w watched) Remove(ctx context.Context, key node.Key, owner node.Owner) (node.Observed, error) {
	w.before("remove")
	defer w.before("removed")
	return w.Provider.Remove(ctx, key, owner)
}
