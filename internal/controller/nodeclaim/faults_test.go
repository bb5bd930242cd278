package nodeclaim

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/sim"
	"kaito.sh/kaito/internal/nodeclaim"
)

// says wants words in a condition's message, and none of what changes with every pass.
func (w *world) says(name, kind string, want ...string) {
	w.Helper()
	got := w.message(name, kind)
	for _, one := range want {
		if !strings.Contains(got, one) {
			w.Errorf("%s of %s says %q, want it to say %q", kind, name, got, one)
		}
	}
	if strings.Contains(got, "2026-") || strings.Contains(got, "12:") {
		w.Errorf("%s of %s tells the time: %q", kind, name, got)
	}
}

// heard wants so many events of a reason.
func (w *world) heard(reason string, want int) {
	w.Helper()
	got := 0
	for _, e := range w.events {
		if strings.HasPrefix(e, reason+": ") {
			got++
		}
	}
	if got != want {
		w.Errorf("%d events say %s, want %d: %q", got, reason, want, w.events)
	}
}

// ends deletes the claim and wants nothing to be left.
func (w *world) ends(name string) {
	w.Helper()
	w.delete(name)
	w.after(10 * time.Minute)
	w.gone()
}

func TestRefusalsThatLastAreToldAndLeaveNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		types  []string
		fault  sim.Fault
		launch string
		says   []string
		event  string
	}{
		"a type that nobody knows, with the nearest":        {[]string{"Standard_NC24ads_A100_v5"}, "", "False/InvalidRequest", []string{typeA}, "InvalidRequest"},
		"a type that is sold no more, with what may follow": {[]string{typeOld}, "", "False/SKUUnavailable", []string{typeOld, "no longer sold", "Ask for Standard_", " or Standard_"}, "SKUUnavailable"},
		"a quota of zero":                        {[]string{typeA}, sim.QuotaZero, "False/QuotaExceeded", []string{"may have 0 of " + typeA, "quota"}, "QuotaExceeded"},
		"a type that is not sold here":           {[]string{typeA, typeB}, sim.NotSold, "False/SKUUnavailable", []string{typeA, typeB}, "SKUUnavailable"},
		"an identity without rights":             {[]string{typeA}, sim.Refused, "False/AuthFailed", []string{"may not do this", "role"}, "AuthFailed"},
		"a cluster that the cloud does not know": {[]string{typeA}, sim.NoCluster, "False/InvalidRequest", []string{"cluster is not there"}, "InvalidRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.fault != "" {
				w.cloud.Inject(c.fault, 1)
			}
			w.create(claim("ws1", ofTypes(c.types...)))
			w.after(time.Minute)
			w.is("ws1", nodeclaim.ConditionLaunched, c.launch)
			w.is("ws1", nodeclaim.ConditionReady, c.launch)
			w.says("ws1", nodeclaim.ConditionReady, c.says...)
			w.heard(c.event, 1)
			calls := w.cloud.Calls()
			w.after(2 * time.Hour)
			const most = 40 // of an identity that is refused
			if got := w.cloud.Calls() - calls; got > most {
				t.Errorf("the cloud was asked %d times within two hours", got)
			}
			if got := w.cloud.Creations(); got != 0 {
				t.Errorf("%d machines were made", got)
			}
			w.cloud.Clear()
			w.ends("ws1")
		})
	}
}

func TestAChangedAnnotationTriesAgainAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.Inject(sim.QuotaZero, 1)
	w.create(claim("ws1"))
	w.after(2 * time.Minute)
	w.is("ws1", nodeclaim.ConditionLaunched, "False/QuotaExceeded")
	w.cloud.Clear()
	w.after(5 * time.Minute)
	w.is("ws1", nodeclaim.ConditionLaunched, "False/QuotaExceeded")
	w.change("ws1", func(c *nodeclaim.NodeClaim) { metav1.SetMetaDataAnnotation(&c.ObjectMeta, "kaito.sh/retry", "1") })
	w.after(3 * time.Minute)
	w.is("ws1", nodeclaim.ConditionReady, readyNow)
	w.ends("ws1")
}

func TestEveryOfferIsTriedThenAllAreTriedAgainLater(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  sim.Fault
		reason string
	}{
		"no capacity, said at once":       {sim.NoCapacity, "CapacityExhausted"},
		"no capacity, said after a while": {sim.CreationFails, "CapacityExhausted"},
		"the quota is used up":            {sim.QuotaFull, "QuotaExceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cloud.Inject(c.fault, 1)
			w.create(claim("ws1", ofTypes(typeA, typeB), asSpot(true)))
			w.after(3*time.Minute + 50*time.Second)
			w.is("ws1", nodeclaim.ConditionLaunched, "Unknown/"+c.reason)
			w.says("ws1", nodeclaim.ConditionLaunched, typeA+" (spot): ", typeB+" (spot): ", "tried again")
			if w.get("ws1") == nil || read(w.get("ws1")).history.Rounds < 1 {
				t.Fatalf("the claim does not stay: %s", w.told())
			}
			w.after(6 * time.Hour)
			rounds := read(w.get("ws1")).history.Rounds
			const fewest, most = 15, 40 // every 15 minutes in the end
			if rounds < fewest || rounds > most {
				t.Errorf("all were tried %d times within six hours", rounds)
			}
			w.heard(c.reason, rounds)
			w.cloud.Clear()
			w.after(25 * time.Minute)
			w.is("ws1", nodeclaim.ConditionReady, readyNow)
			w.ends("ws1")
		})
	}
}

func TestTheNextOfferIsTakenWhereTheFirstIsNotToBeHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.failFirst()
	w.create(claim("ws1", ofTypes(typeA, typeB)))
	w.after(10 * time.Minute)
	w.is("ws1", nodeclaim.ConditionReady, readyNow)
	if n := w.store.nodes(); len(n) != 1 || n[0].Labels["node.kubernetes.io/instance-type"] != typeB {
		t.Errorf("want one node of the type %s: %s", typeB, w.told())
	}
	w.heard(eventOfferTried, 1)
	w.ends("ws1")
}

func TestWhatPassesIsBorneAndGoesOnByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  sim.Fault
		launch string
	}{
		"a cloud that does not answer": {sim.Unreachable, "Unknown/CloudUnreachable"},
		"a cloud that throttles":       {sim.Throttled, "Unknown/Throttled"},
		"a cloud that is busy":         {sim.Busy, "Unknown/CloudBusy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cloud.Inject(c.fault, 1)
			w.create(claim("ws1"))
			w.create(claim("ws2"))
			w.after(10 * time.Minute)
			w.is("ws1", nodeclaim.ConditionLaunched, c.launch)
			const most = 130 // of two claims, every ten seconds
			if got := w.cloud.Calls(); got > most {
				t.Errorf("the cloud was called %d times within ten minutes", got)
			}
			w.cloud.Clear()
			w.after(10 * time.Minute)
			w.is("ws1", nodeclaim.ConditionReady, readyNow)
			w.is("ws2", nodeclaim.ConditionReady, readyNow)
			if got := w.cloud.Creations(); got != 2 {
				t.Errorf("%d machines were made", got)
			}
			w.delete("ws2")
			w.ends("ws1")
		})
	}
}

// One claim that is throttled keeps all others from calling.
func TestThrottlingHoldsForAllClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"ws1", "ws2", "ws3"} {
		w.create(claim(name))
	}
	w.cloud.Inject(sim.Throttled, 1)
	calls := 0
	w.before = func(what string) {
		if what == "ensure" || what == "observe" {
			calls++
		}
	}
	w.after(20 * time.Second)
	if calls != 1 {
		t.Errorf("three claims called a provider %d times that is to be left alone", calls)
	}
}

func TestAnAnswerThatIsLostMakesNoSecondMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.Inject(sim.AnswerLost, 1)
	w.create(claim("ws1"))
	w.after(10 * time.Second)
	w.after(10 * time.Minute)
	w.is("ws1", nodeclaim.ConditionReady, readyNow)
	if got := w.cloud.Creations(); got != 1 {
		t.Errorf("%d machines were made", got)
	}
	w.ends("ws1")
}

func TestAMachineOfSomebodyElseIsNeverTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := claim("ws1")
	key := node.KeyOf(cluster, string(c.UID))
	w.cloud.Put(key, node.Owner{Cluster: "another", ClaimUID: "another"})
	w.create(c)
	w.after(time.Hour)
	w.is("ws1", nodeclaim.ConditionLaunched, "False/NameTaken")
	w.heard(nodeclaim.ReasonNameTaken, 1)
	w.delete("ws1")
	w.after(time.Minute)
	if w.get("ws1") != nil || !w.cloud.Present(key) {
		t.Errorf("want the claim to be gone and the machine to stay: %s, %v", w.told(), w.cloud.Machines())
	}
	w.cloud.Vanish(key)
}

func TestAFinalizerThatIsTornOffComesBack(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]time.Duration{"while the machine is made": 20 * time.Second, "when all is ready": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(claim("ws1"))
			w.after(when)
			w.change("ws1", func(c *nodeclaim.NodeClaim) { c.Finalizers = nil })
			w.after(10 * time.Second)
			if !controllerutil.ContainsFinalizer(w.get("ws1"), nodeclaim.Finalizer) {
				t.Error("the finalizer does not come back")
			}
			w.ends("ws1")
		})
	}
}

func TestObjectsOfAnOlderStateMakeNoSecondMachine(t *testing.T) {
	t.Parallel()
	for name, older := range map[string]func(*nodeclaim.NodeClaim){
		"a claim as it was made": func(c *nodeclaim.NodeClaim) {
			c.Annotations, c.Finalizers = nil, nil
			c.Status = nodeclaim.Status{}
		},
		"a claim whose notes cannot be read": func(c *nodeclaim.NodeClaim) {
			c.Annotations = map[string]string{
				nodeclaim.AnnotationOffer: "{", nodeclaim.AnnotationTried: "[]", nodeclaim.AnnotationAttempts: "many", nodeclaim.AnnotationKey: "another",
			}
			c.Status = nodeclaim.Status{}
		},
		"a claim without its status": func(c *nodeclaim.NodeClaim) { c.Status = nodeclaim.Status{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(claim("ws1", ofTypes(typeA, typeB)))
			w.after(5 * time.Minute)
			w.is("ws1", nodeclaim.ConditionReady, readyNow)
			w.change("ws1", older)
			c := w.get("ws1").DeepCopy()
			older(c)
			if err := w.store.patch(c, true); err != nil {
				t.Fatal(err)
			}
			w.restart()
			w.after(10 * time.Minute)
			w.is("ws1", nodeclaim.ConditionReady, readyNow)
			if got := w.cloud.Creations(); got != 1 {
				t.Errorf("%d machines were made", got)
			}
			w.ends("ws1")
		})
	}
}
