package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
)

// renumber heals a Service of ours whose port somebody has renumbered. Ports are
// merged by number, so applying would add ours beside theirs, and the server refuses
// two of one name. The ports are replaced as a whole, and then applied.
func (w *Writer) renumber(ctx context.Context, c Child, want *unstructured.Unstructured, refusal error) error {
	have, ok := c.Have.(*corev1.Service)
	if !ok {
		return refusal
	}
	ports, found, err := unstructured.NestedSlice(want.Object, "spec", "ports")
	if err != nil || !found {
		return refusal
	}
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"ports": ports}})
	if err != nil {
		return errors.Join(refusal, fmt.Errorf("write the ports as JSON: %w", err))
	}
	owner, svc := client.FieldOwner(v1beta1.FieldOwner), have.DeepCopy()
	if err := w.client.Patch(ctx, svc, client.RawPatch(types.MergePatchType, body), owner); err != nil {
		return errors.Join(refusal, fmt.Errorf("replace the ports: %w", err))
	}
	// What was replaced would otherwise be ours a second time, and stay when we name it no more.
	if err := w.own(ctx, svc); err != nil {
		return errors.Join(refusal, fmt.Errorf("own the ports once: %w", err))
	}
	return w.patch(ctx, want)
}
