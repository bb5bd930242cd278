package v1beta1

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of Accepted for nodes that are made on demand (resource.instanceType).
const (
	// ReasonUnknownInstanceType is the reason of an instance type that nobody knows.
	ReasonUnknownInstanceType = "UnknownInstanceType"
	// ReasonNodeProvisioningDisabled is the reason of an instance type where the operator makes no nodes.
	ReasonNodeProvisioningDisabled = "NodeProvisioningDisabled"
	// ReasonInvalidAnnotation is the reason of an annotation whose value means nothing.
	ReasonInvalidAnnotation = "InvalidAnnotation"
)

// Reasons of NodeClaimReady, which NodesReady and ResourceReady repeat.
const (
	// ReasonNodeClaimsReady is the reason of nodes that were asked for and have joined.
	ReasonNodeClaimsReady = "NodeClaimsReady"
	// ReasonNoProvisioner is the reason of a cluster that knows no NodeClaims.
	ReasonNoProvisioner = "NoProvisioner"
	// ReasonNodeClaimPending is the reason of a NodeClaim that no provisioner has taken up yet.
	ReasonNodeClaimPending = "NodeClaimPending"
	// ReasonNodeClaimRefused is the reason of a NodeClaim that the API server does not take.
	ReasonNodeClaimRefused = "NodeClaimRefused"
	// ReasonReleased is the reason of nodes that were given back.
	ReasonReleased = "Released"
	// ReasonDeleting is the reason of a Workspace that is deleted and whose nodes are still there.
	ReasonDeleting = "Deleting"

	// The reasons that the provisioner gives, in the NodeClaim's own words.

	// ReasonCreating is the reason of a machine that the cloud is making.
	ReasonCreating = "Creating"
	// ReasonCapacityExhausted is the reason of machines that are not to be had now.
	ReasonCapacityExhausted = "CapacityExhausted"
	// ReasonQuotaExceeded is the reason of a quota of the cloud account.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonSKUUnavailable is the reason of a type that is not sold here, or no more.
	ReasonSKUUnavailable = "SKUUnavailable"
	// ReasonAuthFailed is the reason of an identity that may not make machines.
	ReasonAuthFailed = "AuthFailed"
	// ReasonThrottled is the reason of a cloud that wants fewer calls.
	ReasonThrottled = "Throttled"
	// ReasonCloudUnreachable is the reason of a cloud that does not answer.
	ReasonCloudUnreachable = "CloudUnreachable"
	// ReasonInvalidRequest is the reason of a machine that the cloud cannot make as it is asked for.
	ReasonInvalidRequest = "InvalidRequest"
	// ReasonLimitReached is the reason of a limit of the provisioner: nodes, GPUs, attempts an hour.
	ReasonLimitReached = "LimitReached"
	// ReasonNodeNotJoined is the reason of a machine whose node is not in the cluster yet.
	ReasonNodeNotJoined = "NodeNotJoined"
	// ReasonCloudBusy is the reason of a cloud that does something else first.
	ReasonCloudBusy = "CloudBusy"
	// ReasonLaunchTimeout is the reason of a machine that did not come in time; another is asked for.
	ReasonLaunchTimeout = "LaunchTimeout"
	// ReasonMachineGone is the reason of a machine that was there and is gone; another is asked for.
	ReasonMachineGone = "MachineGone"
	// ReasonResourceNotRegistered is the reason of a node that does not show a device that was asked for.
	ReasonResourceNotRegistered = "ResourceNotRegistered"
	// ReasonStartupTaints is the reason of a node that somebody still prepares.
	ReasonStartupTaints = "StartupTaintsExist"
	// ReasonManyNodes is the reason of one machine that has joined as several nodes.
	ReasonManyNodes = "MultipleNodesFound"
	// ReasonGPUNotReady is the reason of a node that does not show its GPUs yet.
	ReasonGPUNotReady = "GPUNotReady"
)

// UnknownInstanceType says that no table holds a type, and what may have been meant.
func UnknownInstanceType(name string, near []string) metav1.Condition {
	meant := "a type that the cloud sells"
	if len(near) > 0 {
		meant = strings.Join(near, " or ")
	}
	return Refused(ReasonUnknownInstanceType,
		"No instance type is called %q, which resource.instanceType says: it cannot be changed, so create the Workspace anew with %s, or let an administrator add the type to nodeProvisioning.instanceTypes of the chart",
		name, meant)
}

// NodeProvisioningDisabled says that this operator makes no nodes.
func NodeProvisioningDisabled(instanceType, selector string) metav1.Condition {
	return Refused(ReasonNodeProvisioningDisabled,
		"This operator makes no nodes, as resource.instanceType %q asks, because nodeProvisioning.enabled of its chart is false: create the Workspace without it and label a node of your own (%s)",
		instanceType, selector)
}

// InvalidAnnotation says what an annotation may say.
func InvalidAnnotation(annotation, value, allowed string) metav1.Condition {
	return Refused(ReasonInvalidAnnotation, "Annotation %s is %q: say %s", annotation, value, allowed)
}

// SelectorCannotBeMet says that no node which is made can match the selector.
func SelectorCannotBeMet(why string) metav1.Condition {
	return Refused(ReasonInvalidSelector,
		"Nodes that are made for resource.instanceType cannot match resource.labelSelector, %s: use matchLabels of your own, which every such node is given", why)
}

// RetiredInstanceType is a note about a type that its provider sells no more.
func RetiredInstanceType(name string, successors []string) string {
	return fmt.Sprintf("instance type %s is retired and may be refused%s", name, successor(successors, "; its successors are "))
}

// successor names the types that come after one, behind a few words; or nothing.
func successor(names []string, words string) string {
	if len(names) == 0 {
		return ""
	}
	return words + strings.Join(names, " and ")
}

// NodeClaimsReady says which nodes have been made.
func NodeClaimsReady(nodes []string) metav1.Condition {
	return yes(ConditionNodeClaimReady, ReasonNodeClaimsReady, "Made and joined: %s", some(nodes))
}

// NoProvisioner says that nobody makes nodes in this cluster.
func NoProvisioner() metav1.Condition {
	return no(ConditionNodeClaimReady, ReasonNoProvisioner,
		"This cluster knows no NodeClaims, by which nodes are asked for: install charts/gpu-provisioner, or another controller of Karpenter's API; it is picked up by itself")
}

// NodeClaimPending says that a node was asked for and nobody has answered.
func NodeClaimPending(claim, instanceType string) metav1.Condition {
	return no(ConditionNodeClaimReady, ReasonNodeClaimPending,
		"NodeClaim %q asks for a node of type %s, and no provisioner has taken it up yet: if that lasts, see that the gpu-provisioner runs", claim, instanceType)
}

// NodeClaimRefused says why the API server takes no NodeClaim.
func NodeClaimRefused(err error) metav1.Condition {
	return no(ConditionNodeClaimReady, ReasonNodeClaimRefused,
		"The API server does not take the NodeClaim that asks for a node: %v; see the policies of the cluster and the rights of the operator", err)
}

// NodeClaimNotReady passes on what the provisioner says of a NodeClaim, in its words.
func NodeClaimNotReady(claim, reason, message string) metav1.Condition {
	return no(ConditionNodeClaimReady, reason, "NodeClaim %q: %s", claim, message)
}

// Replaceable are the types that take the place of one that is not sold, as an end of
// the message that says so.
func Replaceable(successors []string) string {
	const anew = "resource.instanceType cannot be changed, so create the Workspace anew with "
	if len(successors) == 0 {
		return anew + "another type"
	}
	return anew + strings.Join(successors, " or ")
}

// NodeNotJoined says that a NodeClaim is ready and its node is not to be seen.
func NodeNotJoined(claim, node string) metav1.Condition {
	return no(ConditionNodesReady, ReasonNodeNotJoined,
		"Node %q of NodeClaim %q is not in the cluster yet: if that lasts, delete the NodeClaim, and another node is made", node, claim)
}

// MadeNodesNotReady says which nodes that were made cannot take a pod, and why.
func MadeNodesNotReady(nodes []string) metav1.Condition {
	return no(ConditionNodesReady, ReasonNodeNotReady,
		"No node that was made can take a pod: %s; the provisioner repairs or replaces a node that stays away, see `kubectl describe node`", strings.Join(nodes, ", "))
}

// OfNodes says of a condition about one of several nodes how many of them are there.
func OfNodes(c metav1.Condition, ready, wanted int) metav1.Condition {
	if wanted > 1 {
		c.Message = fmt.Sprintf("%d of %d nodes are there: %s", ready, wanted, c.Message)
	}
	return c
}

// NodesAwaited passes on what the nodes wait for that are being made.
func NodesAwaited(because metav1.Condition) metav1.Condition {
	return condition(ConditionNodesReady, because.Status, because.Reason, because.Message)
}

// NodeClaimsUnasked says that no node is asked for before the Workspace is accepted.
func NodeClaimsUnasked() metav1.Condition {
	return condition(ConditionNodeClaimReady, metav1.ConditionUnknown, ReasonNotAccepted, "Nodes are asked for once the Workspace is accepted")
}

// NodesReleased says that the nodes were given back, and how they come again.
func NodesReleased(how string) metav1.Condition {
	return no(ConditionNodeClaimReady, ReasonReleased, "Nothing runs any more, so the nodes that were made are given back: %s", how)
}

// WorkspaceDeleting says what the deletion of a Workspace waits for, as a condition of a kind.
func WorkspaceDeleting(kind, waits string) metav1.Condition {
	return no(kind, ReasonDeleting, "The Workspace is being deleted and waits until its nodes are gone: %s", waits)
}
