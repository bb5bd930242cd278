// Package nodeclaim is what the operator and the provisioner agree on about NodeClaims:
// Karpenter's kind (karpenter.sh/v1), and our words on it. It is the only room besides
// internal/karpenter that imports Karpenter, and imports its types alone.
package nodeclaim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	karpenter "sigs.k8s.io/karpenter/pkg/apis/v1"

	"kaito.sh/kaito/internal/nodelabel"
)

// Karpenter's kinds, conditions, labels and finalizer.
type (
	// NodeClaim asks for one node.
	NodeClaim = karpenter.NodeClaim
	// NodeClaimList is many.
	NodeClaimList = karpenter.NodeClaimList
	// Spec is what it asks for.
	Spec = karpenter.NodeClaimSpec
	// Status is what came of it.
	Status = karpenter.NodeClaimStatus
	// Requirement is one that its node's labels must meet.
	Requirement = karpenter.NodeSelectorRequirementWithMinValues
	// Requirements are the resources that it asks for.
	Requirements = karpenter.ResourceRequirements
	// ClassRef names its class.
	ClassRef = karpenter.NodeClassReference
)

// Kind and APIVersion of a NodeClaim.
const (
	Kind       = "NodeClaim"
	APIVersion = "karpenter.sh/v1"
)

// Conditions of a NodeClaim, each with the true cause where it is not True.
const (
	ConditionLaunched    = karpenter.ConditionTypeLaunched
	ConditionRegistered  = karpenter.ConditionTypeRegistered
	ConditionInitialized = karpenter.ConditionTypeInitialized
	ConditionReady       = "Ready"
)

// Finalizer is Karpenter's own, on claims and on nodes.
const Finalizer = karpenter.TerminationFinalizer

// Labels that claims and their nodes carry.
const (
	// LabelWorkspace and LabelNamespace say whose a claim and its node are.
	LabelWorkspace = nodelabel.Workspace
	LabelNamespace = nodelabel.Namespace
	// LabelOrdinal is which of a Workspace's nodes it is, from 0.
	LabelOrdinal = "kaito.sh/node-ordinal"
	// LabelNodePool is Karpenter's, PoolName its value on our claims; no such NodePool exists.
	LabelNodePool = nodelabel.NodePool
	PoolName      = nodelabel.PoolName
	// LabelCapacityType is Karpenter's: "on-demand" or "spot".
	LabelCapacityType = karpenter.CapacityTypeLabelKey
)

// The marker class whose claims we serve: kaito.sh/KaitoNodeClass, of any name.
const (
	ClassGroup = "kaito.sh"
	ClassKind  = "KaitoNodeClass"
	ClassName  = "default"
)

// LabelClass is on every node of ours, as Karpenter has it on its own: by it Karpenter's
// termination knows which nodes it drains.
const LabelClass = ClassGroup + "/kaitonodeclass"

// Annotations on claims.
const (
	// AnnotationDoNotDisrupt is Karpenter's.
	AnnotationDoNotDisrupt = karpenter.DoNotDisruptAnnotationKey
	// AnnotationImageFamily is "ubuntu" or "azurelinux".
	AnnotationImageFamily = "kaito.sh/node-image-family"
	// AnnotationWorkspaceUID and AnnotationAttempt are, with LabelOrdinal, what a claim's name is made from:
	// the Workspace of which life, and how often the claim of this ordinal was replaced.
	AnnotationWorkspaceUID = "kaito.sh/workspace-uid"
	AnnotationAttempt      = "kaito.sh/node-attempt"
	// What the provisioner keeps on a claim, written before the first call to a cloud.
	AnnotationKey      = "provisioner.kaito.sh/key"
	AnnotationOffer    = "provisioner.kaito.sh/offer"
	AnnotationTried    = "provisioner.kaito.sh/tried"
	AnnotationToken    = "provisioner.kaito.sh/token"
	AnnotationAttempts = "provisioner.kaito.sh/attempts"
)

// LabelKey is the key on a machine's node: the provisioner asks for it with the machine.
const LabelKey = AnnotationKey

// Taint of GPU nodes: sku=gpu:NoSchedule.
const (
	TaintKey   = "sku"
	TaintValue = "gpu"
)

// Reasons of conditions that are not True, besides Karpenter's own.
const (
	// ReasonCreating: the cloud is making the machine.
	ReasonCreating = "Creating"
	// ReasonCapacityExhausted: every offer was tried and none was to be had; tried again later.
	ReasonCapacityExhausted = "CapacityExhausted"
	// ReasonQuotaExceeded, ReasonSKUUnavailable, ReasonAuthFailed, ReasonThrottled,
	// ReasonCloudUnreachable, ReasonNameTaken and ReasonInvalid are the cloud's refusals.
	ReasonQuotaExceeded    = "QuotaExceeded"
	ReasonSKUUnavailable   = "SKUUnavailable"
	ReasonAuthFailed       = "AuthFailed"
	ReasonThrottled        = "Throttled"
	ReasonCloudUnreachable = "CloudUnreachable"
	ReasonNameTaken        = "NameTaken"
	ReasonInvalid          = "InvalidRequest"
	// ReasonCloudBusy: the cloud does something else first. ReasonAwaiting: nothing was asked yet.
	ReasonCloudBusy = "CloudBusy"
	ReasonAwaiting  = "AwaitingReconciliation"
	// ReasonLimitReached: a limit of the provisioner (nodes, GPUs, attempts an hour) stands in the way.
	ReasonLimitReached = "LimitReached"
	// ReasonNodeNotJoined, ReasonNodeNotReady and ReasonGPUNotReady say what a machine that
	// was made still lacks.
	ReasonNodeNotJoined = "NodeNotJoined"
	ReasonNodeNotReady  = "NodeNotReady"
	ReasonGPUNotReady   = "GPUNotReady"
	// ReasonLaunchTimeout: the cloud took too long. ReasonMachineGone: the machine was there, and is gone.
	ReasonLaunchTimeout = "LaunchTimeout"
	ReasonMachineGone   = "MachineGone"
	// ReasonResourceNotRegistered, ReasonStartupTaints and ReasonManyNodes are Karpenter's words for
	// a device that does not show, a startup taint that is still there and two nodes of one machine.
	ReasonResourceNotRegistered = "ResourceNotRegistered"
	ReasonStartupTaints         = "StartupTaintsExist"
	ReasonManyNodes             = "MultipleNodesFound"
)

// Name is the name of a Workspace's claim: ws and 9 hexadecimal digits. attempt is how often
// the claim of this ordinal was replaced, so that a name which is still terminating is skipped.
func Name(namespace, workspace, uid string, ordinal, attempt int) string {
	const digits = 9
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%d", namespace, workspace, uid, ordinal, attempt))
	return "ws" + hex.EncodeToString(sum[:])[:digits]
}
