package workspace

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"kaito.sh/kaito/api/v1beta1"
)

// echoes are the statuses that were sent and have not come back yet. One that comes back
// as it was sent is no news: the pass that wrote it has seen all that it is made of. A
// status that somebody else has written is, and so is that of a tuning, which goes on
// from what is written down.
type echoes struct{ sent sync.Map } // by UID

// expect waits for a status of ws; the function that it returns gives up.
func (e *echoes) expect(ws *v1beta1.Workspace, status v1beta1.WorkspaceStatus) (forget func()) {
	e.sent.Store(ws.UID, &status)
	return func() { e.sent.Delete(ws.UID) }
}

// news lets all through but what we have said ourselves.
func (e *echoes) news() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(u event.UpdateEvent) bool {
			before, ok1 := u.ObjectOld.(*v1beta1.Workspace)
			after, ok2 := u.ObjectNew.(*v1beta1.Workspace)
			return !ok1 || !ok2 || !e.hears(before, after)
		},
		DeleteFunc: func(d event.DeleteEvent) bool {
			e.sent.Delete(d.Object.GetUID())
			return true
		},
	}
}

// hears says whether nothing has changed but the status, to what was sent.
func (e *echoes) hears(before, after *v1beta1.Workspace) bool {
	sent, ok := e.sent.Load(after.UID)
	if !ok || after.Tuning != nil || !sameStatus(sent, after.Status) {
		return false
	}
	e.sent.CompareAndDelete(after.UID, sent)
	a, b := *before, *after
	a.ResourceVersion, a.Status = "", v1beta1.WorkspaceStatus{}
	b.ResourceVersion, b.Status = "", v1beta1.WorkspaceStatus{}
	return equality.Semantic.DeepEqual(a, b)
}

func sameStatus(sent any, now v1beta1.WorkspaceStatus) bool {
	status, ok := sent.(*v1beta1.WorkspaceStatus)
	return ok && equality.Semantic.DeepEqual(*status, now)
}
