package workspace

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
)

// observed is all that a pass has seen; a decision is made from nothing else.
type observed struct {
	ws *v1beta1.Workspace
	// selectorError says why the label selector cannot be used, or is nil.
	selectorError error
	// nodes are those that the selector selects.
	nodes []corev1.Node
	// pods are those of the Workspace.
	pods []corev1.Pod
	// server is the StatefulSet, or nil.
	server *appsv1.StatefulSet
	// strangers name objects of others that stand where a child belongs.
	strangers []string
}

// child is one object that a Workspace makes.
type child struct {
	kind   string
	name   string
	object client.Object
}

func childrenOf(ws *v1beta1.Workspace) []child {
	return []child{
		{"ConfigMap", render.RunnerConfigName(ws), &corev1.ConfigMap{}},
		{"PodDisruptionBudget", ws.Name, &policyv1.PodDisruptionBudget{}},
		{"Service", ws.Name, &corev1.Service{}},
		{"StatefulSet", ws.Name, &appsv1.StatefulSet{}},
	}
}

// observe reads all that a decision needs. Without a Workspace it returns the API server's NotFound.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName) (observed, error) {
	o := observed{ws: &v1beta1.Workspace{}}
	if err := r.cached.Get(ctx, key, o.ws); err != nil {
		return o, err
	}
	if err := r.observeNodes(ctx, &o); err != nil {
		return o, err
	}
	var pods corev1.PodList
	if err := r.cached.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1beta1.LabelWorkspace: key.Name}); err != nil {
		return o, fmt.Errorf("list the pods of Workspace %q: %w", key.Name, err)
	}
	o.pods = pods.Items
	for _, c := range childrenOf(o.ws) {
		if err := r.observeChild(ctx, &o, c); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (r *Reconciler) observeNodes(ctx context.Context, o *observed) error {
	selector, err := metav1.LabelSelectorAsSelector(o.ws.Resource.LabelSelector)
	switch {
	case err != nil:
		o.selectorError = err
		return nil
	case selector.Empty():
		o.selectorError = errEmptySelector
		return nil
	}
	var nodes corev1.NodeList
	if err := r.cached.List(ctx, &nodes, client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list nodes that match %q: %w", selector, err)
	}
	o.nodes = nodes.Items
	return nil
}

// observeChild looks in the cache, which holds only what carries our label, and
// where it finds nothing asks the server whether the name is somebody else's.
func (r *Reconciler) observeChild(ctx context.Context, o *observed, c child) error {
	key := types.NamespacedName{Namespace: o.ws.Namespace, Name: c.name}
	err := r.cached.Get(ctx, key, c.object)
	if apierrors.IsNotFound(err) {
		err = r.live.Get(ctx, key, c.object)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look for %s %q: %w", c.kind, c.name, err)
	case !metav1.IsControlledBy(c.object, o.ws):
		o.strangers = append(o.strangers, fmt.Sprintf("%s %q", c.kind, c.name))
		return nil
	}
	if server, ok := c.object.(*appsv1.StatefulSet); ok {
		o.server = server
	}
	return nil
}
