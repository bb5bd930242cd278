package workspace

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
)

// nodeIndex finds pods that have GPUs by the node that they run on.
const nodeIndex = "node"

// isGPU is true of what device plugins call GPUs that are planned for.
func isGPU(name corev1.ResourceName) bool {
	return name == model.ResourceNVIDIA || name == model.ResourceAMD || strings.HasPrefix(string(name), model.ResourceSlice)
}

// gpusOf are the GPUs that a pod asks for. Init containers run one after the other, and none
// of ours has GPUs beside a container that has some.
func gpusOf(spec corev1.PodSpec) corev1.ResourceList {
	var all corev1.ResourceList
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for name, amount := range c.Resources.Requests {
			if have, ok := all[name]; isGPU(name) && (!ok || have.Cmp(amount) < 0) {
				if all == nil {
					all = corev1.ResourceList{}
				}
				all[name] = amount
			}
		}
	}
	return all
}

// holder is what the cache keeps of the containers of a pod: the GPUs that it has.
func holder(spec corev1.PodSpec) []corev1.Container {
	gpus := gpusOf(spec)
	if len(gpus) == 0 {
		return nil
	}
	return []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: gpus}}}
}

// holds is true of a pod that has GPUs of a node: until it has ended, or is gone.
func holds(p *corev1.Pod) bool {
	return p.Spec.NodeName != "" && len(p.Spec.Containers) > 0 && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// observeTaken adds up what pods of other Workspaces have of the GPUs of nodes. Pods that no
// Workspace has made are not in the cache: of those the scheduler knows alone.
func (r *Reconciler) observeTaken(ctx context.Context, o *observed) error {
	for i := range o.nodes {
		n := &o.nodes[i]
		if provisions(o.ws) || !hasGPUs(n) {
			continue
		}
		var pods corev1.PodList
		if err := r.cached.List(ctx, &pods, append(asItIs(), client.MatchingFields{nodeIndex: n.Name})...); err != nil {
			return fmt.Errorf("list the pods with GPUs on node %q: %w", n.Name, err)
		}
		for j := range pods.Items {
			if p := &pods.Items[j]; holds(p) && (p.Namespace != o.ws.Namespace || p.Labels[v1beta1.LabelWorkspace] != o.ws.Name) {
				o.take(n.Name, gpusOf(p.Spec))
			}
		}
	}
	return nil
}

func hasGPUs(n *corev1.Node) bool {
	for name := range n.Status.Allocatable {
		if isGPU(name) {
			return true
		}
	}
	return false
}

// take adds GPUs to what others have of a node.
func (o *observed) take(node string, gpus corev1.ResourceList) {
	if o.taken == nil {
		o.taken = map[string]corev1.ResourceList{}
	}
	if o.taken[node] == nil {
		o.taken[node] = corev1.ResourceList{}
	}
	for name, amount := range gpus {
		sum := o.taken[node][name]
		sum.Add(amount)
		o.taken[node][name] = sum
	}
}

// stayWithin keeps a server to the GPUs that it was planned for while others had more. It would
// be stopped to be given them, and a pod of theirs that is started again would find its GPUs
// gone. Once no pod of it runs, it is planned anew.
func (t *thought) stayWithin() {
	on := workers(t.pods)
	stands := func(n model.NodeShape) bool { return slices.Contains(on, n.Name) }
	if t.server == nil || !slices.ContainsFunc(t.fit, stands) {
		return
	}
	number, of, _ := strings.Cut(t.server.Annotations[v1beta1.AnnotationGPUsOfNode], " ")
	most, err := strconv.Atoi(number)
	if err != nil || most < 0 {
		return
	}
	for i := range t.fit {
		n := &t.fit[i]
		left := 0
		if stands(*n) && of == model.ResourceOf(n.GPUs.Resource) {
			left = most
		}
		n.GPUs.Taken = max(n.GPUs.Taken, n.GPUs.Count-left)
	}
}

// byFreed finds the Workspaces that may use the GPUs which a pod of another has left.
func (r *Reconciler) byFreed(ctx context.Context, pod client.Object) []reconcile.Request {
	p, ok := pod.(*corev1.Pod)
	if !ok || p.Spec.NodeName == "" {
		return nil
	}
	var n corev1.Node
	if err := r.cached.Get(ctx, types.NamespacedName{Name: p.Spec.NodeName}, &n, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the node is gone as well, which is news of its own
	}
	return r.byNode(ctx, &n)
}

// freed lets through the moment at which a pod leaves its GPUs, and that at which it takes them.
func freed() predicate.Predicate {
	has := func(o client.Object) bool {
		p, ok := o.(*corev1.Pod)
		return ok && holds(p)
	}
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(e event.DeleteEvent) bool { return has(e.Object) },
		UpdateFunc:  func(e event.UpdateEvent) bool { return has(e.ObjectOld) != has(e.ObjectNew) },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}
