package v1beta1

// FieldOwner is the owner of every field that the operator applies.
const FieldOwner = "kaito-operator"

// Finalizer holds a Workspace until what ownership cannot clean is gone. It is set
// before the first such side effect, and not before.
const Finalizer = "workspace.finalizer.kaito.sh"

// Labels of children, nodes and NodeClaims.
const (
	// LabelWorkspace is the name of the Workspace that an object belongs to.
	LabelWorkspace = "kaito.sh/workspace"
	// LabelWorkspaceNamespace is the namespace of that Workspace, on objects that have none.
	LabelWorkspaceNamespace = "kaito.sh/workspacenamespace"
	// LabelRole says what a pod does: RoleServe or RoleTune.
	LabelRole = "kaito.sh/role"
	// LabelCatalog with value true makes a ConfigMap a catalog: its keys *.yaml are models for
	// the Workspaces of its namespace, and in the operator's own namespace for all.
	LabelCatalog = "kaito.sh/catalog"
	// RoleServe is the role of a pod that answers; the Service selects it.
	RoleServe = "serve"
	// RoleTune is the role of a pod that trains; it is never an endpoint.
	RoleTune = "tune"
	// RoleFacts is the role of a pod that reads what a model of the hub is; it is never an endpoint.
	RoleFacts = "facts"
	// RoleCheck is the role of a pod that checks data and the push; it is never an endpoint.
	RoleCheck = "check"
)

// Keys of the ConfigMaps that a Workspace names.
const (
	// ConfigKeyInference is the key that inference.config is read from.
	ConfigKeyInference = "inference_config.yaml"
	// ConfigKeyTuning is the key that tuning.config is read from.
	ConfigKeyTuning = "training_config.yaml"
)

// Annotations.
const (
	// AnnotationConfigHash is a hash of what a pod reads once at its start; a change rolls the pod.
	AnnotationConfigHash = "kaito.sh/config-hash"
	// AnnotationAppliedHash on a child is the hash of what the operator last applied to it.
	AnnotationAppliedHash = "kaito.sh/applied-hash"
	// AnnotationIgnoredImage on a StatefulSet is the value of presetOptions.image that was
	// found to hold no model, so that it is not tried again.
	AnnotationIgnoredImage = "kaito.sh/ignored-image"
	// AnnotationGPUsOfNode on a StatefulSet is what other pods had left of the GPUs of a node when
	// its plan was made, number and resource: while its pods run it takes no more and no others.
	AnnotationGPUsOfNode = "kaito.sh/gpus-of-node"
	// AnnotationEnableLB on a Workspace, with value True, makes its Service a load balancer.
	AnnotationEnableLB = "kaito.sh/enablelb"
	// AnnotationRunID on a Job, and on the StatefulSet that serves its adapter, is the run that it belongs to.
	AnnotationRunID = "kaito.sh/run-id"
	// AnnotationRetry on a Workspace, with a new value, starts a failed run again from its newest checkpoint,
	// and has a model of the hub read again, at what its main branch holds by then.
	AnnotationRetry = "kaito.sh/retry"
	// AnnotationTrustRemoteCode on a Workspace, with value true, lets vLLM run the Python code that comes with its model.
	AnnotationTrustRemoteCode = "kaito.sh/trust-remote-code"
	// AnnotationAllowPickle on a Workspace, with value true, lets weights of the hub be pickles, which can run code when they are loaded.
	AnnotationAllowPickle = "kaito.sh/allow-pickle"
	// AnnotationCapacityType on a Workspace is "on-demand", "spot", or both, best first: how its nodes are bought.
	AnnotationCapacityType = "kaito.sh/capacity-type"
	// AnnotationImageFamily on a Workspace is "ubuntu" or "azurelinux": the operating system of its nodes.
	AnnotationImageFamily = "kaito.sh/node-image-family"
	// AnnotationContext on a Workspace is the number of tokens that prompt and answer of a
	// request shall be able to share; without it the longest context that fits.
	AnnotationContext = "kaito.sh/context"
	// AnnotationConcurrency on a Workspace is the number of usual requests at once for which
	// the KV cache shall have room; without it as many as fit.
	AnnotationConcurrency = "kaito.sh/concurrency"
	// AnnotationServeTuned on a Workspace, with value false, publishes a tuned adapter and does not serve it.
	AnnotationServeTuned = "kaito.sh/serve-tuned"
)
