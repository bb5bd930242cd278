package v1beta1

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition types of a Workspace. The names are promises: dashboards and scripts wait for them.
const (
	// ConditionAccepted is True once the Workspace can be run as it is written.
	ConditionAccepted = "Accepted"
	// ConditionNodeClaimReady is True once the nodes that were asked for have
	// joined; absent where the cluster's own nodes are used.
	ConditionNodeClaimReady = "NodeClaimReady"
	// ConditionNodesReady is True once enough nodes can take the model.
	ConditionNodesReady = "NodesReady"
	// ConditionResourceReady sums up all that is needed before a pod can start.
	ConditionResourceReady = "ResourceReady"
	// ConditionInferenceReady is True while the model answers.
	ConditionInferenceReady = "InferenceReady"
	// ConditionJobStarted is True once training has begun; absent without tuning.
	ConditionJobStarted = "JobStarted"
	// ConditionWorkspaceReady is True while the Service answers as the Workspace asks.
	ConditionWorkspaceReady = "WorkspaceReady"
	// ConditionWorkspaceSucceeded equals WorkspaceReady, and stays True after a
	// published tuning whatever its server does.
	ConditionWorkspaceSucceeded = "WorkspaceSucceeded"
)

// Reasons of Accepted.
const (
	// ReasonAccepted is the reason of a Workspace that can be run.
	ReasonAccepted = "Accepted"
	// ReasonNotYetSupported is the reason of a field that this version cannot act on.
	ReasonNotYetSupported = "NotYetSupported"
	// ReasonModelNotFound is the reason of a preset that names no known model.
	ReasonModelNotFound = "ModelNotFound"
	// ReasonInvalidCatalog is the reason of a catalog ConfigMap with a file that cannot be read.
	ReasonInvalidCatalog = "InvalidCatalog"
	// ReasonInvalidSelector is the reason of a label selector that selects nothing by its form.
	ReasonInvalidSelector = "InvalidSelector"
	// ReasonDoesNotFit is the reason of a model that is too large for every node it may use.
	ReasonDoesNotFit = "DoesNotFit"
	// ReasonTooFewNodes is the reason of a model that needs more nodes together than are there.
	ReasonTooFewNodes = "TooFewNodes"
	// ReasonConfigMapNotFound is the reason of a ConfigMap that is named and not there.
	ReasonConfigMapNotFound = "ConfigMapNotFound"
	// ReasonInvalidTemplate is the reason of a pod template that cannot become a pod.
	ReasonInvalidTemplate = "InvalidTemplate"
	// ReasonInvalidImage is the reason of a reference that names no image.
	ReasonInvalidImage = "InvalidImage"
	// ReasonInvalidAdapter is the reason of an adapter that cannot be served as it is named.
	ReasonInvalidAdapter = "InvalidAdapter"
	// ReasonImageIgnored is the reason of the event that tells of a presetOptions.image without a model.
	ReasonImageIgnored = "ImageIgnored"
	// ReasonNameTaken is the reason of an object of somebody else that stands where a child belongs.
	ReasonNameTaken = "NameTaken"
	// ReasonInvalidSettings: the ConfigMap of inference.config asks for what the engine cannot do.
	ReasonInvalidSettings = "InvalidSettings"
)

// Reasons of NodesReady and ResourceReady.
const (
	// ReasonNodesReady is the reason of nodes that can take the model.
	ReasonNodesReady = "NodesReady"
	// ReasonNodeNotReady is the reason of nodes that match and cannot take a pod now.
	ReasonNodeNotReady = "NodeNotReady"
	// ReasonNoMatchingNode is the reason of a selector that no node matches.
	ReasonNoMatchingNode = "NoMatchingNode"
	// ReasonNotAccepted is the reason of all that waits for Accepted.
	ReasonNotAccepted = "NotAccepted"
	// ReasonResourceReady is the reason of a True ResourceReady.
	ReasonResourceReady = "workspaceResourceStatusSuccess"
)

// Reasons of InferenceReady.
const (
	// ReasonInferenceReady is the reason of a model that answers.
	ReasonInferenceReady = "WorkspaceInferenceStatusSuccess"
	// ReasonInferencePending is the reason of a model that is being started.
	ReasonInferencePending = "WorkspaceInferenceStatusPending"
	// ReasonServingPreviousVersion is the reason of a server that goes on as it
	// was, because the newest edit is not accepted.
	ReasonServingPreviousVersion = "ServingPreviousVersion"
	// ReasonImagePullError is the reason of an image or weights that cannot be pulled.
	ReasonImagePullError = "ImagePullError"
	// ReasonContainerStartError is the reason of a container that cannot be created.
	ReasonContainerStartError = "ContainerStartError"
	// ReasonGroupRestarting is the reason of pods that start again because one of those with
	// which they serve a model together was lost.
	ReasonGroupRestarting = "GroupRestarting"
	// ReasonContainerCrashLoop is the reason of a container that ends again and again.
	ReasonContainerCrashLoop = "ContainerCrashLoopBackOff"
	// ReasonContainerOOMKilled is the reason of a container that needs more memory than it may use.
	ReasonContainerOOMKilled = "ContainerOOMKilled"
	// ReasonPodEvicted is the reason of a pod that its node put out.
	ReasonPodEvicted = "PodEvicted"
	// ReasonUnschedulable is the reason of a pod that no node takes.
	ReasonUnschedulable = "Unschedulable"
	// ReasonPodRejected is the reason of a pod that the API server or its node refuses.
	ReasonPodRejected = "PodRejected"
	// ReasonNodeLost is the reason of a pod on a node that does not answer.
	ReasonNodeLost = "NodeLost"
	// ReasonWeightsUnreachable is the reason of a registry or hub that does not answer.
	ReasonWeightsUnreachable = "WeightsUnreachable"
	// ReasonWeightsRefused is the reason of a registry or hub that does not let the runner in.
	ReasonWeightsRefused = "WeightsRefused"
	// ReasonWeightsNotFound is the reason of an image, repository or revision that does not exist.
	ReasonWeightsNotFound = "WeightsNotFound"
	// ReasonWeightsCorrupt is the reason of bytes that are not those that were promised.
	ReasonWeightsCorrupt = "WeightsCorrupt"
	// ReasonWeightsUnusable is the reason of files that the engine cannot load or must not.
	ReasonWeightsUnusable = "WeightsUnusable"
	// ReasonAdapterUnusable is the reason of an adapter that does not fit model or engine.
	ReasonAdapterUnusable = "AdapterUnusable"
	// ReasonAdapterUnreachable is the reason of an adapter whose registry does not answer.
	ReasonAdapterUnreachable = "AdapterUnreachable"
	// ReasonDiskFull is the reason of a disk that is too small for the weights.
	ReasonDiskFull = "DiskFull"
)

// Reasons of WorkspaceReady and WorkspaceSucceeded.
const (
	// ReasonWorkspaceReady is the reason of a Workspace that answers.
	ReasonWorkspaceReady = "WorkspaceReady"
	// ReasonWorkspaceNotReady is the reason of a Workspace that waits.
	ReasonWorkspaceNotReady = "WorkspaceNotReady"
	// ReasonWorkspaceSucceeded is the reason of a True WorkspaceSucceeded.
	ReasonWorkspaceSucceeded = "workspaceSucceeded"
	// ReasonWorkspacePending is the reason of a WorkspaceSucceeded that waits.
	ReasonWorkspacePending = "workspacePending"
)

// Accepted says that the model can be served. Notes are what the user should know of
// fields that are read in another way than they may expect.
func Accepted(model string, notes ...string) metav1.Condition {
	return accepted(fmt.Sprintf("Model %q can be served", model), notes)
}

// ImageIgnored tells that the image which the user names holds no model. It is told
// as an event and never stands among the conditions.
func ImageIgnored(image string) metav1.Condition {
	return Refused(ReasonImageIgnored,
		"Image %q of inference.preset.presetOptions.image holds no model and is ignored: name one that `kaito model push` has made, or leave it out", image)
}

// AcceptedTemplate says that the pod template can be run.
func AcceptedTemplate(notes ...string) metav1.Condition {
	return accepted("The pod template can be run", notes)
}

func accepted(what string, notes []string) metav1.Condition {
	return yes(ConditionAccepted, ReasonAccepted, "%s", strings.Join(append([]string{what}, notes...), "; "))
}

// Refused says that the Workspace needs an edit, and which.
func Refused(reason, format string, args ...any) metav1.Condition {
	return no(ConditionAccepted, reason, format, args...)
}

// AcceptedUnknown says that the Workspace cannot be judged before something else is there.
func AcceptedUnknown(reason, format string, args ...any) metav1.Condition {
	return condition(ConditionAccepted, metav1.ConditionUnknown, reason, fmt.Sprintf(format, args...))
}

// NotYetSupported says which fields this version of the operator cannot act on.
func NotYetSupported(fields []string) metav1.Condition {
	return Refused(ReasonNotYetSupported,
		"This version of the operator does not act on %s yet: leave it out, or install a version that does", strings.Join(fields, ", "))
}

// ConfigMapNotFound says which ConfigMap is missing.
func ConfigMapNotFound(name, key string) metav1.Condition {
	return Refused(ReasonConfigMapNotFound,
		"ConfigMap %q, which inference.config names, is not in this namespace: create it with the key %s, it is picked up at once", name, key)
}

// ModelNotFound says that no model has the name of the preset.
func ModelNotFound(name string, near []string) metav1.Condition {
	if len(near) == 0 {
		return Refused(ReasonModelNotFound, "No model is called %q, which preset.name says: Kaito's own are those of `kaito model list`, one of a hub is called owner/name, and one of your own stands in a ConfigMap with the label %s=true", name, LabelCatalog)
	}
	return Refused(ReasonModelNotFound, "No model is called %q, which preset.name says: did you mean %s?", name, strings.Join(near, " or "))
}

// InvalidCatalog says that files of catalogs cannot be read, because of which a name may not
// mean what it should.
func InvalidCatalog(name string, files []string) metav1.Condition {
	return Refused(ReasonInvalidCatalog, "What preset.name %q means cannot be said before this is corrected, which is read again at once: %s", name, some(files))
}

// NodesReady says which nodes can take the model.
func NodesReady(nodes []string) metav1.Condition {
	return yes(ConditionNodesReady, ReasonNodesReady, "The model fits %s", some(nodes))
}

// NodesCanRun says which nodes can take pods of a template.
func NodesCanRun(nodes []string) metav1.Condition {
	return yes(ConditionNodesReady, ReasonNodesReady, "Pods can run on %s", some(nodes))
}

// NoMatchingNode says that no node has the labels.
func NoMatchingNode(selector string) metav1.Condition {
	return no(ConditionNodesReady, ReasonNoMatchingNode,
		"No node matches the label selector %q: label one with `kubectl label node NODE KEY=VALUE`, it is picked up at once", selector)
}

// NodesNotReady says which nodes match and cannot take a pod, and why.
func NodesNotReady(nodes []string) metav1.Condition {
	return no(ConditionNodesReady, ReasonNodeNotReady,
		"No node that matches can take a pod: %s; see `kubectl describe node`", strings.Join(nodes, ", "))
}

// NodesUnjudged says that nodes are not looked for before the Workspace is accepted.
func NodesUnjudged() metav1.Condition {
	return condition(ConditionNodesReady, metav1.ConditionUnknown, ReasonNotAccepted, "Nodes are judged once the Workspace is accepted")
}

// TooFewNodes says that nodes match that could serve the model together, and how many are missing.
func TooFewNodes(err error) metav1.Condition {
	text := err.Error()
	return no(ConditionNodesReady, ReasonTooFewNodes, "%s", strings.ToUpper(text[:1])+text[1:])
}

// NodesTooSmall says that nodes match and none is large enough.
func NodesTooSmall() metav1.Condition {
	return no(ConditionNodesReady, ReasonDoesNotFit, "The model fits no node that matches: see the condition Accepted")
}

// ResourceReady sums up NodesReady and what else a pod needs.
func ResourceReady() metav1.Condition {
	return yes(ConditionResourceReady, ReasonResourceReady, "All resources are ready")
}

// ResourceNotReady passes on what the resources wait for.
func ResourceNotReady(because metav1.Condition) metav1.Condition {
	return no(ConditionResourceReady, because.Reason, "%s", because.Message)
}

// InferenceReady says where the model answers.
func InferenceReady(service string) metav1.Condition {
	return yes(ConditionInferenceReady, ReasonInferenceReady, "The model answers at Service %q", service)
}

// ServingPreviousVersion says that the model answers as it did before the newest edit.
func ServingPreviousVersion(service string) metav1.Condition {
	return yes(ConditionInferenceReady, ReasonServingPreviousVersion,
		"The model answers at Service %q as before: the newest edit is not accepted", service)
}

// InferenceNotReady says why the model does not answer, and what helps.
func InferenceNotReady(reason, format string, args ...any) metav1.Condition {
	return no(ConditionInferenceReady, reason, format, args...)
}

// InferenceWaits passes on what keeps the server from being started.
func InferenceWaits(because metav1.Condition) metav1.Condition {
	return no(ConditionInferenceReady, because.Reason, "%s", because.Message)
}

// JobNotStarted passes on what keeps a tuning from beginning.
func JobNotStarted(because metav1.Condition) metav1.Condition {
	return no(ConditionJobStarted, because.Reason, "%s", because.Message)
}

// WorkspaceReady says that all is well.
func WorkspaceReady() metav1.Condition {
	return yes(ConditionWorkspaceReady, ReasonWorkspaceReady, "The Workspace answers")
}

// WorkspaceNotReady passes on what the Workspace waits for.
func WorkspaceNotReady(because metav1.Condition) metav1.Condition {
	return no(ConditionWorkspaceReady, ReasonWorkspaceNotReady, "%s", because.Message)
}

// WorkspaceSucceeded follows WorkspaceReady for a Workspace without tuning.
func WorkspaceSucceeded(ready metav1.Condition) metav1.Condition {
	if ready.Status == metav1.ConditionTrue {
		return yes(ConditionWorkspaceSucceeded, ReasonWorkspaceSucceeded, "%s", ready.Message)
	}
	return no(ConditionWorkspaceSucceeded, ReasonWorkspacePending, "%s", ready.Message)
}

func yes(kind, reason, format string, args ...any) metav1.Condition {
	return condition(kind, metav1.ConditionTrue, reason, fmt.Sprintf(format, args...))
}

func no(kind, reason, format string, args ...any) metav1.Condition {
	return condition(kind, metav1.ConditionFalse, reason, fmt.Sprintf(format, args...))
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// some names at most five, so that a message stays readable on large clusters.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
