// Package kube is the one place that writes to the cluster: children by
// server-side apply with one field owner, and the status of a Workspace. It
// compares before it writes: what stands as it should is left alone.
package kube

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	types  converter
}

// NewWriter makes a Writer.
func NewWriter(c client.Client) *Writer {
	return &Writer{client: c, types: newConverter(c.Scheme())}
}

// Apply brings each child to its wanted state, in order, and stops at the first
// that the server refuses. A child that stands as it should costs nothing. Fields
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
	want, err := wanted(c.Object)
	if err != nil {
		return fmt.Errorf("read the wanted %s %q: %w", c.Kind, c.Name, err)
	}
	if c.Have != nil {
		same, err := w.types.holds(c.Have, want)
		if err != nil {
			return fmt.Errorf("compare %s %q: %w", c.Kind, c.Name, err)
		}
		if same {
			return nil
		}
	}
	err = w.patch(ctx, c, want)
	if apierrors.IsInvalid(err) && c.Have != nil {
		err = w.renumber(ctx, c, want, err)
	}
	if err != nil {
		return fmt.Errorf("apply %s %q: %w", c.Kind, c.Name, err)
	}
	return nil
}

// patch applies. Only what is ours is taken by force: where nothing stood a moment
// ago, a conflict tells that somebody else has just made an object of this name.
func (w *Writer) patch(ctx context.Context, c Child, want *unstructured.Unstructured) error {
	body, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	// A typed object, not the unstructured one: the client keeps account of its own writes by type.
	object, err := w.client.Scheme().New(want.GroupVersionKind())
	if err != nil {
		return fmt.Errorf("make an empty object: %w", err)
	}
	target, ok := object.(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object of a cluster", object)
	}
	target.SetNamespace(want.GetNamespace())
	target.SetName(want.GetName())
	opts := []client.PatchOption{client.FieldOwner(v1beta1.FieldOwner)}
	if c.Have != nil {
		opts = append(opts, client.ForceOwnership)
	}
	return w.client.Patch(ctx, target, client.RawPatch(types.ApplyPatchType, body), opts...)
}

// remove deletes what we have made, and nothing that has come under its name since.
func (w *Writer) remove(ctx context.Context, c Child) error {
	if c.Have == nil || !c.Have.GetDeletionTimestamp().IsZero() {
		return nil
	}
	only := client.Preconditions{UID: ptr.To(c.Have.GetUID())}
	if err := w.client.Delete(ctx, c.Have, only); client.IgnoreNotFound(err) != nil {
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
