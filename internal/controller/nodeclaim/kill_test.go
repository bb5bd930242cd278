package nodeclaim

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/nodeclaim"
)

// errKilled is the end of a process in the middle of a pass.
var errKilled = errors.New("killed")

// lived is what a life comes to, whatever happens on the way.
type lived struct {
	Ready             string
	Machines, Nodes   int
	Node, ProviderID  string
	LeftMachines, Any int
}

// live is one life: a claim that becomes ready, and goes. kill ends the process at its so
// manieth request, before it is made; a process follows each that has ended. It says how
// many requests there were.
func live(t *testing.T, kill int, edits ...func(*world)) (lived, int, *world) {
	t.Helper()
	w := newWorld(t)
	for _, edit := range edits {
		edit(w)
	}
	requests := 0
	w.before = func(string) {
		if requests++; requests == kill {
			panic(errKilled)
		}
	}
	// settled is after(d), in as many processes as it takes.
	settled := func(d time.Duration) {
		for end := w.clock.Now().Add(d); ; {
			if !killed(func() { w.after(end.Sub(w.clock.Now())) }) {
				return
			}
			w.restart()
		}
	}
	w.create(claim("ws1", ofTypes(typeA, typeB)))
	settled(10 * time.Minute)
	l := lived{Ready: w.condition("ws1", nodeclaim.ConditionReady), Machines: len(w.cloud.Machines()), Nodes: len(w.store.nodes())}
	if c := w.get("ws1"); c != nil {
		l.Node, l.ProviderID = c.Status.NodeName, c.Status.ProviderID
	}
	w.delete("ws1")
	settled(10 * time.Minute)
	l.LeftMachines, l.Any = len(w.cloud.Machines()), len(w.store.snapshot())
	return l, requests, w
}

// killed says whether the process was ended.
func killed(do func()) (dead bool) {
	defer func() {
		if r := recover(); r != nil {
			if err, ok := r.(error); !ok || !errors.Is(err, errKilled) {
				panic(r)
			}
			dead = true
		}
	}()
	do()
	return false
}

// A claim may be deleted at any time, and the process may end at that time too: nothing is
// left, without any sweep.
func TestAClaimThatIsDeletedAnywhereInItsLifeLeavesNothing(t *testing.T) {
	t.Parallel()
	_, requests, _ := live(t, 0)
	for n := 1; n <= requests; n++ {
		for _, dies := range []bool{false, true} {
			w := newWorld(t)
			count := 0
			w.before = func(string) {
				if count++; count != n {
					return
				}
				w.delete("ws1")
				if dies {
					panic(errKilled)
				}
			}
			w.create(claim("ws1"))
			for killed(func() { w.after(20 * time.Minute) }) {
				w.restart()
			}
			w.before = nil
			if w.get("ws1") != nil { // so many requests were not needed
				w.delete("ws1")
				w.after(10 * time.Minute)
			}
			w.gone()
			if t.Failed() {
				t.Fatalf("deleted at request %d of %d, the process ended with it: %v", n, requests, dies)
			}
		}
	}
}

func TestAProcessThatEndsAnywhereInALifeChangesNothing(t *testing.T) {
	t.Parallel()
	lives := map[string]func(*world){
		"an easy life": func(*world) {},
		"a life in which the first machine fails": func(w *world) { w.failFirst() },
	}
	for name, edit := range lives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, requests, w := live(t, 0, edit)
			creations := w.cloud.Creations()
			if want.Ready != readyNow || want.LeftMachines+want.Any > 0 || requests < 15 {
				t.Fatalf("undisturbed, a life of %d requests comes to %+v", requests, want)
			}
			for n := 1; n <= requests; n++ {
				got, _, w := live(t, n, edit)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("killed at request %d of %d (-want +got):\n%s", n, requests, diff)
				}
				if got := w.cloud.Creations(); got != creations {
					t.Errorf("killed at request %d: %d machines were made, want %d", n, got, creations)
				}
			}
			t.Logf("%d points at which the process was killed", requests)
		})
	}
}
