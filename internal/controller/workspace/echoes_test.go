package workspace

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"kaito.sh/kaito/api/v1beta1"
)

func TestOurOwnStatusIsNoNews(t *testing.T) {
	t.Parallel()
	ws := func(version, label string, state v1beta1.WorkspaceState) *v1beta1.Workspace {
		return &v1beta1.Workspace{
			ObjectMeta: metav1.ObjectMeta{UID: "1", ResourceVersion: version, Labels: map[string]string{"a": label}},
			Status:     v1beta1.WorkspaceStatus{State: state},
		}
	}
	tuning := ws("2", "", v1beta1.StateReady)
	tuning.Tuning = &v1beta1.TuningSpec{}
	sent := v1beta1.WorkspaceStatus{State: v1beta1.StateReady}
	for name, tc := range map[string]struct {
		forgotten     bool
		before, after *v1beta1.Workspace
		want          bool
	}{
		"what was sent comes back":                {false, ws("1", "", ""), ws("2", "", v1beta1.StateReady), false},
		"somebody has written another status":     {false, ws("1", "", ""), ws("2", "", v1beta1.StateFailed), true},
		"somebody has edited it at the same time": {false, ws("1", "", ""), ws("2", "x", v1beta1.StateReady), true},
		"a tuning goes on from its status":        {false, ws("1", "", ""), tuning, true},
		"it was not written after all":            {true, ws("1", "", ""), ws("2", "", v1beta1.StateReady), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &echoes{}
			forget := e.expect(tc.before, sent)
			if tc.forgotten {
				forget()
			}
			if got := e.news().Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
				t.Errorf("news: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAnEchoIsHeardOnce(t *testing.T) {
	t.Parallel()
	e, status := &echoes{}, v1beta1.WorkspaceStatus{State: v1beta1.StateReady}
	old := &v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{UID: "1"}}
	e.expect(old, status)
	now := old.DeepCopy()
	now.Status = status
	update := event.UpdateEvent{ObjectOld: old, ObjectNew: now}
	if e.news().Update(update) || !e.news().Update(update) {
		t.Error("a status that comes a second time was not ours")
	}
}
