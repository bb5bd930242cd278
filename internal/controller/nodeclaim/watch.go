package nodeclaim

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

const (
	// nodeIndex finds nodes by the key of their machine, and by their provider's id.
	nodeIndex = "provisioner.kaito.sh/machine"
	// keyIndex finds claims by their key.
	keyIndex = "provisioner.kaito.sh/key"
	// keyLength is how long a node.Key is.
	keyLength = 12
	// passLimit ends a pass that waits for a server that does not answer; it is tried again.
	passLimit = 2 * time.Minute
)

// SetupWithManager registers the controller, its indexes and what it watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Node{}, nodeIndex, indexNode); err != nil {
		return fmt.Errorf("index nodes by machine: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &nodeclaim.NodeClaim{}, keyIndex, r.indexClaim); err != nil {
		return fmt.Errorf("index NodeClaims by key: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("nodeclaim").
		For(&nodeclaim.NodeClaim{}, builder.WithPredicates(claimNews())).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.byNode), builder.WithPredicates(nodeNews())).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.o.Workers, ReconciliationTimeout: passLimit}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller of NodeClaims: %w", err)
	}
	return nil
}

// indexNode gives what may tell the machine of a node: every label that reads like a key, and the provider's id.
func indexNode(o client.Object) []string {
	n, ok := o.(*corev1.Node)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	var values []string
	for _, value := range n.Labels {
		if len(value) == keyLength && strings.HasPrefix(value, "k") && !seen[value] {
			seen[value] = true
			values = append(values, value)
		}
	}
	if n.Spec.ProviderID != "" {
		values = append(values, n.Spec.ProviderID)
	}
	return values
}

func (r *Reconciler) indexClaim(o client.Object) []string {
	return []string{string(node.KeyOf(r.o.Cluster, string(o.GetUID())))}
}

// byNode finds the claims of a node.
func (r *Reconciler) byNode(ctx context.Context, o client.Object) []ctrl.Request {
	names := map[string]bool{}
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == nodeclaim.Kind {
			names[owner.Name] = true
		}
	}
	for _, value := range indexNode(o) {
		var claims nodeclaim.NodeClaimList
		err := r.o.Client.List(ctx, &claims, client.MatchingFields{keyIndex: value}, client.UnsafeDisableDeepCopy)
		if err != nil {
			continue // a claim that waits for its node looks by itself, later
		}
		for i := range claims.Items {
			names[claims.Items[i].Name] = true
		}
	}
	var requests []ctrl.Request
	for name := range names {
		requests = append(requests, ctrl.Request{NamespacedName: types.NamespacedName{Name: name}})
	}
	return requests
}

// claimNews leaves out what we have written into a status ourselves.
func claimNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, is := e.ObjectOld, e.ObjectNew
		return was.GetGeneration() != is.GetGeneration() || was.GetUID() != is.GetUID() ||
			was.GetDeletionTimestamp().IsZero() != is.GetDeletionTimestamp().IsZero() ||
			!maps.Equal(was.GetAnnotations(), is.GetAnnotations()) || !maps.Equal(was.GetLabels(), is.GetLabels()) ||
			!equality.Semantic.DeepEqual(was.GetFinalizers(), is.GetFinalizers()) || was.GetResourceVersion() == is.GetResourceVersion()
	}}
}

// nodeNews leaves out what says nothing new about a node: heartbeats and images.
func nodeNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, ok := e.ObjectOld.(*corev1.Node)
		is, also := e.ObjectNew.(*corev1.Node)
		if !ok || !also {
			return true
		}
		return was.DeletionTimestamp.IsZero() != is.DeletionTimestamp.IsZero() || was.Spec.ProviderID != is.Spec.ProviderID ||
			readiness(was).Status != readiness(is).Status || !maps.Equal(was.Labels, is.Labels) ||
			!equality.Semantic.DeepEqual(was.Spec.Taints, is.Spec.Taints) ||
			!equality.Semantic.DeepEqual(was.Status.Allocatable, is.Status.Allocatable)
	}}
}
