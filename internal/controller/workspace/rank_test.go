package workspace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kaito.sh/kaito/api/v1beta1"
)

func TestWhatAPersonWaitsForComesBeforeWhatGoesOn(t *testing.T) {
	t.Parallel()
	q := priorityqueue.New[reconcile.Request]("test")
	defer q.ShutDown()
	pods := behind{handler.EnqueueRequestsFromMapFunc(byLabel)}
	pod := func(of string) client.Object {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: of, Labels: map[string]string{v1beta1.LabelWorkspace: of}}}
	}
	named := func(name string) client.Object { return &v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	workspaces := &handler.EnqueueRequestForObject{}

	ctx := t.Context()
	pods.Create(ctx, event.CreateEvent{Object: pod("at the start"), IsInInitialList: true}, q)
	pods.Create(ctx, event.CreateEvent{Object: pod("came")}, q)
	changed := pod("turned ready")
	changed.SetResourceVersion("2")
	pods.Update(ctx, event.UpdateEvent{ObjectOld: pod("turned ready"), ObjectNew: changed}, q)
	pods.Delete(ctx, event.DeleteEvent{Object: pod("went")}, q)
	pods.Generic(ctx, event.GenericEvent{Object: pod("something")}, q)
	workspaces.Create(ctx, event.CreateEvent{Object: named("new")}, q)
	pods.Delete(ctx, event.DeleteEvent{Object: pod("edited")}, q)
	edited := named("edited")
	edited.SetResourceVersion("2")
	workspaces.Update(ctx, event.UpdateEvent{ObjectOld: named("edited"), ObjectNew: edited}, q)

	var order []string
	for range 7 {
		next, _, _ := q.GetWithPriority()
		order = append(order, next.Name)
		q.Done(next)
	}
	want := []string{"new", "edited", "came", "turned ready", "went", "something", "at the start"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
