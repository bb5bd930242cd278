package workspace

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

func TestAnUpdateIsNewsWhereADecisionReadsWhatChanged(t *testing.T) {
	t.Parallel()
	version := func(v string) metav1.ObjectMeta { return metav1.ObjectMeta{ResourceVersion: v} }
	for name, tc := range map[string]struct {
		before, after client.Object
		want          bool
	}{
		"a resync": {&corev1.Pod{ObjectMeta: version("1")}, &corev1.Pod{ObjectMeta: version("2")}, false},
		"a pod that goes on": {&corev1.Pod{ObjectMeta: version("1")}, &corev1.Pod{
			ObjectMeta: version("2"), Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}, true},
		"replicas that were counted": {&appsv1.StatefulSet{}, &appsv1.StatefulSet{Status: appsv1.StatefulSetStatus{Replicas: 1}}, false},
		"replicas that are ready":    {&appsv1.StatefulSet{}, &appsv1.StatefulSet{Status: appsv1.StatefulSetStatus{ReadyReplicas: 1}}, true},
		"a size edited by hand":      {&appsv1.StatefulSet{}, &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](3)}}, true},
		"a label edited by hand": {&corev1.Service{}, &corev1.Service{ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{"mine": "yes"},
		}}, true},
		"an address of a load balancer": {&corev1.Service{}, &corev1.Service{Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "10.0.0.1"}}},
		}}, false},
		"a budget that was computed": {&policyv1.PodDisruptionBudget{}, &policyv1.PodDisruptionBudget{
			Status: policyv1.PodDisruptionBudgetStatus{CurrentHealthy: 1},
		}, false},
		"a time of a Job":          {&batchv1.Job{}, &batchv1.Job{Status: batchv1.JobStatus{StartTime: &metav1.Time{}}}, false},
		"a Job that lost a pod":    {&batchv1.Job{}, &batchv1.Job{Status: batchv1.JobStatus{Failed: 1}}, true},
		"a kind that is not known": {&batchv1.CronJob{}, &batchv1.CronJob{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := childNews().Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
				t.Errorf("news: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAChildThatGoesIsNewsAndOneThatComesIsNot(t *testing.T) {
	t.Parallel()
	if childNews().Create(event.CreateEvent{Object: &corev1.Service{}}) {
		t.Error("a Service that appears makes a pass")
	}
	if !childNews().Delete(event.DeleteEvent{Object: &corev1.Service{}}) {
		t.Error("a Service that goes makes no pass")
	}
	if !childNews().Create(event.CreateEvent{Object: &batchv1.CronJob{}}) {
		t.Error("a child of a kind that nobody knows, which appears makes no pass")
	}
}
