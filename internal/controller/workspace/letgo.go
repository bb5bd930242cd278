package workspace

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/nodeclaim"
)

// letGo lets a Workspace go that is deleted once its claims and their nodes are gone. Its
// pods go first: a budget would hold the drain up, and they would be made anew.
func (r *Reconciler) letGo(ctx context.Context, o observed) error {
	if !controllerutil.ContainsFinalizer(o.ws, v1beta1.Finalizer) {
		return nil
	}
	all, _, err := r.claims.Live(ctx, client.ObjectKeyFromObject(o.ws))
	if err != nil {
		return err
	}
	// All marked ones: an earlier Workspace of this name has nobody else.
	ours, earlier := sortClaims(o.ws, all)
	claims := slices.Concat(ours, earlier)
	nodes, err := r.madeFor(ctx, o.ws)
	if err != nil {
		return err
	}
	if len(claims) == 0 && len(nodes) == 0 {
		return r.writer.LetGo(ctx, o.ws)
	}
	if err := r.writer.Apply(ctx, workloads(o)); err != nil {
		return err
	}
	if err := r.releaseNodes(ctx, o, claims); err != nil {
		return err
	}
	status := leaving(o.ws, awaited(claims, nodes), metav1.NewTime(r.clock.Now().Truncate(time.Second)))
	_, err = r.writer.Report(ctx, o.ws, status)
	return client.IgnoreNotFound(err)
}

// madeFor are the nodes that were made for a Workspace and are still in the cluster.
func (r *Reconciler) madeFor(ctx context.Context, ws *v1beta1.Workspace) ([]corev1.Node, error) {
	var list corev1.NodeList
	mine := client.MatchingLabels{nodeclaim.LabelWorkspace: ws.Name, nodeclaim.LabelNamespace: ws.Namespace, nodeclaim.LabelNodePool: nodeclaim.PoolName}
	index := client.MatchingFields{labelIndex: nodeclaim.LabelWorkspace + "=" + ws.Name}
	if err := r.cached.List(ctx, &list, append(asItIs(), mine, index)...); err != nil {
		return nil, fmt.Errorf("list the nodes of Workspace %q: %w", ws.Name, err)
	}
	return list.Items, nil
}

// workloads are the children that make pods, or keep them, to be removed.
func workloads(o observed) []kube.Child {
	var all []kube.Child
	for h, have := range o.have {
		switch have.(type) {
		case *appsv1.StatefulSet, *batchv1.Job, *policyv1.PodDisruptionBudget:
			all = append(all, kube.Child{Kind: h.kind, Name: h.name, Have: have})
		}
	}
	return all
}

// awaited names what the deletion waits for, and what the cloud says where it says anything.
func awaited(claims []nodeclaim.NodeClaim, nodes []corev1.Node) string {
	var words []string
	named := map[string]bool{}
	for i := range claims {
		c := &claims[i]
		text := fmt.Sprintf("NodeClaim %q", c.Name)
		if c.Status.NodeName != "" {
			text, named[c.Status.NodeName] = fmt.Sprintf("%s with node %q", text, c.Status.NodeName), true
		}
		if because, waits := claimWaits(c); waits && because.Message != "" && because.Reason != nodeclaim.ReasonAwaiting {
			text += " (" + strings.TrimSuffix(because.Message, ".") + ")"
		}
		words = append(words, text)
	}
	for i := range nodes {
		if !named[nodes[i].Name] {
			words = append(words, fmt.Sprintf("node %q, whose NodeClaim is gone: if its machine is gone too, `kubectl delete node %s`", nodes[i].Name, nodes[i].Name))
		}
	}
	slices.Sort(words)
	return strings.Join(words, "; ")
}

// leaving is the status of a Workspace whose deletion waits.
func leaving(ws *v1beta1.Workspace, waits string, now metav1.Time) v1beta1.WorkspaceStatus {
	status := *ws.Status.DeepCopy()
	for _, kind := range []string{v1beta1.ConditionNodeClaimReady, v1beta1.ConditionResourceReady, v1beta1.ConditionInferenceReady, v1beta1.ConditionWorkspaceReady} {
		c := v1beta1.WorkspaceDeleting(kind, waits)
		c.ObservedGeneration, c.LastTransitionTime = ws.Generation, now
		meta.SetStatusCondition(&status.Conditions, c)
	}
	return status
}
