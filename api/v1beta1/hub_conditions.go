package v1beta1

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of Accepted for models that no catalog has and that are read from the hub.
const (
	// ReasonResolvingModel is the reason of a model of the hub that is being read.
	ReasonResolvingModel = "ResolvingModel"
	// ReasonModelGated is the reason of a model that the hub gives only to some accounts.
	ReasonModelGated = "ModelGated"
	// ReasonHubUnreachable is the reason of a hub that does not answer.
	ReasonHubUnreachable = "HubUnreachable"
	// ReasonHubRateLimited is the reason of a hub that wants fewer requests.
	ReasonHubRateLimited = "HubRateLimited"
	// ReasonModelUnusable is the reason of a model of the hub that cannot be run.
	ReasonModelUnusable = "ModelUnusable"
	// ReasonRemoteCode is the reason of a model that wants to run code of its own, which nobody has allowed.
	ReasonRemoteCode = "RemoteCodeNotAllowed"
)

// ResolvingModel says that the model is being read, and what that waits for.
func ResolvingModel(repository, how string) metav1.Condition {
	return AcceptedUnknown(ReasonResolvingModel, "Model %q is in no catalog, and is being read from the hub%s", repository, how)
}

// HubModelNotFound says that neither catalog nor hub has the model.
func HubModelNotFound(repository, why string, near []string) metav1.Condition {
	return Refused(ReasonModelNotFound, "%s%s", sentence(why), orNear(repository, near))
}

// ModelGated says that the hub does not show the model, and what helps.
func ModelGated(repository, why string, near []string) metav1.Condition {
	return Refused(ReasonModelGated, "%s%s", sentence(why), orNear(repository, near))
}

// orNear names models of the catalog that somebody may have meant.
func orNear(repository string, near []string) string {
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf("; or did you mean %s of the catalog, and not %s?", strings.Join(near, " or "), repository)
}

// HubNotAnswering says that the hub does not answer, or wants fewer requests; it is asked again.
// Without a hub a name that is misspelt cannot be told from one of a model that only the hub has.
func HubNotAnswering(reason, repository, why string, near []string) metav1.Condition {
	return AcceptedUnknown(reason, "%s; it is asked again by itself%s", sentence(why), orNear(repository, near))
}

// ModelUnusable says why a model of the hub cannot be run.
func ModelUnusable(why string) metav1.Condition {
	return Refused(ReasonModelUnusable, "%s", sentence(why))
}

// OnlyPickles says that the weights can run code when they are loaded, and how that is allowed.
func OnlyPickles(repository string) metav1.Condition {
	return Refused(ReasonModelUnusable,
		"Model %q has its weights as pickles alone, which can run code when they are loaded: take another model, or where you trust it set the annotation %s to \"true\"",
		repository, AnnotationAllowPickle)
}

// RemoteCodeNotAllowed says that the model runs code of its own, and how that is allowed.
func RemoteCodeNotAllowed(model string) metav1.Condition {
	return Refused(ReasonRemoteCode,
		"Model %q comes with Python code of its own, which vLLM would run (auto_map in its config.json): read it, and where you trust it at this commit, set the annotation %s to \"true\"",
		model, AnnotationTrustRemoteCode)
}

// sentence begins with a capital and ends without a point.
func sentence(words string) string {
	words = strings.TrimSuffix(strings.TrimSpace(words), ".")
	if words == "" {
		return words
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
