package workspace

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
)

// at is so many seconds after the creation of the Workspace.
func at(s int64) metav1.Time { return metav1.Unix(1_000_000+s, 0) }

// startedPod was made at second 10, had a node at 12, ran its init container from 20
// to 21, its server from 50 and was ready at 100.
func startedPod() corev1.Pod {
	condition := func(kind corev1.PodConditionType, s int64) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at(s)}
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "chat-0", UID: "pod", CreationTimestamp: at(10)},
		Spec:       corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.1.2.3",
			Conditions: []corev1.PodCondition{condition(corev1.PodScheduled, 12), condition(corev1.PodReady, 100)},
			InitContainerStatuses: []corev1.ContainerStatus{{
				Name:  render.RunnerContainer,
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(20), FinishedAt: at(21)}},
			}},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: render.EngineContainer, Ready: true,
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(50)}},
			}},
		},
	}
}

func TestStartupIsToldByTheKubeletAndThenByTheRunner(t *testing.T) {
	t.Parallel()
	first := v1beta1.StartupStatus{
		NodeSeconds: new(int32(12)), ImageSeconds: new(int32(37)), LoadSeconds: new(int32(50)), FirstAnswerSeconds: new(int32(100)),
	}
	fetched := first
	fetched.WeightsSeconds, fetched.LoadSeconds = new(int32(31)), new(int32(19))
	again := first
	again.NodeSeconds = new(int32(2))
	answers := []metav1.Condition{v1beta1.InferenceReady("chat")}
	for name, tc := range map[string]struct {
		edit func(*observed)
		want *v1beta1.StartupStatus
	}{
		"a first start":              {func(*observed) {}, &first},
		"a pass later nothing moves": {func(o *observed) { o.ws.Status.Startup, o.ws.Status.Conditions = &first, answers }, &first},
		"the runner has said": {func(o *observed) {
			o.ws.Status.Startup, o.ws.Status.Conditions = &first, answers
			o.phases = map[string]float64{"checking": 0.2, "fetching": 30.6, "starting": 4.1, "loading": 15.2, "total": 50.1}
		}, &fetched},
		"an operator that was restarted keeps what the runner has said": {
			func(o *observed) { o.ws.Status.Startup, o.ws.Status.Conditions = &fetched, answers }, &fetched,
		},
		"another start leaves the first answer": {func(o *observed) { o.ws.Status.Startup = &fetched }, &again},
		"not ready yet":                         {func(o *observed) { o.server.Status.ReadyReplicas = 0 }, nil},
		"no pod is seen yet":                    {func(o *observed) { o.pods = nil }, nil},
		"a clock that is behind": {func(o *observed) {
			o.pods[0].Status.Conditions[0].LastTransitionTime = at(-5)
			o.pods[0].Status.ContainerStatuses = nil
		}, &v1beta1.StartupStatus{NodeSeconds: new(int32(0)), FirstAnswerSeconds: new(int32(100))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := running(t, 1, startedPod())
			o.ws.CreationTimestamp = at(0)
			tc.edit(&o)
			got := planner(t).decide(o).status(o.ws, metav1.NewTime(time.Unix(0, 0))).Startup
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("startup (-want +got):\n%s", diff)
			}
		})
	}
}
