// Package kube is the one place that writes to the cluster: children by
// server-side apply with one field owner, and the status of a Workspace.
package kube

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
)

// Child is an object to apply and the words by which an error names it.
type Child struct {
	// Kind and Name say which object it is.
	Kind, Name string
	// Object is the wanted state: only the fields that are ours. The client writes
	// the server's answer into it, so it is good for one Apply.
	Object runtime.ApplyConfiguration
}

// Writer writes to one cluster.
type Writer struct {
	client client.Client
}

// NewWriter makes a Writer.
func NewWriter(c client.Client) *Writer {
	return &Writer{client: c}
}

// Apply brings each child to its wanted state, in order, and stops at the first
// that the server refuses. Fields that others own and we do not name stay theirs;
// fields that we name are taken back from whoever changed them.
func (w *Writer) Apply(ctx context.Context, children []Child) error {
	for _, c := range children {
		if err := w.client.Apply(ctx, c.Object, client.FieldOwner(v1beta1.FieldOwner), client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %q: %w", c.Kind, c.Name, err)
		}
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
