package workspace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/testkit"
)

// onMadeNodes is a scene whose nodes are made.
func onMadeNodes(t *testing.T, edits ...func(*v1beta1.Workspace)) *scene {
	t.Helper()
	s := newScene(t, tuningWorkspace(append([]func(*v1beta1.Workspace){onDemand}, edits...)...))
	s.claimsKnown = true
	return s
}

// claims compares what the last pass wants of the claims, and follows it.
func (s *scene) claimed(want ...string) *scene {
	s.t.Helper()
	if diff := cmp.Diff(want, changed(s.observed, s.last)); diff != "" {
		s.t.Errorf("changes of the claims (-want +got):\n%s\n%s", diff, s.words())
	}
	change := s.last.wish.changes(s.observed.claims, s.earlier)
	var all []nodeclaim.NodeClaim
	for _, n := range change.create {
		all = append(all, claim(s.ws, n.Ordinal, n.Attempt))
	}
	for _, c := range s.observed.claims {
		for _, gone := range change.remove {
			if gone.Name == c.Name {
				onItsWayOut(&c)
			}
		}
		all = append(all, c)
	}
	s.observed.claims, s.earlier = sortClaims(s.ws, all)
	return s
}

// joins brings a node for the newest claim.
func (s *scene) joins(name string, edits ...func(*corev1.Node)) *scene {
	s.t.Helper()
	onNode(name)(&s.observed.claims[len(s.observed.claims)-1])
	s.nodes = []corev1.Node{*testkit.Node(name, edits...)}
	return s
}

func TestANodeIsMadeForACheckedTuningAndServesAfterwards(t *testing.T) {
	t.Parallel()
	s := onMadeNodes(t)
	s.pass().claimed().says("Accepted=Unknown/CheckingDataset", "NodeClaimReady=Unknown/NotAccepted", "ResourceReady=False/CheckingDataset")
	s.checkJob = nil
	s.checkedWell().wants(leave, leave).claimed("+0.0").
		says("Accepted=True/Accepted", "NodeClaimReady=False/NodeClaimPending", "ResourceReady=False/NodeClaimPending", "JobStarted=False/NodeClaimPending").
		is(v1beta1.StatePending, v1beta1.TuningWaiting)
	s.pass().claimed().wants(remove, leave)
	s.joins("n1").pass().claimed().wants(leave, create).says("NodeClaimReady=True/NodeClaimsReady", "ResourceReady=True/workspaceResourceStatusSuccess")
	s.jobPods = append(s.jobPods, jobPod("t", v1beta1.RoleTune, corev1.PodPending, runs("train")))
	s.pass().claimed().says("JobStarted=True/WorkspaceTuningJobStatusStarted")
	s.jobPods[len(s.jobPods)-1] = jobPod("t", v1beta1.RoleTune, corev1.PodSucceeded, endedWith("publish", 0, contract.Result{
		Reason: contract.Done, Published: &contract.Published{Image: "registry.example/adapters/demo:0.0.1", Digest: "sha256:a"},
	}))
	jobEnded(s, s.tuneJob, batchv1.JobComplete, "")
	s.pass().claimed().says("InferenceReady=False/Starting")
	s.answers().claimed().is(v1beta1.StateReady, v1beta1.TuningPublished)

	// Without a server nothing needs the node any more; with one, it comes again.
	s.ws.Annotations = map[string]string{v1beta1.AnnotationServeTuned: "false"}
	s.pass().claimed("-0.0").is(v1beta1.StateSucceeded, v1beta1.TuningPublished).
		says("NodeClaimReady=False/Released", "ResourceReady=False/Released", "WorkspaceReady=True/WorkspaceReady", "WorkspaceSucceeded=True/workspaceSucceeded")
	s.observed.claims, s.nodes, s.server = nil, nil, nil
	s.pass().claimed().says("NodeClaimReady=False/Released", "ResourceReady=False/Released").is(v1beta1.StateSucceeded, v1beta1.TuningPublished)
	s.ws.Annotations = nil
	s.pass().claimed("+0.0").says("ResourceReady=False/NodeClaimPending", "WorkspaceSucceeded=True/workspaceSucceeded")
}

func TestBadDataAsksForNoNode(t *testing.T) {
	t.Parallel()
	s := onMadeNodes(t)
	s.pass().claimed().wants(create, leave)
	s.jobPods = []corev1.Pod{jobPod("c", v1beta1.RoleCheck, corev1.PodFailed,
		endedWith("push-check", ending.CodeConfig, ending.Ending{Reason: ending.PushRefused, Message: "The registry says 403."}),
		endedWith("check", ending.CodeConfig, ending.Ending{Reason: ending.DataInvalid, Message: "Row 3 has no answer."}))}
	jobEnded(s, s.checkJob, batchv1.JobFailed, "")
	s.pass().claimed().is(v1beta1.StateFailed, v1beta1.TuningFailed).says("Accepted=False/PushRefused", "NodeClaimReady=Unknown/NotAccepted")
	s.pass().claimed()
}

func TestNodesAreReleasedAfterAFinalFailureAndARetryAsksAgain(t *testing.T) {
	t.Parallel()
	s := onMadeNodes(t)
	s.checkedWell().claimed("+0.0").joins("n1").pass().wants(remove, create)
	s.jobPods = append(s.jobPods, jobPod("t", v1beta1.RoleTune, corev1.PodFailed, endedWith("train", ending.CodeConfig, ending.Ending{Reason: ending.TrainingFailed, Message: "The loss is no number."})))
	jobEnded(s, s.tuneJob, batchv1.JobFailed, "")
	s.pass().claimed("-0.0").is(v1beta1.StateFailed, v1beta1.TuningFailed).
		says("Accepted=True/Accepted", "NodeClaimReady=False/Released", "ResourceReady=False/Released", "JobStarted=False/TrainingFailed")
	s.pass().claimed()
	// The old claim still goes: the new one has another name.
	s.ws.Annotations = map[string]string{v1beta1.AnnotationRetry: "1"}
	s.pass().says("Accepted=Unknown/StoppingRun")
	s.tuneJob, s.jobPods = nil, nil
	s.pass().claimed("+0.1").says("NodeClaimReady=False/NodeClaimPending")
}

func TestALostNodeOfATrainingIsReplaced(t *testing.T) {
	t.Parallel()
	s := onMadeNodes(t)
	s.checkedWell().claimed("+0.0").joins("n1").pass().wants(remove, create)
	s.jobPods = append(s.jobPods, jobPod("t", v1beta1.RoleTune, corev1.PodPending, runs("train")))
	s.pass().claimed()
	s.observed.claims, s.nodes = nil, nil
	s.pass().claimed("+0.0").says("NodeClaimReady=False/NodeClaimPending").wants(leave, leave)
}

func TestATypeIsJudgedBeforeTheDataIs(t *testing.T) {
	t.Parallel()
	// Phi-3 is not trained on a CPU.
	s := onMadeNodes(t, func(ws *v1beta1.Workspace) { ws.Tuning.Preset.Name = "phi-3-mini-128k-instruct" })
	s.pass().wants(leave, leave).claimed().says("Accepted=False/DoesNotFit").tells(v1beta1.ConditionAccepted, `instance type "Standard_D4s_v5"`).is(v1beta1.StateFailed, v1beta1.TuningChecking)

	// Of a retired type the cloud's own answer is wanted.
	s = onMadeNodes(t, testkit.InstanceType("Standard_NC6s_v3"), func(ws *v1beta1.Workspace) { ws.Tuning.Preset.Name = "phi-3-mini-128k-instruct" })
	s.checkedWell().claimed("+0.0").says("Accepted=True/Accepted").tells(v1beta1.ConditionAccepted, "is retired")
}

// A node that has less than its type promises is made once, and not again and again.
func TestANodeOnWhichNothingFitsIsGivenBackForGood(t *testing.T) {
	t.Parallel()
	s := onMadeNodes(t)
	s.checkedWell().claimed("+0.0").joins("n1", testkit.Allocatable("4", "300Mi")).pass().
		claimed("-0.0").says("Accepted=True/Accepted", "JobStarted=False/DoesNotFit", "NodeClaimReady=False/Released").is(v1beta1.StateFailed, v1beta1.TuningFailed)
	s.observed.claims, s.nodes = nil, nil
	s.pass().claimed().says("JobStarted=False/DoesNotFit", "NodeClaimReady=False/Released").is(v1beta1.StateFailed, v1beta1.TuningFailed)
	s.ws.Annotations = map[string]string{v1beta1.AnnotationRetry: "1"}
	s.pass().claimed("+0.0")
}

// A run that an edit has stopped gives its node back where the edit cannot be run; a node
// whose adapter answers is kept.
func TestAnEditThatCannotBeRunKeepsOnlyWhatServes(t *testing.T) {
	t.Parallel()
	s := onMadeNodes(t)
	s.checkedWell().claimed("+0.0").joins("n1").pass().claimed()
	s.ws.Tuning.Input.URLs = []string{"https://data.example/other.parquet"}
	s.pass().claimed().says("Accepted=Unknown/StoppingRun")
	s.jobPods = nil
	s.pass().claimed().says("Accepted=Unknown/CheckingDataset")
	s.jobPods = []corev1.Pod{jobPod("c", v1beta1.RoleCheck, corev1.PodFailed,
		endedWith("check", ending.CodeConfig, ending.Ending{Reason: ending.DataInvalid, Message: "Row 3 has no answer."}))}
	jobEnded(s, s.checkJob, batchv1.JobFailed, "")
	s.pass().claimed("-0.0").says("Accepted=False/DataInvalid", "NodeClaimReady=False/Released")

	s = onMadeNodes(t)
	s.checkedWell().claimed("+0.0").joins("n1").pass()
	s.jobPods = append(s.jobPods, jobPod("t", v1beta1.RoleTune, corev1.PodSucceeded, endedWith("publish", 0, contract.Result{
		Reason: contract.Done, Published: &contract.Published{Image: "registry.example/adapters/demo:0.0.1", Digest: "sha256:a"},
	})))
	jobEnded(s, s.tuneJob, batchv1.JobComplete, "")
	s.pass().answers().claimed().is(v1beta1.StateReady, v1beta1.TuningPublished)
	s.ws.Tuning.Output.Image = "No Image"
	s.pass().claimed().says("Accepted=False/InvalidOutput", "InferenceReady=True/ServingPreviousRun", "NodeClaimReady=True/NodeClaimsReady")
}
