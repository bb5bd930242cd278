package workspace

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
)

// The indexes of the cache: a pass and an event look up what they need and walk
// over nothing, however many Workspaces and nodes there are.
const (
	// configIndex finds Workspaces by the ConfigMap that they name.
	configIndex = "config"
	// selectorIndex finds Workspaces by one label that their nodes must have; anyLabel
	// holds those whose selector requires none by its value.
	selectorIndex = "selector"
	anyLabel      = "*"
	// labelIndex finds nodes by each of their labels.
	labelIndex = "label"
	// catalogIndex finds the ConfigMaps that hold models.
	catalogIndex = "catalog"
	// workspaceIndex finds pods by their Workspace.
	workspaceIndex = "workspace"
)

// index adds the indexes to the cache.
func index(ctx context.Context, to client.FieldIndexer) error {
	err := errors.Join(
		to.IndexField(ctx, &v1beta1.Workspace{}, configIndex, func(o client.Object) []string {
			return configNames(o.(*v1beta1.Workspace))
		}),
		to.IndexField(ctx, &v1beta1.Workspace{}, selectorIndex, func(o client.Object) []string {
			return []string{mustHave(o.(*v1beta1.Workspace).Resource.LabelSelector)}
		}),
		to.IndexField(ctx, &corev1.ConfigMap{}, catalogIndex, func(o client.Object) []string {
			if isCatalog(o) {
				return []string{yes}
			}
			return nil
		}),
		to.IndexField(ctx, &corev1.Node{}, labelIndex, func(o client.Object) []string { return pairs(o.GetLabels()) }),
		to.IndexField(ctx, &corev1.Pod{}, workspaceIndex, func(o client.Object) []string {
			return []string{o.GetLabels()[v1beta1.LabelWorkspace]}
		}),
		to.IndexField(ctx, &corev1.Pod{}, nodeIndex, func(o client.Object) []string {
			if p := o.(*corev1.Pod); holds(p) {
				return []string{p.Spec.NodeName}
			}
			return nil
		}),
	)
	if err != nil {
		return fmt.Errorf("add the indexes of the cache: %w", err)
	}
	return nil
}

// configNames are the ConfigMaps that a Workspace names.
func configNames(ws *v1beta1.Workspace) []string {
	var names []string
	if ws.Inference != nil && ws.Inference.Config != "" {
		names = append(names, ws.Inference.Config)
	}
	if ws.Tuning != nil && ws.Tuning.Config != "" {
		names = append(names, ws.Tuning.Config)
	}
	return names
}

// mustHave is one label that every node of a selector has, as key=value: one that a
// person gave rather than Kubernetes, for those are on few nodes.
func mustHave(selector *metav1.LabelSelector) string {
	if selector == nil || len(selector.MatchLabels) == 0 {
		return anyLabel
	}
	keys := slices.Sorted(maps.Keys(selector.MatchLabels))
	key := keys[0]
	for _, k := range keys {
		if domain, _, _ := strings.Cut(k, "/"); !strings.HasSuffix(domain, "kubernetes.io") && !strings.HasSuffix(domain, "k8s.io") {
			key = k
			break
		}
	}
	return key + "=" + selector.MatchLabels[key]
}

func pairs(set map[string]string) []string {
	all := make([]string, 0, len(set))
	for k, v := range set {
		all = append(all, k+"="+v)
	}
	return all
}

// watchClaims makes a pass of each change of a NodeClaim. Where the cluster learns the
// kind later, all Workspaces that wait for it are looked at then.
func (r *Reconciler) watchClaims(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
	changed := func(ws types.NamespacedName) { queue.Add(ctrl.Request{NamespacedName: ws}) }
	return r.claims.Watch(ctx, changed, func() {
		for _, request := range r.lookUp(ctx, &v1beta1.Workspace{}, provisions) {
			queue.Add(request)
		}
	})
}

// byLabel finds the Workspace that a pod belongs to.
func byLabel(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[v1beta1.LabelWorkspace]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// byConfig finds the Workspaces that name a ConfigMap, or that may name a model in it.
func (r *Reconciler) byConfig(ctx context.Context, o client.Object) []reconcile.Request {
	named := r.lookUp(ctx, o, func(*v1beta1.Workspace) bool { return true },
		client.InNamespace(o.GetNamespace()), client.MatchingFields{configIndex: o.GetName()})
	return append(named, r.byCatalog(ctx, o)...)
}

// byNode finds the Workspaces that a node may serve. For an update it is asked
// with the old and the new labels, so a node that leaves is noticed as well.
func (r *Reconciler) byNode(ctx context.Context, node client.Object) []reconcile.Request {
	selected := func(ws *v1beta1.Workspace) bool {
		selector, err := metav1.LabelSelectorAsSelector(ws.Resource.LabelSelector)
		return err == nil && selector.Matches(labels.Set(node.GetLabels()))
	}
	var requests []reconcile.Request
	if labels := node.GetLabels(); labels[nodeclaim.LabelNodePool] == nodeclaim.PoolName {
		// A node that was made is for one Workspace, also while that is being deleted.
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: labels[nodeclaim.LabelNamespace], Name: labels[nodeclaim.LabelWorkspace]}}}
	}
	for _, label := range append(pairs(node.GetLabels()), anyLabel) {
		requests = append(requests, r.lookUp(ctx, node, selected, client.MatchingFields{selectorIndex: label})...)
	}
	return requests
}

func (r *Reconciler) lookUp(ctx context.Context, cause client.Object, keep func(*v1beta1.Workspace) bool, opts ...client.ListOption) []reconcile.Request {
	var list v1beta1.WorkspaceList
	if err := r.cached.List(ctx, &list, append(opts, asItIs()...)...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the Workspaces of an object", "kind", fmt.Sprintf("%T", cause), "name", cause.GetName())
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if ws := &list.Items[i]; keep(ws) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(ws)})
		}
	}
	return requests
}

// asItIs reads the cache without a copy and without waiting for writes of ours to
// come back. For lists of what is not changed here.
func asItIs() []client.ListOption {
	return []client.ListOption{client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency}
}

// nodeNews lets through what changes a decision and holds back heartbeats: the cache
// keeps of a node no more than what decisions read.
func nodeNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*corev1.Node)
		after, ok2 := e.ObjectNew.(*corev1.Node)
		return !ok1 || !ok2 || !equality.Semantic.DeepEqual(unversioned(before), unversioned(after))
	}}
}

func unversioned(n *corev1.Node) *corev1.Node {
	copied := *n
	copied.ResourceVersion = ""
	return &copied
}

// configNews lets through a ConfigMap that comes, goes or says something else.
func configNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*corev1.ConfigMap)
		after, ok2 := e.ObjectNew.(*corev1.ConfigMap)
		return !ok1 || !ok2 || isCatalog(before) != isCatalog(after) || !maps.Equal(before.Data, after.Data)
	}}
}
