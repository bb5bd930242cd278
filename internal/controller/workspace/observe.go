package workspace

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/sizing"
)

// observed is all that a pass has seen; a decision is made from nothing else. Nodes
// and pods are the cache's own: they are read, never changed.
type observed struct {
	ws *v1beta1.Workspace
	// selectorError says why the label selector cannot be used, or is nil.
	selectorError error
	// claims are the NodeClaims of the Workspace, by ordinal and attempt, those on their way
	// out included; earlier are those of an earlier Workspace of its name. claimsKnown is
	// false where the cluster has no such kind.
	claims, earlier []nodeclaim.NodeClaim
	claimsKnown     bool
	// nodes are those that the selector selects; of a Workspace whose nodes are made for it,
	// those that have been made.
	nodes []corev1.Node
	// taken is what pods of other Workspaces have of the GPUs of nodes, by the node's name.
	taken map[string]corev1.ResourceList
	// hub is what is known of a model of the hub.
	hub hubModel
	// pods are those of the Workspace that serve, jobPods those that check and train.
	pods, jobPods []corev1.Pod
	// phases are the seconds of each phase of the start, as the runner of the ready pod
	// has said; nil while it has not.
	phases map[string]float64
	// server is the StatefulSet, or nil.
	server *appsv1.StatefulSet
	// checkJob and tuneJob are the Jobs of a tuning, or nil, and progress is what the pod
	// that trains has said of itself.
	checkJob, tuneJob *batchv1.Job
	progress          *contract.Progress
	// config is the ConfigMap that the Workspace names, as far as it stands; its content
	// is there when it has a key of v1beta1.ConfigKeyInference or ConfigKeyTuning. Nil: it
	// names none, or there is none of that name.
	config *corev1.ConfigMap
	// models are those that the Workspace may name; nil are those that are shipped.
	models *catalog.Catalog
	// have are the children that stand in the cluster.
	have map[handle]client.Object
	// strangers name objects of others that stand where a child belongs, leftovers
	// those of an earlier Workspace of this name that are not yet removed.
	strangers, leftovers []string
}

// handle says which child it is.
type handle struct{ kind, name string }

// observe reads all that a decision needs. Without a Workspace it returns the API server's NotFound.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName) (observed, error) {
	o := observed{ws: &v1beta1.Workspace{}, have: map[handle]client.Object{}}
	if err := r.cached.Get(ctx, key, o.ws); err != nil {
		return o, err
	}
	for _, look := range []func(context.Context, *observed) error{r.observeClaims, r.observeNodes, r.observeTaken, r.observeConfig, r.observeCatalogs} {
		if err := look(ctx, &o); err != nil {
			return o, err
		}
	}
	var pods corev1.PodList
	mine := append(asItIs(), client.InNamespace(key.Namespace), client.MatchingFields{workspaceIndex: key.Name})
	if err := r.cached.List(ctx, &pods, mine...); err != nil {
		return o, fmt.Errorf("list the pods of Workspace %q: %w", key.Name, err)
	}
	o.pods, o.jobPods = roles(pods.Items)
	o.hub.pods = ofRole(pods.Items, v1beta1.RoleFacts)
	if pod := leader(o.pods); pod != nil {
		o.phases = r.startups.Answer(pod.UID)
	}
	for _, c := range children() {
		strangers, leftovers := o.strangers, o.leftovers
		if err := o.look(ctx, r.cached, c); err != nil {
			return o, err
		}
		if c.rare {
			o.strangers, o.leftovers = strangers, leftovers // met again by whoever wants to make it, see lookLive
		}
	}
	if o.ws.Tuning != nil {
		return o, r.observeTuning(ctx, key, &o)
	}
	return o, r.observeModel(ctx, &o)
}

func (r *Reconciler) observeNodes(ctx context.Context, o *observed) error {
	selector, err := sizing.Selector(o.ws)
	switch {
	case err != nil:
		o.selectorError = err
		return nil
	case provisions(o.ws):
		return r.observeMade(ctx, o)
	}
	var nodes corev1.NodeList
	selected := append(asItIs(), client.MatchingLabelsSelector{Selector: selector})
	if label := mustHave(o.ws.Resource.LabelSelector); label != anyLabel {
		selected = append(selected, client.MatchingFields{labelIndex: label})
	}
	if err := r.cached.List(ctx, &nodes, selected...); err != nil {
		return fmt.Errorf("list nodes that match %q: %w", selector, err)
	}
	o.nodes = slices.DeleteFunc(nodes.Items, made)
	return nil
}

// made is true of a node that was made for some Workspace: whoever pays for it has it.
func made(n corev1.Node) bool { return n.Labels[nodeclaim.LabelNodePool] == nodeclaim.PoolName }

// observeClaims reads the NodeClaims. A Workspace on nodes of its user's own needs them
// only to clean up after an earlier one.
func (r *Reconciler) observeClaims(ctx context.Context, o *observed) error {
	all, known, err := r.claims.Of(ctx, client.ObjectKeyFromObject(o.ws))
	if err != nil && provisions(o.ws) {
		return err
	}
	o.claimsKnown = known
	o.claims, o.earlier = sortClaims(o.ws, all)
	return nil
}

// observeMade reads the nodes of the claims that stand.
func (r *Reconciler) observeMade(ctx context.Context, o *observed) error {
	for _, claim := range standing(o.claims) {
		if claim.Status.NodeName == "" {
			continue
		}
		var n corev1.Node
		err := r.cached.Get(ctx, types.NamespacedName{Name: claim.Status.NodeName}, &n, client.UnsafeDisableDeepCopy)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("look for node %q: %w", claim.Status.NodeName, err)
		}
		if err == nil {
			o.nodes = append(o.nodes, n)
		}
	}
	return nil
}

// observeConfig reads the ConfigMap that the Workspace names, if it names one.
func (r *Reconciler) observeConfig(ctx context.Context, o *observed) error {
	for _, name := range configNames(o.ws) {
		var config corev1.ConfigMap
		err := r.cached.Get(ctx, types.NamespacedName{Namespace: o.ws.Namespace, Name: name}, &config)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("look for ConfigMap %q: %w", name, err)
		}
		if err == nil {
			o.config = &config
		}
	}
	return nil
}

// look asks one reader for a child.
func (o *observed) look(ctx context.Context, from client.Reader, c child) error {
	object, name := c.empty(), c.name(o.ws)
	err := from.Get(ctx, types.NamespacedName{Namespace: o.ws.Namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for %s %q: %w", c.kind, name, err)
	}
	owner, words := metav1.GetControllerOf(object), fmt.Sprintf("%s %q", c.kind, name)
	switch {
	case owner == nil || owner.Kind != v1beta1.WorkspaceKind || owner.Name != o.ws.Name:
		o.strangers = append(o.strangers, words)
	case owner.UID != o.ws.UID:
		o.leftovers = append(o.leftovers, words)
	default:
		o.have[handle{c.kind, name}] = object
		o.remember(object)
	}
	return nil
}

// observeTuning reads what a tuning makes besides.
func (r *Reconciler) observeTuning(ctx context.Context, key types.NamespacedName, o *observed) error {
	for _, c := range tuneChildren() {
		if o.have[handle{c.kind, c.name(o.ws)}] != nil {
			continue // as a child of the server
		}
		if err := o.look(ctx, r.cached, c.child); err != nil {
			return err
		}
	}
	if pod := trainer(o.jobPods); pod != nil {
		o.progress = r.tunings.Progress(key, pod.UID)
	}
	return nil
}

// remember keeps what decisions ask for by name.
func (o *observed) remember(object client.Object) {
	switch object := object.(type) {
	case *appsv1.StatefulSet:
		o.server = object
	case *batchv1.Job:
		switch object.Name {
		case o.ws.Name:
			o.tuneJob = object
		case render.FactsName(o.ws):
			o.hub.job = object
		default:
			o.checkJob = object
		}
	}
}

// lookLive asks the API server for the children that are to be made and, it says,
// are there already: the cache holds only what carries our label, and what it lacks
// may be somebody else's, or ours without its label.
func (r *Reconciler) lookLive(ctx context.Context, o *observed, d decision) error {
	for _, c := range missing(*o, d) {
		if err := o.look(ctx, r.live, c); err != nil {
			return err
		}
	}
	return nil
}

// missing are the children that a decision wants and that the cache does not have.
func missing(o observed, d decision) []child {
	var all []child
	lacks := func(c child) bool { return o.have[handle{c.kind, c.name(o.ws)}] == nil }
	if d.serving != nil {
		for _, c := range children() {
			if lacks(c) && c.render(*d.serving) != nil {
				all = append(all, c)
			}
		}
	}
	for _, c := range factsChildren() {
		if lacks(c.child) && c.fate(d.facts) == create {
			all = append(all, c.child)
		}
	}
	if d.tuned != nil {
		for _, c := range tuneChildren() {
			if lacks(c.child) && c.fate(d.tuned) == create {
				all = append(all, c.child)
			}
		}
	}
	return all
}
