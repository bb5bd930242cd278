// Package kube is the one place that writes to the cluster: children by
// server-side apply with one field owner, and the status of a Workspace. It
// compares before it writes: what stands as it should is left alone.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/api/v1beta1"
)

// Child is an object that a Workspace wants, or does not want any more.
type Child struct {
	// Kind and Name are the words by which an error names it.
	Kind, Name string
	// Object is the wanted state: only the fields that are ours. Nil: it should not be there.
	Object runtime.ApplyConfiguration
	// Have is what stands in the cluster and is ours. Nil: nothing does.
	Have client.Object
}

// Writer writes to one cluster.
type Writer struct {
	client client.Client
	live   client.Reader
	types  converter
	seen   *pairs
}

// NewWriter makes a Writer that writes with c, and reads live what caches leave out.
func NewWriter(c client.Client, live client.Reader) *Writer {
	return &Writer{client: c, live: live, types: newConverter(c.Scheme()), seen: newPairs(remembered)}
}

// Apply brings each child to its wanted state, in order, and stops at the first
// that the server refuses: with AlreadyExists where nothing was known to stand. A
// child that stands as it should costs nothing. Fields
// that others own and we do not name stay theirs; fields that we name are taken
// back from whoever changed them.
func (w *Writer) Apply(ctx context.Context, children []Child) error {
	for _, c := range children {
		if err := w.apply(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) apply(ctx context.Context, c Child) error {
	if c.Object == nil {
		return w.remove(ctx, c)
	}
	data, err := json.Marshal(c.Object)
	if err != nil {
		return fmt.Errorf("write the wanted %s %q as JSON: %w", c.Kind, c.Name, err)
	}
	if w.seen.same(c.Have, data) {
		return nil
	}
	want, err := wanted(data)
	if err != nil {
		return fmt.Errorf("read the wanted %s %q: %w", c.Kind, c.Name, err)
	}
	if c.Have == nil {
		if err := w.create(ctx, want); err != nil {
			return fmt.Errorf("create %s %q: %w", c.Kind, c.Name, err)
		}
		return nil
	}
	same, err := w.types.holds(c.Have, want)
	if err != nil {
		return fmt.Errorf("compare %s %q: %w", c.Kind, c.Name, err)
	}
	if same {
		w.seen.add(c.Have, data)
		return nil
	}
	if err := w.own(ctx, c.Have); err != nil {
		return fmt.Errorf("own %s %q: %w", c.Kind, c.Name, err)
	}
	err = w.patch(ctx, want)
	if apierrors.IsInvalid(err) {
		err = w.renumber(ctx, c, want, err)
	}
	if err != nil {
		return fmt.Errorf("apply %s %q: %w", c.Kind, c.Name, err)
	}
	return nil
}

// create makes what nobody has. Applying would do as well, and would take over what
// somebody else has made under this name a moment ago; this is refused then.
func (w *Writer) create(ctx context.Context, want *unstructured.Unstructured) error {
	object, err := w.typed(want)
	if err != nil {
		return err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(want.Object, object); err != nil {
		return fmt.Errorf("read the fields: %w", err)
	}
	return w.client.Create(ctx, object, client.FieldOwner(v1beta1.FieldOwner))
}

// Create makes an object that a typed value describes in full; AlreadyExists where
// something stands under its name.
func (w *Writer) Create(ctx context.Context, object client.Object) error {
	name := object.GetName()
	if err := w.client.Create(ctx, object, client.FieldOwner(v1beta1.FieldOwner)); err != nil {
		return fmt.Errorf("create %T %q: %w", object, name, err)
	}
	return nil
}

// Restore applies an object again that is ours and was changed by hand.
func (w *Writer) Restore(ctx context.Context, object client.Object) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("read the fields of %T %q: %w", object, object.GetName(), err)
	}
	delete(fields, "status")
	if err := w.patch(ctx, &unstructured.Unstructured{Object: fields}); err != nil {
		return fmt.Errorf("apply %T %q: %w", object, object.GetName(), err)
	}
	return nil
}

// Hold sets our finalizer on ws, if it is not there, and brings ws up to date.
func (w *Writer) Hold(ctx context.Context, ws *v1beta1.Workspace) error {
	return w.finalizer(ctx, ws, controllerutil.AddFinalizer)
}

// LetGo takes our finalizer off ws.
func (w *Writer) LetGo(ctx context.Context, ws *v1beta1.Workspace) error {
	return client.IgnoreNotFound(w.finalizer(ctx, ws, controllerutil.RemoveFinalizer))
}

func (w *Writer) finalizer(ctx context.Context, ws *v1beta1.Workspace, edit func(client.Object, string) bool) error {
	// The lock keeps finalizers that somebody else has set meanwhile.
	patch := client.MergeFromWithOptions(ws.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if !edit(ws, v1beta1.Finalizer) {
		return nil
	}
	if err := w.client.Patch(ctx, ws, patch, client.FieldOwner(v1beta1.FieldOwner)); err != nil {
		return fmt.Errorf("write the finalizer of Workspace %q: %w", ws.Name, err)
	}
	return nil
}

// own makes fields that we own by having created or patched an object ours by
// applying, once: what we then name no more goes.
func (w *Writer) own(ctx context.Context, have client.Object) error {
	if !slices.ContainsFunc(have.GetManagedFields(), byWriting) {
		return nil
	}
	object, ok := have.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object of a cluster", have)
	}
	// Which fields they are is not in the cache.
	if err := w.live.Get(ctx, client.ObjectKeyFromObject(have), object); err != nil {
		return err
	}
	body, err := csaupgrade.UpgradeManagedFieldsPatch(object, sets.New(v1beta1.FieldOwner), v1beta1.FieldOwner)
	if err != nil {
		return fmt.Errorf("read who owns its fields: %w", err)
	}
	if len(body) == 0 {
		return nil
	}
	return w.client.Patch(ctx, object, client.RawPatch(types.JSONPatchType, body), client.FieldOwner(v1beta1.FieldOwner))
}

// byWriting is true of the books that the server keeps of what we created or patched.
func byWriting(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == v1beta1.FieldOwner && e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == ""
}

// Shrink is for a cache of children: of who owns which field it keeps what Apply
// needs to know, whether we own some by having created or patched the object.
func Shrink(object any) (any, error) {
	o, ok := object.(client.Object)
	if !ok {
		return object, nil // the mark of a deletion that was missed
	}
	var kept []metav1.ManagedFieldsEntry
	for _, e := range o.GetManagedFields() {
		if byWriting(e) {
			kept = append(kept, metav1.ManagedFieldsEntry{Manager: e.Manager, Operation: e.Operation})
		}
	}
	o.SetManagedFields(kept)
	return o, nil
}

// patch applies by force to what is ours.
func (w *Writer) patch(ctx context.Context, want *unstructured.Unstructured) error {
	body, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	target, err := w.typed(want)
	if err != nil {
		return err
	}
	target.SetNamespace(want.GetNamespace())
	target.SetName(want.GetName())
	return w.client.Patch(ctx, target, client.RawPatch(types.ApplyPatchType, body), client.FieldOwner(v1beta1.FieldOwner), client.ForceOwnership)
}

// typed is an empty object of the same kind. The client keeps account of its own
// writes by type, and would fill another cache for unstructured ones.
func (w *Writer) typed(want *unstructured.Unstructured) (client.Object, error) {
	empty, err := w.client.Scheme().New(want.GroupVersionKind())
	if err != nil {
		return nil, fmt.Errorf("make an empty object: %w", err)
	}
	object, ok := empty.(client.Object)
	if !ok {
		return nil, fmt.Errorf("%T is no object of a cluster", empty)
	}
	return object, nil
}

// remove deletes what we have made, and nothing that has come under its name since.
func (w *Writer) remove(ctx context.Context, c Child) error {
	if c.Have == nil || !c.Have.GetDeletionTimestamp().IsZero() {
		return nil
	}
	only := client.Preconditions{UID: ptr.To(c.Have.GetUID())}
	// The API server would leave the pods of a Job behind, for the sake of clients of long ago.
	if err := w.client.Delete(ctx, c.Have, only, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete %s %q: %w", c.Kind, c.Name, err)
	}
	return nil
}

// Report writes the status of ws when it differs from what stands in the cluster,
// and says whether it did. A conflict comes back as the API server's error.
func (w *Writer) Report(ctx context.Context, ws *v1beta1.Workspace, status v1beta1.WorkspaceStatus) (bool, error) {
	if equality.Semantic.DeepEqual(ws.Status, status) {
		return false, nil
	}
	next := ws.DeepCopy()
	next.Status = status
	// A merge patch that carries the resource version: it fails rather than undo what another pass wrote.
	patch := client.MergeFromWithOptions(ws.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if err := w.client.Status().Patch(ctx, next, patch); err != nil {
		return false, fmt.Errorf("write the status of Workspace %q: %w", ws.Name, err)
	}
	return true, nil
}
