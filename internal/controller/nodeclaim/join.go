package nodeclaim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// Labels and taints that Karpenter sets and others look for.
const (
	labelRegistered   = "karpenter.sh/registered"
	labelInitialized  = "karpenter.sh/initialized"
	taintUnregistered = "karpenter.sh/unregistered"
	labelAKSImage     = "kubernetes.azure.com/node-image-version"
	annotationApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// resourceGPU is what is waited for on a machine with GPUs whose claim asks for none.
const resourceGPU corev1.ResourceName = "nvidia.com/gpu"

// join decides about a machine that the provider has made: its node joins and becomes whole.
func (d decision) join(o observed, m node.Observed) decision {
	offer := d.book.attempt.Offer
	if m.Offer.InstanceType != "" && (m.Offer.InstanceType != offer.InstanceType || m.Offer.CapacityType != offer.CapacityType) {
		offer = m.Offer // an older state of the claim was restored
	}
	d.launched = isTrue(nodeclaim.ConditionLaunched)
	if m.ProviderID != "" {
		d.status.ProviderID = m.ProviderID
	}
	if d.status.NodeName == "" && len(offer.Capacity) > 0 {
		d.status.Capacity = offer.Capacity
	}
	nodes := mine(o, m)
	switch {
	case len(nodes) > 1:
		d.registered = unknown(nodeclaim.ConditionRegistered, nodeclaim.ReasonManyNodes, fmt.Sprintf("Several nodes have joined as this machine: %s", strings.Join(names(nodes), ", ")))
		return d
	case len(nodes) == 0 && d.registered.Status == metav1.ConditionTrue:
		d.initialized = unknown(nodeclaim.ConditionInitialized, nodeclaim.ReasonNodeNotJoined, "The node has left the cluster")
		return d.overdueInitialization(o)
	case len(nodes) == 0:
		d.registered = unknown(nodeclaim.ConditionRegistered, nodeclaim.ReasonNodeNotJoined, "The machine is made, and its node has not joined the cluster yet")
		d.initialized = unknown(nodeclaim.ConditionInitialized, nodeclaim.ReasonNodeNotJoined, "The node has not joined the cluster yet")
		if o.phase == phaseRegistration && o.spent > o.deadlines.Registration {
			return d.miss(o, missed{
				Condition: nodeclaim.ConditionRegistered, Reason: nodeclaim.ReasonNodeNotJoined,
				Message: fmt.Sprintf("The machine's node has not joined the cluster within %s", o.deadlines.Registration),
			})
		}
		return d
	}
	return d.become(o, nodes[0], offer)
}

// become decides about the node of a machine.
func (d decision) become(o observed, have *corev1.Node, offer node.Offer) decision {
	n := registered(o.claim, have, offer, o.key)
	d.registered = isTrue(nodeclaim.ConditionRegistered)
	d.status.NodeName, d.status.ImageID = n.Name, n.Labels[labelAKSImage]
	if d.status.ImageID == "" {
		d.status.ImageID = n.Status.NodeInfo.OSImage
	}
	if n.Spec.ProviderID != "" {
		d.status.ProviderID = n.Spec.ProviderID
	}
	d.status.Capacity, d.status.Allocatable = n.Status.Capacity, n.Status.Allocatable
	reason, message := lacks(o.claim, n, offer)
	if reason == "" {
		n.Labels[labelInitialized] = "true"
		d.initialized = isTrue(nodeclaim.ConditionInitialized)
	} else {
		d.initialized = unknown(nodeclaim.ConditionInitialized, reason, message)
		d = d.overdueInitialization(o)
	}
	if !equality.Semantic.DeepEqual(n, have) && (!d.book.open() || d.book.attempt.Ended == "") {
		d.node = n
	}
	return d
}

// overdueInitialization ends an attempt whose node took too long to become whole.
func (d decision) overdueInitialization(o observed) decision {
	if o.phase != phaseInitialization || o.spent <= o.deadlines.Initialization {
		return d
	}
	return d.miss(o, missed{
		Condition: nodeclaim.ConditionInitialized, Reason: d.initialized.Reason,
		Message: fmt.Sprintf("%s, %s after it had joined", d.initialized.Message, o.deadlines.Initialization),
	})
}

// mine are the nodes of a machine. A node that is being deleted is one of a machine before it.
func mine(o observed, m node.Observed) []*corev1.Node {
	var all []*corev1.Node
	for _, n := range o.nodes {
		if n.DeletionTimestamp.IsZero() && isOf(n, o.key, m) {
			all = append(all, n)
		}
	}
	return all
}

func isOf(n *corev1.Node, key node.Key, m node.Observed) bool {
	switch {
	case m.ProviderID != "":
		return n.Spec.ProviderID == m.ProviderID
	case len(m.NodeLabels) > 0:
		for name, value := range m.NodeLabels {
			if n.Labels[name] != value {
				return false
			}
		}
		return true
	default:
		return n.Labels[nodeclaim.LabelKey] == string(key)
	}
}

func names(nodes []*corev1.Node) []string {
	all := make([]string, 0, len(nodes))
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	slices.Sort(all)
	return all
}

// registered is a node as it is to be once it has joined. Taints are set once: those of
// the start are taken off by others.
func registered(claim *nodeclaim.NodeClaim, have *corev1.Node, offer node.Offer, key node.Key) *corev1.Node {
	n := have.DeepCopy()
	first := n.Labels[labelRegistered] != "true"
	controllerutil.AddFinalizer(n, nodeclaim.Finalizer)
	own(claim, n)
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	maps.Copy(n.Labels, claim.Labels)
	n.Labels[labelRegistered] = "true"
	n.Labels[nodeclaim.LabelKey] = string(key)
	n.Labels[nodeclaim.LabelClass] = nodeclaim.ClassName
	if offer.CapacityType != "" {
		n.Labels[nodeclaim.LabelCapacityType] = offer.CapacityType
	}
	for name, value := range claim.Annotations {
		if strings.HasPrefix(name, ownPrefix) || name == annotationApplied {
			continue
		}
		if n.Annotations == nil {
			n.Annotations = map[string]string{}
		}
		n.Annotations[name] = value
	}
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == taintUnregistered })
	if first {
		for _, t := range slices.Concat(claim.Spec.Taints, claim.Spec.StartupTaints) {
			if !slices.ContainsFunc(n.Spec.Taints, func(have corev1.Taint) bool { return have.MatchTaint(&t) }) {
				n.Spec.Taints = append(n.Spec.Taints, t)
			}
		}
	}
	return n
}

// own makes the claim an owner of its node, as Karpenter does.
func own(claim *nodeclaim.NodeClaim, n *corev1.Node) {
	if slices.ContainsFunc(n.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == claim.UID }) {
		return
	}
	n.OwnerReferences = append(n.OwnerReferences, metav1.OwnerReference{
		APIVersion: nodeclaim.APIVersion, Kind: nodeclaim.Kind, Name: claim.Name, UID: claim.UID, BlockOwnerDeletion: ptr.To(true),
	})
}

// lacks says what a node that has joined still lacks, or nothing. What a claim asks of its
// disk is never waited for.
func lacks(claim *nodeclaim.NodeClaim, n *corev1.Node, offer node.Offer) (reason, message string) {
	if ready := readiness(n); ready.Status != corev1.ConditionTrue {
		return nodeclaim.ReasonNodeNotReady, fmt.Sprintf("The node %s is not ready: %s", n.Name, ready.Message)
	}
	for _, t := range n.Spec.Taints {
		if temporary(claim, t) {
			return nodeclaim.ReasonStartupTaints, fmt.Sprintf("The node %s has the taint %s yet, which whoever prepares it has to take off", n.Name, t.ToString())
		}
	}
	return lacksDevice(claim, n, offer)
}

// readiness is what a node's kubelet says of itself.
func readiness(n *corev1.Node) corev1.NodeCondition {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c
		}
	}
	return corev1.NodeCondition{Message: "its kubelet has not said anything yet"}
}

// lacksDevice says which device a node does not show: one that the claim asks for, or the
// GPUs of its type where it asks for none.
func lacksDevice(claim *nodeclaim.NodeClaim, n *corev1.Node, offer node.Offer) (reason, message string) {
	devices := map[corev1.ResourceName]int64{}
	for name, amount := range claim.Spec.Resources.Requests {
		if strings.Contains(string(name), "/") && !amount.IsZero() {
			devices[name] = amount.Value()
		}
	}
	if len(devices) == 0 && offer.GPUs > 0 {
		devices[gpusOf(offer)] = int64(offer.GPUs)
	}
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		have := n.Status.Allocatable[name]
		if have.Value() >= devices[name] {
			continue
		}
		if strings.HasSuffix(string(name), "/gpu") {
			return nodeclaim.ReasonGPUNotReady, fmt.Sprintf("The node %s shows %d of %d %s: its driver or device plugin does not run", n.Name, have.Value(), devices[name], name)
		}
		return nodeclaim.ReasonResourceNotRegistered, fmt.Sprintf("The node %s shows %d of %d %s: its device plugin does not run", n.Name, have.Value(), devices[name], name)
	}
	return "", ""
}

// gpusOf is what pods ask for to get the GPUs of an offer: NVIDIA's where it does not say.
func gpusOf(offer node.Offer) corev1.ResourceName {
	for _, name := range slices.Sorted(maps.Keys(offer.Capacity)) {
		if strings.HasSuffix(string(name), "/gpu") {
			return name
		}
	}
	return resourceGPU
}

// temporary are taints that a node has at its start only.
func temporary(claim *nodeclaim.NodeClaim, t corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, taintUninitialized:
		return true
	}
	return slices.ContainsFunc(claim.Spec.StartupTaints, func(s corev1.Taint) bool { return s.MatchTaint(&t) })
}

// taintUninitialized is that of a node which a cloud's controller has not looked at.
const taintUninitialized = "node.cloudprovider.kubernetes.io/uninitialized"
