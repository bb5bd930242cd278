// Package render turns a Workspace and its plan into the objects to apply. It is
// pure: the same input gives the same bytes, nothing can fail, and nothing is
// read from the cluster. One file a child kind; goldens in testdata.
package render

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// Serving is all that the objects of a serving Workspace are made from.
type Serving struct {
	// Workspace is what the user wrote.
	Workspace *v1beta1.Workspace
	// Template is the user's own pod template, or nil. With one, Plan holds the number
	// of nodes alone, and the rest is empty.
	Template *corev1ac.PodTemplateSpecApplyConfiguration
	// Model and Plan are what is served, and how.
	Model model.Model
	Plan  model.Plan
	// Command is how the engine is started.
	Command engine.Command
	// Images are what the pod is made of.
	Images Images
	// Weights says how the files of the model come into the pod.
	Weights Weights
	// PullSecrets are the names of Secrets in the namespace of the Workspace that open
	// the registries of the images above and of the weights. One that is missing is passed over.
	PullSecrets []string
	// Adapters are served beside the model, in this order.
	Adapters []Adapter
	// Groups are those that own the devices of AMD's GPUs on a node, beside which a pod that
	// is not root opens none.
	Groups []int64
}

// Adapter is an adapter that a serving pod brings.
type Adapter struct {
	model.Adapter
	// Volume holds its two files at its root, where it has no image.
	Volume *corev1ac.VolumeSourceApplyConfiguration
}

// Images are the images of a serving pod, as full references.
type Images struct {
	// Runner holds the runner, which is copied into the pod.
	Runner string
	// Engine is the image of the server.
	Engine string
}

// Weights says where the files of a model come from: the node mounts an image, or
// the runner fetches.
type Weights struct {
	// Image is mounted as a volume, never run; empty where the runner fetches.
	Image string
	// Fetch is what the runner is told to bring, or nil.
	Fetch *contract.Weights
	// Ignored is the image that the user named and that holds no model, or empty.
	Ignored string
	// TokenSecret is the name of a Secret with the token for the hub, or empty.
	TokenSecret string
}

// The labels of every child; pods carry the role besides.
func labels(ws *v1beta1.Workspace) map[string]string {
	return map[string]string{
		"app.kubernetes.io/managed-by": v1beta1.FieldOwner,
		v1beta1.LabelWorkspace:         ws.Name,
	}
}

// selector is what a StatefulSet selects its pods by, for ever: it cannot be changed.
func selector(ws *v1beta1.Workspace) map[string]string {
	return map[string]string{v1beta1.LabelWorkspace: ws.Name}
}

// servers selects the pods that answer.
func servers(ws *v1beta1.Workspace) map[string]string {
	return map[string]string{v1beta1.LabelWorkspace: ws.Name, v1beta1.LabelRole: v1beta1.RoleServe}
}

// owner makes the garbage collector remove a child with its Workspace.
func owner(ws *v1beta1.Workspace) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1beta1.GroupVersion.String()).
		WithKind(v1beta1.WorkspaceKind).
		WithName(ws.Name).
		WithUID(ws.UID).
		WithController(true).
		WithBlockOwnerDeletion(true)
}
