package v1beta1

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phases of a tuning run in status.tuning.phase beside those that the run's own
// containers tell: Preparing, Loading, Training, Stopping, Publishing.
const (
	// TuningChecking: the data set and the push are being checked.
	TuningChecking = "Checking"
	// TuningWaiting: the run waits for a node, for room on it, or for its pod to start.
	TuningWaiting = "Waiting"
	// TuningPublished: the adapter is where it was wanted.
	TuningPublished = "Published"
	// TuningFailed: the run needs an edit, or the annotation AnnotationRetry.
	TuningFailed = "Failed"
)

// Reasons of Accepted for a tuning.
const (
	// ReasonCheckingDataset is the reason of a data set that is being checked.
	ReasonCheckingDataset = "CheckingDataset"
	// ReasonStoppingRun is the reason of an edit that waits until the run before it has stopped.
	ReasonStoppingRun = "StoppingRun"
	// ReasonNotTunable is the reason of a model that this version does not tune.
	ReasonNotTunable = "NotTunable"
	// ReasonInvalidInput is the reason of a tuning.input that can be no data set.
	ReasonInvalidInput = "InvalidInput"
	// ReasonInvalidOutput is the reason of a tuning.output that can take no adapter.
	ReasonInvalidOutput = "InvalidOutput"
	// ReasonDataUnreachable is the reason of data whose host does not answer.
	ReasonDataUnreachable = "DataUnreachable"
	// ReasonDataRefused is the reason of data whose host wants credentials, or may not be asked.
	ReasonDataRefused = "DataRefused"
	// ReasonDataNotFound is the reason of data that is not where it is said to be.
	ReasonDataNotFound = "DataNotFound"
	// ReasonDataInvalid is the reason of data that cannot be trained on.
	ReasonDataInvalid = "DataInvalid"
	// ReasonPushUnreachable is the reason of an output's registry that does not answer.
	ReasonPushUnreachable = "PushUnreachable"
	// ReasonPushRefused is the reason of a registry that takes no push with these credentials.
	ReasonPushRefused = "PushRefused"
	// ReasonPushSecretUnusable is the reason of a push Secret that is missing or of another form.
	ReasonPushSecretUnusable = "PushSecretUnusable"
	// ReasonCheckFailed is the reason of a check that failed by itself, not by what it found.
	ReasonCheckFailed = "CheckFailed"
)

// Reasons of JobStarted.
const (
	// ReasonJobStarted is the reason of a training that has begun.
	ReasonJobStarted = "WorkspaceTuningJobStatusStarted"
	// ReasonJobPending is the reason of a training whose pod is being started.
	ReasonJobPending = "WorkspaceTuningJobStatusPending"
	// ReasonTrainingFailed is the reason of a training that ended for good.
	ReasonTrainingFailed = "TrainingFailed"
	// ReasonAttemptsExhausted is the reason of a training that was cut off too often.
	ReasonAttemptsExhausted = "AttemptsExhausted"
	// ReasonAdapterPublished is the reason of the event that tells of a published adapter.
	ReasonAdapterPublished = "AdapterPublished"
)

// Reasons of InferenceReady for a tuning, and of WorkspaceSucceeded.
const (
	// ReasonTuning is the reason of a model that answers once its tuning has ended.
	ReasonTuning = "Tuning"
	// ReasonStarting is the reason of a tuned model whose server is being started.
	ReasonStarting = "Starting"
	// ReasonNotRequested is the reason of a tuned model that is not to be served.
	ReasonNotRequested = "NotRequested"
	// ReasonServingPreviousRun is the reason of an older adapter that answers during a new run.
	ReasonServingPreviousRun = "ServingPreviousRun"
	// ReasonWorkspaceFailed is the reason of a WorkspaceSucceeded that needs the user.
	ReasonWorkspaceFailed = "workspaceFailed"
)

// CheckingDataset says that data and push are tried before a node is asked for.
func CheckingDataset() metav1.Condition {
	return AcceptedUnknown(ReasonCheckingDataset, "The data set and the push are being checked; a node is asked for afterwards")
}

// StoppingRun says that the pods of an earlier run still end.
func StoppingRun() metav1.Condition {
	return AcceptedUnknown(ReasonStoppingRun, "The run before is being stopped at a checkpoint; this one begins afterwards")
}

// TuningConfigNotFound says which ConfigMap is missing.
func TuningConfigNotFound(name string) metav1.Condition {
	return Refused(ReasonConfigMapNotFound,
		"ConfigMap %q, which tuning.config names, is not in this namespace: create it with the key %s, it is picked up at once", name, ConfigKeyTuning)
}

// NodesNotNeeded says that the adapter is published and nothing is to run.
func NodesNotNeeded() metav1.Condition {
	return yes(ConditionNodesReady, ReasonNodesReady, "The adapter is published, and no node is needed any more")
}

// AcceptedTuning says that the model can be tuned as the Workspace asks.
func AcceptedTuning(model string, notes ...string) metav1.Condition {
	return accepted(fmt.Sprintf("Model %q can be tuned on this data set, and served afterwards", model), notes)
}

// OnlyCatalogTunes says that a model of the hub, which can be served, cannot be tuned as it is.
func OnlyCatalogTunes(model string) metav1.Condition {
	return Refused(ReasonNotTunable, "Model %q, which tuning.preset names, is in no catalog, and which of its layers an adapter may change is not known: "+
		"add it to a catalog with tuning.targets (a ConfigMap with the label %s), or choose a model of the catalog", model, LabelCatalog)
}

// NotTunable says which models can be tuned.
func NotTunable(model string, tunable []string) metav1.Condition {
	return Refused(ReasonNotTunable, "Model %q, which tuning.preset names, cannot be tuned by this version: choose one of %s", model, strings.Join(tunable, ", "))
}

// JobStarted says that the training has begun.
func JobStarted(format string, args ...any) metav1.Condition {
	return yes(ConditionJobStarted, ReasonJobStarted, format, args...)
}

// JobFailed says why a training has not begun, or has ended.
func JobFailed(reason, format string, args ...any) metav1.Condition {
	return no(ConditionJobStarted, reason, format, args...)
}

// NotRequested says that the adapter is published and nobody asked for a server.
func NotRequested() metav1.Condition {
	return no(ConditionInferenceReady, ReasonNotRequested,
		"The adapter is published and not served, because annotation %s is \"false\": remove it to have it served", AnnotationServeTuned)
}

// ServingPreviousRun says that the adapter of an older run answers.
func ServingPreviousRun(service, run string) metav1.Condition {
	return yes(ConditionInferenceReady, ReasonServingPreviousRun, "The adapter of run %q answers at Service %q as before; JobStarted tells of the newest run", run, service)
}

// AdapterPublished tells where an adapter went. It is told as an event.
func AdapterPublished(where string) metav1.Condition {
	return condition("", metav1.ConditionTrue, ReasonAdapterPublished, "The adapter is published at "+where)
}

// Succeeded says that a published adapter is all that was wanted.
func Succeeded() metav1.Condition {
	return yes(ConditionWorkspaceReady, ReasonWorkspaceReady, "The adapter is published, and no server is asked for")
}

// TuningSucceeded says that the adapter is published, whatever its server does.
func TuningSucceeded(where string) metav1.Condition {
	return yes(ConditionWorkspaceSucceeded, ReasonWorkspaceSucceeded, "The adapter is published at %s", where)
}

// TuningNotFinished says what keeps the adapter from being published.
func TuningNotFinished(because metav1.Condition) metav1.Condition {
	return no(ConditionWorkspaceSucceeded, ReasonWorkspacePending, "%s", because.Message)
}

// WorkspaceFailed says that the adapter will not be published without the user.
func WorkspaceFailed(because metav1.Condition) metav1.Condition {
	return no(ConditionWorkspaceSucceeded, ReasonWorkspaceFailed, "%s", because.Message)
}
