package workspace

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/testkit"
)

// The table of lifecycle.md, row by row.
func TestTheLifeOfATuning(t *testing.T) {
	t.Parallel()
	node := *testkit.Node("n1")
	newScene(t, tuningWorkspace(), node).pass().
		says("Accepted=Unknown/CheckingDataset", "ResourceReady=False/CheckingDataset", "JobStarted=False/CheckingDataset",
			"InferenceReady=False/CheckingDataset", "WorkspaceSucceeded=False/workspacePending", "WorkspaceReady=False/WorkspaceNotReady").
		is(v1beta1.StatePending, v1beta1.TuningChecking)
	newScene(t, tuningWorkspace()).checkedWell().
		says("Accepted=True/Accepted", "ResourceReady=False/NoMatchingNode", "JobStarted=False/NoMatchingNode", "InferenceReady=False/NoMatchingNode",
			"WorkspaceSucceeded=False/workspacePending", "WorkspaceReady=False/WorkspaceNotReady").
		is(v1beta1.StatePending, v1beta1.TuningWaiting).wants(leave, leave)
	newScene(t, tuningWorkspace(), node).trainsNow().
		says("Accepted=True/Accepted", "ResourceReady=True/workspaceResourceStatusSuccess", "JobStarted=True/WorkspaceTuningJobStatusStarted",
			"InferenceReady=False/Tuning", "WorkspaceSucceeded=False/workspacePending", "WorkspaceReady=False/WorkspaceNotReady").
		is(v1beta1.StateRunning, contract.TuneLoading)
	newScene(t, tuningWorkspace(), node).publishedNow().
		says("Accepted=True/Accepted", "ResourceReady=True/workspaceResourceStatusSuccess", "JobStarted=True/WorkspaceTuningJobStatusStarted",
			"InferenceReady=False/Starting", "WorkspaceSucceeded=True/workspaceSucceeded", "WorkspaceReady=False/WorkspaceNotReady").
		is(v1beta1.StateRunning, v1beta1.TuningPublished)
	served := newScene(t, tuningWorkspace(), node).publishedNow().answers().
		says("InferenceReady=True/WorkspaceInferenceStatusSuccess", "WorkspaceSucceeded=True/workspaceSucceeded", "WorkspaceReady=True/WorkspaceReady", "JobStarted=True/WorkspaceTuningJobStatusStarted").
		is(v1beta1.StateReady, v1beta1.TuningPublished)
	served.server.Status.ReadyReplicas = 0
	served.pass().says("WorkspaceSucceeded=True/workspaceSucceeded", "WorkspaceReady=False/WorkspaceNotReady").is(v1beta1.StateNotReady, v1beta1.TuningPublished)
	unserved := newScene(t, tuningWorkspace(func(ws *v1beta1.Workspace) {
		ws.Annotations = map[string]string{v1beta1.AnnotationServeTuned: "false"}
	}), node).publishedNow().
		says("ResourceReady=True/workspaceResourceStatusSuccess", "InferenceReady=False/NotRequested", "WorkspaceSucceeded=True/workspaceSucceeded", "WorkspaceReady=True/WorkspaceReady").
		is(v1beta1.StateSucceeded, v1beta1.TuningPublished)
	if unserved.last.serving != nil {
		t.Error("a server is made for an adapter that nobody wants served")
	}
}

func TestTheStatusTellsWhatCameOfARun(t *testing.T) {
	t.Parallel()
	s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).publishedNow()
	got := s.ws.Status.Tuning
	rows, skipped, tokens, bytes := int64(100), int64(3), int64(9000), int64(5000)
	want := &v1beta1.TuningStatus{
		RunID: got.RunID, ServedRunID: got.RunID, Phase: v1beta1.TuningPublished, Step: new(int32(150)), TotalSteps: new(int32(150)), Loss: "0.05",
		TokensPerSecond: new(int32(100)), TrainingSeconds: new(int32(270)), Attempt: new(int32(1)),
		OutputImage: "registry.example/adapters/demo:0.0.1", OutputDigest: "sha256:a",
		Dataset: &v1beta1.DatasetStatus{Files: new(int32(1)), Rows: &rows, SkippedRows: &skipped, Tokens: &tokens, LongestRow: new(int32(120)), Bytes: &bytes, Format: "messages", Digest: "sha256:d"},
		Losses:  []v1beta1.LossPoint{{Step: new(int32(1)), Loss: "4"}, {Step: new(int32(150)), Loss: "0.05"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if len(s.last.warnings) != 1 || s.last.warnings[0].Reason != v1beta1.ReasonAdapterPublished {
		t.Errorf("events: %v", s.last.warnings)
	}
	if again := s.pass(); len(again.last.warnings) != 0 {
		t.Errorf("told twice: %v", again.last.warnings)
	}
}

func TestAFailedCheckNeverTrains(t *testing.T) {
	t.Parallel()
	bad := ending.Ending{Reason: ending.DataInvalid, Message: `file "a.jsonl", row 4711: the turn has no role`, ExitCode: 2}
	refused := ending.Ending{Reason: ending.PushRefused, Message: `The registry refuses a push`, ExitCode: 2}
	away := ending.Ending{Reason: ending.DataUnreachable, Message: "The host does not answer", ExitCode: 1}
	for name, tc := range map[string]struct {
		phase  corev1.PodPhase
		pods   []corev1.ContainerStatus
		job    string // message of a failed Job; empty: it runs
		says   []string
		words  string
		check  fate
		state  v1beta1.WorkspaceState
		failed bool
	}{
		"bad data is refused with file and row": {
			phase: corev1.PodFailed, pods: []corev1.ContainerStatus{endedWith("push-check", 0, contract.Result{Reason: contract.Done}), endedWith("check", 2, bad)}, job: "x",
			says: []string{"Accepted=False/DataInvalid", "JobStarted=False/DataInvalid"}, words: "row 4711", state: v1beta1.StateFailed, failed: true,
		},
		"a push that is refused does not wait for the data": {
			phase: corev1.PodRunning, pods: []corev1.ContainerStatus{endedWith("push-check", 2, refused), runs("check")},
			says: []string{"Accepted=False/PushRefused"}, words: "refuses a push", check: remove, state: v1beta1.StateFailed, failed: true,
		},
		"both are told at once": {
			phase: corev1.PodFailed, pods: []corev1.ContainerStatus{endedWith("push-check", 2, refused), endedWith("check", 2, bad)}, job: "x",
			says: []string{"Accepted=False/PushRefused"}, words: "refuses a push; file", state: v1beta1.StateFailed, failed: true,
		},
		"a host that does not answer is waited for": {
			phase: corev1.PodFailed, pods: []corev1.ContainerStatus{endedWith("check", 1, away)},
			says: []string{"Accepted=Unknown/DataUnreachable", "ResourceReady=False/DataUnreachable"}, words: "made again by itself", state: v1beta1.StatePending,
		},
		"and asked again when the Job gives up": {
			phase: corev1.PodFailed, pods: []corev1.ContainerStatus{endedWith("check", 1, away)}, job: "BackoffLimitExceeded",
			says: []string{"Accepted=Unknown/DataUnreachable"}, words: "does not answer", check: remove, state: v1beta1.StatePending,
		},
		"a check that dies says so": {
			phase: corev1.PodFailed, pods: []corev1.ContainerStatus{endedWith("check", 139, "")}, job: "BackoffLimitExceeded",
			says: []string{"Accepted=False/CheckFailed"}, words: "exit code 139", state: v1beta1.StateFailed, failed: true,
		},
		"an image that cannot be pulled is named": {
			phase: corev1.PodPending, pods: []corev1.ContainerStatus{{Name: "check", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}}}},
			says: []string{"Accepted=Unknown/CheckingDataset"}, words: "waits for its image", state: v1beta1.StatePending,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).pass()
			s.jobPods = []corev1.Pod{jobPod("c", v1beta1.RoleCheck, tc.phase, tc.pods...)}
			if tc.job != "" {
				jobEnded(s, s.checkJob, batchv1.JobFailed, tc.job)
			}
			s.pass().says(tc.says...).tells(v1beta1.ConditionAccepted, tc.words).wants(tc.check, leave)
			if s.ws.Status.State != tc.state {
				t.Errorf("state is %q, want %q", s.ws.Status.State, tc.state)
			}
			if !tc.failed {
				return
			}
			s.jobPods = nil
			s.pass().says(tc.says...).wants(leave, leave) // it stays so without its pods
			s.ws.Annotations = map[string]string{v1beta1.AnnotationRetry: "1"}
			for range 3 {
				s.pass()
			}
			s.says("Accepted=Unknown/CheckingDataset")
			if s.checkJob == nil || s.ws.Status.Tuning.Retry != "1" {
				t.Errorf("the annotation does not begin another check: %+v", s.ws.Status.Tuning)
			}
		})
	}
}

func TestATrainingThatFails(t *testing.T) {
	t.Parallel()
	memory := ending.Ending{Reason: ending.OutOfMemory, Message: "Training used up the container's memory. Set max_length to 512", ExitCode: 2}
	lost := ending.Ending{Reason: ending.EngineExited, Message: "The trainer was killed", ExitCode: -1, Signal: 9}
	oom := endedWith("train", 137, "")
	oom.State.Terminated.Reason = reasonOOMKilled
	for name, tc := range map[string]struct {
		pods  []corev1.Pod
		job   batchv1.JobConditionType
		says  []string
		words string
		train fate
		state v1beta1.WorkspaceState
	}{
		"out of memory is final, with what would fit": {
			pods: []corev1.Pod{jobPod("t", v1beta1.RoleTune, corev1.PodFailed, endedWith("train", 2, memory))},
			says: []string{"Accepted=True/Accepted", "JobStarted=False/ContainerOOMKilled", "InferenceReady=False/ContainerOOMKilled", "WorkspaceSucceeded=False/workspaceFailed", "WorkspaceReady=False/WorkspaceNotReady"}, words: "max_length to 512", state: v1beta1.StateFailed,
		},
		"a kill that took the runner too ends the Job": {
			pods: []corev1.Pod{jobPod("t", v1beta1.RoleTune, corev1.PodFailed, oom)},
			says: []string{"JobStarted=False/ContainerOOMKilled"}, words: "used up the memory", train: remove, state: v1beta1.StateFailed,
		},
		"a killed trainer goes on in another pod": {
			pods: []corev1.Pod{jobPod("t", v1beta1.RoleTune, corev1.PodFailed, endedWith("train", 137, lost)), jobPod("u", v1beta1.RoleTune, corev1.PodPending, runs("train"))},
			says: []string{"JobStarted=True/WorkspaceTuningJobStatusStarted", "InferenceReady=False/Tuning"}, words: "of at most 4, because The trainer was killed", state: v1beta1.StateRunning,
		},
		"too many kills need the user": {
			pods: []corev1.Pod{jobPod("t", v1beta1.RoleTune, corev1.PodFailed, endedWith("train", 137, lost))}, job: batchv1.JobFailed,
			says: []string{"JobStarted=False/AttemptsExhausted", "WorkspaceSucceeded=False/workspaceFailed"}, words: "The trainer was killed", state: v1beta1.StateFailed,
		},
		"a pod that no node takes is told": {
			pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "t", Labels: map[string]string{v1beta1.LabelRole: v1beta1.RoleTune}}, Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available: 1 Insufficient cpu.",
			}}}}},
			says: []string{"JobStarted=False/WorkspaceTuningJobStatusPending"}, words: "Insufficient cpu", state: v1beta1.StatePending,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).checkedWell()
			s.jobPods = append(s.jobPods, tc.pods...)
			if tc.job != "" {
				jobEnded(s, s.tuneJob, tc.job, "BackoffLimitExceeded")
			}
			s.pass().says(tc.says...).tells(v1beta1.ConditionJobStarted, tc.words).wants(remove, tc.train)
			if s.ws.Status.State != tc.state {
				t.Errorf("state is %q, want %q", s.ws.Status.State, tc.state)
			}
		})
	}
}

// A kubelet cuts messages that are too long; to train again for that would never end.
func TestAResultThatCannotBeReadIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).trainsNow()
	s.jobPods[len(s.jobPods)-1] = jobPod("t", v1beta1.RoleTune, corev1.PodSucceeded, endedWith("publish", 0, `{"reason":"Do`))
	jobEnded(s, s.tuneJob, batchv1.JobComplete, "")
	s.pass().says("JobStarted=False/TrainingFailed").tells(v1beta1.ConditionJobStarted, "cannot be read").wants(leave, leave)
}

// What was told on the way may be finer than what there is room for at the end.
func TestACurveKeepsItsPointsAndItsEnd(t *testing.T) {
	t.Parallel()
	points := func(steps ...int) []v1beta1.LossPoint {
		var all []v1beta1.LossPoint
		for _, s := range steps {
			all = append(all, v1beta1.LossPoint{Step: new(int32(s)), Loss: "1"})
		}
		return all
	}
	for name, tc := range map[string]struct{ way, end, want []v1beta1.LossPoint }{
		"only the end":      {nil, points(1, 9), points(1, 9)},
		"only the way":      {points(1, 2), nil, points(1, 2)},
		"a finer way":       {points(1, 2, 3, 4), points(1, 9), points(1, 2, 3, 4, 9)},
		"a way to the end":  {points(1, 2, 9), points(1, 9), points(1, 2, 9)},
		"another run's way": {points(1, 2, 99), points(1, 9), points(1, 9)},
	} {
		if diff := cmp.Diff(tc.want, curve(tc.way, tc.end)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Jobs and pods are watched apart, and either may come first.
func TestAJobThatHasEndedBeforeItsPodIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).pass()
	s.jobPods = []corev1.Pod{jobPod("c", v1beta1.RoleCheck, corev1.PodRunning, runs("check"))}
	jobEnded(s, s.checkJob, batchv1.JobComplete, "")
	s.pass().says("Accepted=Unknown/CheckingDataset").wants(leave, leave)

	s = newScene(t, tuningWorkspace(), *testkit.Node("n1")).trainsNow()
	for _, end := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		jobEnded(s, s.tuneJob, end, "")
		s.pass().says("JobStarted=True/WorkspaceTuningJobStatusStarted")
		if s.last.tuned.train != leave {
			t.Errorf("a Job that is %s is not left alone: %v", end, s.last.tuned.train)
		}
	}
}

func TestARunIsNeverRepeatedAndAnEditMakesAnother(t *testing.T) {
	t.Parallel()
	s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).publishedNow().answers()
	first := s.ws.Status.Tuning.RunID
	s.tuneJob, s.jobPods, s.checkJob = nil, nil, nil // deleted by hand
	s.pass().wants(leave, leave).says("WorkspaceReady=True/WorkspaceReady").is(v1beta1.StateReady, v1beta1.TuningPublished)

	s.ws.Tuning.Input.URLs = []string{"https://data.example/other.parquet"}
	s.pass().wants(create, leave).
		says("Accepted=Unknown/CheckingDataset", "InferenceReady=True/ServingPreviousRun", "WorkspaceReady=True/WorkspaceReady").
		is(v1beta1.StateReady, v1beta1.TuningChecking)
	if got := s.ws.Status.Tuning; got.RunID == first || got.ServedRunID != first {
		t.Errorf("run %q, served %q; the first was %q", got.RunID, got.ServedRunID, first)
	}
}

func TestAnEditStopsTheRunBefore(t *testing.T) {
	t.Parallel()
	s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).trainsNow()
	s.checkJob = nil
	s.ws.Tuning.Input.URLs = []string{"https://data.example/other.parquet"}
	s.pass().wants(leave, remove).says("Accepted=Unknown/StoppingRun")
	s.pass().wants(leave, leave).says("Accepted=Unknown/StoppingRun") // its pod still writes a checkpoint
	s.jobPods = nil
	s.pass().wants(create, leave).says("Accepted=Unknown/CheckingDataset")
}

func TestAServerMakesRoomForANewRunWhereOneNodeHasNone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cpu  string
		stop bool
		says string
	}{
		"a node for one": {"2", true, "InferenceReady=False/Tuning"},
		"room for both":  {"4", false, "InferenceReady=True/ServingPreviousRun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tuningWorkspace(), *testkit.Node("n1", testkit.Allocatable(tc.cpu, "8Gi"))).publishedNow().answers()
			s.tuneJob, s.jobPods, s.checkJob = nil, nil, nil
			s.ws.Tuning.Input.URLs = []string{"https://data.example/other.parquet"}
			s.checkedWell()
			if s.last.tuned.stop != tc.stop || s.last.tuned.train != create {
				t.Errorf("server stops: %v, train %v", s.last.tuned.stop, s.last.tuned.train)
			}
			if tc.stop {
				s.server = nil
			}
			s.jobPods = append(s.jobPods, jobPod("t", v1beta1.RoleTune, corev1.PodPending, runs("train")))
			s.pass().says(tc.says)
		})
	}
}

func TestWhatCanBeNoTuningIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit   func(*v1beta1.Workspace)
		reason string
		words  []string
	}{
		"both placeholders of the target are named": {
			func(ws *v1beta1.Workspace) {
				ws.Tuning.Output.Image, ws.Tuning.Output.ImagePushSecret = "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1", "ACR_REGISTRY_SECRET_HERE"
			}, v1beta1.ReasonInvalidOutput, []string{`Tuning.output.image "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1"`, "lower case", `"ACR_REGISTRY_SECRET_HERE"`, "kubectl create secret"},
		},
		"a digest is no output": {
			func(ws *v1beta1.Workspace) { ws.Tuning.Output.Image = "r.example/a@sha256:" + strings.Repeat("0", 64) }, v1beta1.ReasonInvalidOutput, []string{"write a tag"},
		},
		"an unknown volume has its place": {
			func(ws *v1beta1.Workspace) {
				ws.Tuning.Input = &v1beta1.DataSource{VolumeSource: &runtime.RawExtension{Raw: []byte(`{"persistentVolumeClaim":{"claimNam":"x"}}`)}}
			}, v1beta1.ReasonInvalidInput, []string{"claimNam"},
		},
		"two kinds of volume": {
			func(ws *v1beta1.Workspace) {
				ws.Tuning.Input = &v1beta1.DataSource{VolumeSource: &runtime.RawExtension{Raw: []byte(`{"emptyDir":{},"hostPath":{"path":"/"}}`)}}
			}, v1beta1.ReasonInvalidInput, []string{"uning.input.volumeSource cannot be used: has several sources"},
		},
		"a model that is not tuned": {
			func(ws *v1beta1.Workspace) { ws.Tuning.Preset.Name = "mistral-7b-instruct-v0.3" }, v1beta1.ReasonNotTunable, []string{"choose one of", "smollm2-135m-instruct"},
		},
		"a name that is the base model's": {
			func(ws *v1beta1.Workspace) { ws.Name = "smollm2-135m-instruct" }, v1beta1.ReasonNameTaken, []string{"give the Workspace another name"},
		},
		"a model that nobody knows": {
			func(ws *v1beta1.Workspace) { ws.Tuning.Preset.Name = "smollm2-135m-instrct" }, v1beta1.ReasonModelNotFound, []string{"did you mean smollm2-135m-instruct?"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tuningWorkspace(tc.edit), *testkit.Node("n1")).pass().says("Accepted=False/"+tc.reason).wants(leave, leave)
			for _, w := range tc.words {
				s.tells(v1beta1.ConditionAccepted, w)
			}
			if s.ws.Status.State != v1beta1.StateFailed {
				t.Errorf("state is %q", s.ws.Status.State)
			}
		})
	}
}

func TestSettingsOfATrainingAreReadBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	s := newScene(t, tuningWorkspace(func(ws *v1beta1.Workspace) { ws.Tuning.Config = "train" }), *testkit.Node("n1"))
	s.pass().says("Accepted=False/ConfigMapNotFound").tells(v1beta1.ConditionAccepted, "training_config.yaml")
	s.config = &corev1.ConfigMap{Data: map[string]string{v1beta1.ConfigKeyTuning: "training_config:\n  LoraConfig:\n    rr: 8\n"}}
	s.pass().says("Accepted=False/InvalidSettings").tells(v1beta1.ConditionAccepted, "LoraConfig.rr is unknown")
	s.config.Data[v1beta1.ConfigKeyTuning] = "training_config:\n  LoraConfig:\n    r: 4\n"
	s.pass().says("Accepted=Unknown/CheckingDataset").wants(create, leave)
	if got := s.last.tuned.wants.Settings.Load.Rank; got != 4 {
		t.Errorf("rank is %d", got)
	}
}

func TestProgressStandsInTheStatus(t *testing.T) {
	t.Parallel()
	s := newScene(t, tuningWorkspace(), *testkit.Node("n1")).trainsNow()
	s.progress = &contract.Progress{RunID: s.ws.Status.Tuning.RunID, Phase: contract.TuneTraining, Step: 30, TotalSteps: 150, Loss: 1.23456, TokensPerSecond: 88.8, RemainingSeconds: 100, Checkpoint: 25}
	got := s.pass().is(v1beta1.StateRunning, contract.TuneTraining).ws.Status.Tuning
	if *got.Step != 30 || *got.TotalSteps != 150 || got.Loss != "1.235" || *got.TokensPerSecond != 88 || got.Checkpoint != "step 25" {
		t.Errorf("status is %+v", got)
	}
	s.progress.RunID = "another"
	s.progress.Step = 99
	if got := s.pass().ws.Status.Tuning; *got.Step != 30 {
		t.Errorf("the progress of another run is told: step %d", *got.Step)
	}
}
