package workspace

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/testkit"
)

func tuningWorkspace(edits ...func(*v1beta1.Workspace)) *v1beta1.Workspace {
	return workspace(append([]func(*v1beta1.Workspace){testkit.Tuning}, edits...)...)
}

// scene is a tuning Workspace on its way: what was decided so far stands in its status.
type scene struct {
	t *testing.T
	observed
	last decision
}

func newScene(t *testing.T, ws *v1beta1.Workspace, nodes ...corev1.Node) *scene {
	t.Helper()
	return &scene{t: t, observed: observed{ws: ws, nodes: nodes, have: map[handle]client.Object{}}}
}

// pass decides, writes the status down, and makes or removes the Jobs, as a cluster would.
func (s *scene) pass() *scene {
	s.t.Helper()
	s.last = tunePlanner(s.t).decide(s.observed)
	s.ws.Status = s.last.status(s.ws, metav1.NewTime(time.Unix(0, 0)))
	if d := s.last.tuned; d != nil {
		s.checkJob = follow(s.checkJob, d.check, s.ws.Status.Tuning)
		s.tuneJob = follow(s.tuneJob, d.train, s.ws.Status.Tuning)
	}
	return s
}

func follow(have *batchv1.Job, f fate, status *v1beta1.TuningStatus) *batchv1.Job {
	switch f {
	case create:
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1beta1.AnnotationRunID: status.RunID}}, Status: batchv1.JobStatus{Active: 1}}
	case remove:
		return nil
	}
	return have
}

func (s *scene) says(want ...string) *scene {
	s.t.Helper()
	var got []string
	for _, w := range want {
		kind, _, _ := strings.Cut(w, "=")
		c := meta.FindStatusCondition(s.ws.Status.Conditions, kind)
		if c == nil {
			got = append(got, kind+" is absent")
			continue
		}
		got = append(got, kind+"="+string(c.Status)+"/"+c.Reason)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("conditions (-want +got):\n%s\n%s", diff, s.words())
	}
	return s
}

func (s *scene) words() string {
	var all []string
	for _, c := range s.ws.Status.Conditions {
		all = append(all, c.Type+": "+c.Message)
	}
	return strings.Join(all, "\n")
}

func (s *scene) is(state v1beta1.WorkspaceState, phase string) *scene {
	s.t.Helper()
	got := ""
	if s.ws.Status.Tuning != nil {
		got = s.ws.Status.Tuning.Phase
	}
	if s.ws.Status.State != state || got != phase {
		s.t.Errorf("state %q and phase %q, want %q and %q\n%s", s.ws.Status.State, got, state, phase, s.words())
	}
	return s
}

func (s *scene) tells(condition, words string) *scene {
	s.t.Helper()
	c := meta.FindStatusCondition(s.ws.Status.Conditions, condition)
	if c == nil || !strings.Contains(c.Message, words) {
		s.t.Errorf("%s does not say %q:\n%s", condition, words, s.words())
	}
	return s
}

// wants compares the fates of the Jobs of the last pass.
func (s *scene) wants(check, train fate) *scene {
	s.t.Helper()
	if d := s.last.tuned; d.check != check || d.train != train {
		s.t.Errorf("check is %v and train is %v, want %v and %v", d.check, d.train, check, train)
	}
	return s
}

// jobPod is a pod of a Job with a container that ended with a message, or runs where it is nil.
func jobPod(name, role string, phase corev1.PodPhase, containers ...corev1.ContainerStatus) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1beta1.LabelRole: role}},
		Spec:       corev1.PodSpec{NodeName: "n1"},
		Status:     corev1.PodStatus{Phase: phase, ContainerStatuses: containers},
	}
}

func endedWith(name string, code int32, message any) corev1.ContainerStatus {
	text, _ := json.Marshal(message)
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: string(text)}}}
}

func runs(name string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func jobEnded(s *scene, j *batchv1.Job, kind batchv1.JobConditionType, message string) {
	s.t.Helper()
	j.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Message: message}}
	j.Status.Active = 0
}

func goodData() contract.Dataset {
	return contract.Dataset{Files: 1, Bytes: 5000, Digest: "sha256:d", Format: "messages", Rows: 100, Tokens: 9000, LongestRow: 120, EmptyRows: 1, LongRows: 2}
}

// checkedWell goes on to where the data is good.
func (s *scene) checkedWell() *scene {
	s.t.Helper()
	s.pass().wants(create, leave)
	d := goodData()
	s.jobPods = []corev1.Pod{jobPod("c", v1beta1.RoleCheck, corev1.PodSucceeded,
		endedWith("push-check", 0, contract.Result{Reason: contract.Done}), endedWith("check", 0, contract.Result{Reason: contract.Done, Dataset: &d}))}
	jobEnded(s, s.checkJob, batchv1.JobComplete, "")
	return s.pass()
}

// trainsNow goes on to where the trainer runs.
func (s *scene) trainsNow() *scene {
	s.t.Helper()
	s.checkedWell().wants(leave, create)
	s.jobPods = append(s.jobPods, jobPod("t", v1beta1.RoleTune, corev1.PodPending, runs("train")))
	return s.pass()
}

// publishedNow goes on to where the adapter is pushed.
func (s *scene) publishedNow() *scene {
	s.t.Helper()
	s.trainsNow()
	s.jobPods[len(s.jobPods)-1] = jobPod("t", v1beta1.RoleTune, corev1.PodSucceeded, endedWith("publish", 0, contract.Result{
		Reason: contract.Done, Published: &contract.Published{Image: "registry.example/adapters/demo:0.0.1", Digest: "sha256:a"},
		Training: &contract.Training{Steps: 150, LastLoss: 0.05, Seconds: 270, TokensPerSecond: 100, Losses: []contract.Point{{Step: 1, Loss: 4}, {Step: 150, Loss: 0.05}}},
	}))
	jobEnded(s, s.tuneJob, batchv1.JobComplete, "")
	return s.pass()
}

// answers makes the server ready.
func (s *scene) answers() *scene {
	s.t.Helper()
	applied := render.StatefulSet(*s.last.serving)
	s.server = &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", Generation: 1, Annotations: applied.Annotations},
		Status:     appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 1, ReadyReplicas: 1},
	}
	return s.pass()
}

func tunePlanner(t *testing.T) Planner {
	t.Helper()
	p := planner(t)
	p.Images.Gate, p.Images.Tuner, p.Images.TunerGPU = "registry.local:5000/kaito/gate:dev", "registry.local:5000/kaito/tuner:dev", "registry.local:5000/kaito/tuner-gpu:dev"
	return p
}
