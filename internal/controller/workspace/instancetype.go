package workspace

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/nodeshape"
	"kaito.sh/kaito/internal/sizing"
)

// What the disk of a node that is made holds beside weights: the system, images of
// engines and trainers, which are large for GPUs, and logs.
const (
	diskOnCPU = 64 * model.GiB
	diskOnGPU = 128 * model.GiB
	diskStep  = 32 * model.GiB
)

// refuseInstanceType looks at the type, and at all else that a node which is made can
// have, before anything is asked for.
func refuseInstanceType(p Planner, t *thought) bool {
	if !provisions(t.ws) {
		return false
	}
	if p.NoProvisioning {
		t.accepted, t.final = v1beta1.NodeProvisioningDisabled(t.ws.Resource.InstanceType, metav1.FormatLabelSelector(t.ws.Resource.LabelSelector)), true
		return true
	}
	made, notes, no := sizing.MachineOf(t.ws, p.Instances)
	if t.object(no) {
		return true
	}
	t.instance, t.notes = made.Type, append(t.notes, notes...)
	node := &t.wish.node
	node.Workspace, node.InstanceType, node.GPUs, node.Resource = t.ws, made.Type.Name, made.Type.GPUs, made.Type.Resource()
	node.CapacityTypes, node.ImageFamily = made.CapacityTypes, made.ImageFamily
	t.acceptAgain()
	return false
}

// acceptAgain says Accepted with the notes that have come since.
func (t *thought) acceptAgain() {
	switch {
	case t.ws.Tuning != nil: // accepted once its data is checked
	case t.template != nil:
		t.accepted = v1beta1.AcceptedTemplate(t.notes...)
	default:
		t.accepted = v1beta1.Accepted(t.model.ID, t.notes...)
	}
}

// askForServers wants the nodes of a server, and refuses a model that no node of the type
// could take. What a retired type could take is not judged: the cloud's own answer is
// what its user needs to see. Once nodes are there, they are judged instead.
func askForServers(p Planner, t *thought) bool {
	if !provisions(t.ws) {
		return false
	}
	nodes, disk := podsOf(t.ws), model.Bytes(0)
	if t.template == nil {
		plan, err := p.ofType(t)
		if err != nil && !t.instance.Retired && len(t.observed.nodes) == 0 {
			t.accepted = v1beta1.Refused(v1beta1.ReasonDoesNotFit, "%s", sizing.OfType(sizing.Sentence(err), t.instance))
			t.decision.nodes, t.final = v1beta1.NodesTooSmall(), true
			return true
		}
		if err == nil && len(t.observed.nodes) == 0 && t.object(t.reading().Check(plan)) {
			return true // such a node would cost, and serve nothing
		}
		nodes = max(nodes, plan.Nodes)
		disk = plan.Disk + t.model.Forms[plan.Form].Size*2 // pulled, and unpacked or fetched
	}
	t.ask(nodes, disk)
	return false
}

// ofType plans for nodes of the type: as the first of them says what it has, once it is
// there, and until then as its type is published.
func (p Planner) ofType(t *thought) (model.Plan, error) {
	for i := range t.observed.nodes {
		for _, made := range nodeshape.Of(&t.observed.nodes[i], p.Instances, nil) {
			if made.GPUs.Count < t.instance.GPUs {
				continue // its GPUs have not come yet
			}
			if plan, err := estimate.OnNode(t.model, t.wishes(), made); err == nil {
				return plan, nil
			}
		}
	}
	return estimate.OnNode(t.model, t.wishes(), sizing.TypeShape(t.instance))
}

// podsOf is the number of pods of a template, and of nodes at the least: as many as the user says.
func podsOf(ws *v1beta1.Workspace) int { return int(max(1, ptr.Deref(ws.Resource.Count, 1))) }

// ask wants nodes with room for images and this much more.
func (t *thought) ask(nodes int, disk model.Bytes) {
	base := diskOnCPU
	if t.instance.GPUs > 0 {
		base = diskOnGPU
	}
	t.wish.demand, t.wish.nodes, t.wish.node.Disk = askForNodes, nodes, (base + disk).CeilTo(diskStep)
}

// release gives all nodes back that were made.
func (t *thought) release() {
	if provisions(t.ws) {
		t.wish.demand = releaseNodes
	}
}

// findMade keeps of the nodes that were made those that can take a pod now. It is done
// where there is none yet, and says what they wait for.
func (p Planner) findMade(t *thought) bool {
	because := p.claims(t)
	if !t.claimsKnown || t.wish.demand == releaseNodes {
		t.decision.nodes = v1beta1.NodesAwaited(because)
		return true
	}
	not := p.pick(t, func(n *corev1.Node) string {
		whole := slices.ContainsFunc(standing(t.observed.claims), func(c nodeclaim.NodeClaim) bool { return c.Status.NodeName == n.Name && claimReady(&c) })
		if !whole {
			return "(is not whole yet)"
		}
		return sizing.Unusable(n)
	})
	switch {
	case len(t.fit) > 0 && len(names(t.fit)) >= t.wish.nodes:
		return false
	case because.Status != metav1.ConditionTrue:
		t.short = v1beta1.NodesAwaited(because)
	case len(not) > 0:
		t.short = v1beta1.MadeNodesNotReady(not)
	default:
		t.short = unjoined(t)
	}
	t.decision.nodes = t.short
	return len(t.fit) == 0
}

// unjoined names the first claim whose node is not to be seen.
func unjoined(t *thought) metav1.Condition {
	for _, c := range standing(t.observed.claims) {
		if !slices.ContainsFunc(t.observed.nodes, func(n corev1.Node) bool { return n.Name == c.Status.NodeName }) {
			return v1beta1.NodeNotJoined(c.Name, c.Status.NodeName)
		}
	}
	return v1beta1.NodesUnjudged()
}
