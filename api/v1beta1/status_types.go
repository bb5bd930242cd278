package v1beta1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WorkspaceState sums a Workspace up in one word.
//
// +kubebuilder:validation:Enum=Pending;Running;Ready;NotReady;Succeeded;Failed
type WorkspaceState string

const (
	// StatePending waits for nodes, images or data.
	StatePending WorkspaceState = "Pending"
	// StateRunning trains or publishes.
	StateRunning WorkspaceState = "Running"
	// StateReady answers.
	StateReady WorkspaceState = "Ready"
	// StateNotReady has answered and does not any more.
	StateNotReady WorkspaceState = "NotReady"
	// StateSucceeded has published its adapter and does not serve it.
	StateSucceeded WorkspaceState = "Succeeded"
	// StateFailed needs an edit.
	StateFailed WorkspaceState = "Failed"
)

// WorkspaceStatus is what the operator has observed and done.
type WorkspaceStatus struct {
	// conditions say what is true and, where something is not, why and what helps.
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
	// state sums the conditions up in one word.
	// +optional
	State WorkspaceState `json:"state,omitempty"`
	// targetNodeCount is the number of nodes that the plan asks for.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TargetNodeCount *int32 `json:"targetNodeCount,omitempty"`
	// workerNodes are the names of the nodes that the pods run on, sorted.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +optional
	WorkerNodes []string `json:"workerNodes,omitempty"`
	// plan is how the model is run.
	// +optional
	Plan *PlanStatus `json:"plan,omitempty"`
	// startup is how long each phase of the last start took.
	// +optional
	Startup *StartupStatus `json:"startup,omitempty"`
	// tuning is how the tuning goes.
	// +optional
	Tuning *TuningStatus `json:"tuning,omitempty"`
}

// PlanStatus is how a model is run: computed from the model's facts and the shape of the nodes.
type PlanStatus struct {
	// model is the id of the model.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Model string `json:"model,omitempty"`
	// modelRevision is the revision or digest of the weights.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ModelRevision string `json:"modelRevision,omitempty"`
	// engine is the server that runs the model: llamacpp, vllm or transformers.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Engine string `json:"engine,omitempty"`
	// nodes is the number of nodes.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Nodes int32 `json:"nodes,omitempty"`
	// gpus is the number of GPUs a node; 0 runs on CPUs.
	// +kubebuilder:validation:Minimum=0
	// +optional
	GPUs *int32 `json:"gpus,omitempty"`
	// cpu is what each pod asks for and is limited to.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// parallelism is how the model is spread over GPUs.
	// +optional
	Parallelism *ParallelismStatus `json:"parallelism,omitempty"`
	// context is the number of tokens that prompt and answer of one request share.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Context int32 `json:"context,omitempty"`
	// concurrency is the number of requests that are answered at once.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Concurrency int32 `json:"concurrency,omitempty"`
	// gpu is what the GPUs are called.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	GPU string `json:"gpu,omitempty"`
	// cacheTokens is how many tokens the KV cache holds, over all requests.
	// +kubebuilder:validation:Minimum=1
	// +optional
	CacheTokens int64 `json:"cacheTokens,omitempty"`
	// cacheRequests is how many usual requests the KV cache holds.
	// +kubebuilder:validation:Minimum=1
	// +optional
	CacheRequests int32 `json:"cacheRequests,omitempty"`
	// memory is what each part needs, on each node: of the GPUs where the plan has any, else of the pod.
	// +optional
	Memory *MemoryStatus `json:"memory,omitempty"`
	// headroom is the memory that the plan leaves alone: of the GPUs where the plan has any, else of the
	// smallest node that can take a pod.
	// +optional
	Headroom *resource.Quantity `json:"headroom,omitempty"`
	// limit is what keeps the plan from serving more: context, cache, engine, asked or cpu.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Limit string `json:"limit,omitempty"`
	// confidence is high where the plan rests on facts of the model alone, and low where something was bounded from above.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Confidence string `json:"confidence,omitempty"`
	// assumed is what was bounded from above because no source says it, sorted.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	// +listType=atomic
	// +optional
	Assumed []string `json:"assumed,omitempty"`
	// note says why the plan is as it is, where that could surprise.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Note string `json:"note,omitempty"`
}

// ParallelismStatus is how a model is spread over GPUs.
type ParallelismStatus struct {
	// tensor is the number of GPUs that share each layer.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Tensor int32 `json:"tensor,omitempty"`
	// pipeline is the number of stages.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Pipeline int32 `json:"pipeline,omitempty"`
	// data is the number of copies in one pod.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Data int32 `json:"data,omitempty"`
}

// MemoryStatus is the memory of a plan by part.
type MemoryStatus struct {
	// weights is the memory of the model's weights.
	// +optional
	Weights *resource.Quantity `json:"weights,omitempty"`
	// kvCache is the memory of the tokens that are being worked on.
	// +optional
	KVCache *resource.Quantity `json:"kvCache,omitempty"`
	// adapters is the memory of LoRA adapters.
	// +optional
	Adapters *resource.Quantity `json:"adapters,omitempty"`
	// promptCache is the memory for finished conversations.
	// +optional
	PromptCache *resource.Quantity `json:"promptCache,omitempty"`
	// overhead is what engine and runner need besides.
	// +optional
	Overhead *resource.Quantity `json:"overhead,omitempty"`
	// total is the sum; without GPUs it is what the pod asks for.
	// +optional
	Total *resource.Quantity `json:"total,omitempty"`
}

// StartupStatus is how long each phase of a start took.
type StartupStatus struct {
	// nodeSeconds is the wait for a node.
	// +kubebuilder:validation:Minimum=0
	// +optional
	NodeSeconds *int32 `json:"nodeSeconds,omitempty"`
	// imageSeconds is the pull of the engine's image.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ImageSeconds *int32 `json:"imageSeconds,omitempty"`
	// weightsSeconds is the fetch of the weights.
	// +kubebuilder:validation:Minimum=0
	// +optional
	WeightsSeconds *int32 `json:"weightsSeconds,omitempty"`
	// loadSeconds is the engine's own start.
	// +kubebuilder:validation:Minimum=0
	// +optional
	LoadSeconds *int32 `json:"loadSeconds,omitempty"`
	// firstAnswerSeconds is the time from the Workspace's creation to the first answer.
	// +kubebuilder:validation:Minimum=0
	// +optional
	FirstAnswerSeconds *int32 `json:"firstAnswerSeconds,omitempty"`
}

// TuningStatus is how a tuning run goes.
type TuningStatus struct {
	// runID identifies the run: a hash of the stanza, its config and the model's revision.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	RunID string `json:"runID,omitempty"`
	// phase is what the run is doing.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Phase string `json:"phase,omitempty"`
	// step is the last finished step.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Step *int32 `json:"step,omitempty"`
	// totalSteps is the number of steps.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TotalSteps *int32 `json:"totalSteps,omitempty"`
	// loss is the last training loss, as a decimal number.
	// +kubebuilder:validation:MaxLength=32
	// +optional
	Loss string `json:"loss,omitempty"`
	// tokensPerSecond is the speed of the training.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TokensPerSecond *int32 `json:"tokensPerSecond,omitempty"`
	// remainingSeconds is the estimated time to the end of the training.
	// +kubebuilder:validation:Minimum=0
	// +optional
	RemainingSeconds *int32 `json:"remainingSeconds,omitempty"`
	// checkpoint is the newest checkpoint.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Checkpoint string `json:"checkpoint,omitempty"`
	// dataset sums the data set up.
	// +optional
	Dataset *DatasetStatus `json:"dataset,omitempty"`
	// outputImage is the image that the adapter was pushed as.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	OutputImage string `json:"outputImage,omitempty"`
	// outputDigest is the digest of that image.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	OutputDigest string `json:"outputDigest,omitempty"`
	// servedRunID is the run whose adapter is served, or was published last.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ServedRunID string `json:"servedRunID,omitempty"`
	// attempt counts the pods of the run.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Attempt *int32 `json:"attempt,omitempty"`
	// retry is the last value of the annotation kaito.sh/retry that was acted on.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Retry string `json:"retry,omitempty"`
	// resumedFrom is the step of the checkpoint that the newest pod began with.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ResumedFrom *int32 `json:"resumedFrom,omitempty"`
	// failureReason is why the run needs the user, while phase is Failed.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	FailureReason string `json:"failureReason,omitempty"`
	// failureMessage says the same in words.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	FailureMessage string `json:"failureMessage,omitempty"`
	// trainingSeconds is how long the training took.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TrainingSeconds *int32 `json:"trainingSeconds,omitempty"`
	// losses is the loss curve, in at most 64 points.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Losses []LossPoint `json:"losses,omitempty"`
}

// LossPoint is one point of a loss curve.
type LossPoint struct {
	// step is the number of finished steps.
	// +kubebuilder:validation:Minimum=0
	// +required
	Step *int32 `json:"step,omitempty"`
	// loss is the mean loss since the point before, as a decimal number.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +required
	Loss string `json:"loss,omitempty"`
}

// DatasetStatus sums a data set up.
type DatasetStatus struct {
	// files is the number of files.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Files *int32 `json:"files,omitempty"`
	// rows is the number of rows that are used.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Rows *int64 `json:"rows,omitempty"`
	// skippedRows is the number of rows that are empty or too long.
	// +kubebuilder:validation:Minimum=0
	// +optional
	SkippedRows *int64 `json:"skippedRows,omitempty"`
	// tokens is the number of tokens of the rows that are used.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Tokens *int64 `json:"tokens,omitempty"`
	// longestRow is the number of tokens of the longest row that is used.
	// +kubebuilder:validation:Minimum=0
	// +optional
	LongestRow *int32 `json:"longestRow,omitempty"`
	// bytes is the size of the files.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Bytes *int64 `json:"bytes,omitempty"`
	// format is messages, conversations, prompt-completion or text.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Format string `json:"format,omitempty"`
	// digest identifies the content.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Digest string `json:"digest,omitempty"`
}
