package repair

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// cloud answers as it is told and notes what it was asked to do.
type cloud struct {
	node.Provider
	mu        sync.Mutex
	state     node.State
	err       error
	rebooting error
	rebooted  []string
}

func (c *cloud) Observe(context.Context, node.Key, string) (node.Observed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return node.Observed{State: c.state}, c.err
}

func (c *cloud) Reboot(_ context.Context, _ node.Key, owner node.Owner) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rebooted = append(c.rebooted, owner.ClaimName)
	return c.rebooting
}

// counts are how often what was done.
type counts map[string]int

func (c counts) Repaired(what, fault string) { c[what+" "+fault]++ }

// scene is a reconciler with a claim and its node on a real API server.
type scene struct {
	*Reconciler
	t      *testing.T
	clock  *clocktesting.FakePassiveClock
	claim  *nodeclaim.NodeClaim
	node   *corev1.Node
	counts counts
	spoken *events.FakeRecorder
}

// prepare writes a claim and its node; each scene has an instance type of its own, so that
// the brake of one does not stop another.
func prepare(t *testing.T, name string, provider node.Provider, edits ...func(*nodeclaim.NodeClaim)) *scene {
	t.Helper()
	c := api.Client(t)
	s := &scene{t: t, clock: clocktesting.NewFakePassiveClock(time.Now()), counts: counts{}, spoken: events.NewFakeRecorder(20)}
	s.claim = served(name, append(edits, func(c *nodeclaim.NodeClaim) {
		c.UID = ""
		c.Labels[corev1.LabelInstanceTypeStable] = name
		c.Labels[nodeclaim.LabelWorkspace] = name
		c.Finalizers = []string{nodeclaim.Finalizer}
	})...)
	if err := c.Create(t.Context(), s.claim); err != nil {
		t.Fatal(err)
	}
	s.claim.Status = nodeclaim.Status{NodeName: name}
	s.claim.StatusConditions().SetTrue(nodeclaim.ConditionInitialized)
	if err := c.Status().Update(t.Context(), s.claim); err != nil {
		t.Fatal(err)
	}
	s.node = whole(name)
	api.Join(t, s.node)
	s.Reconciler = New(Inputs{
		Client: c, Provider: provider, Cluster: "c", Clock: s.clock, Recorder: s.spoken, Meter: s.counts, Options: Defaults(),
	})
	return s
}

// pass lets time go by and looks; it returns when the next look is.
func (s *scene) pass(after time.Duration) time.Duration {
	s.t.Helper()
	s.clock.SetTime(s.clock.Now().Add(after))
	result, err := s.Reconcile(s.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.claim)})
	if err != nil {
		s.t.Fatal(err)
	}
	return result.RequeueAfter
}

// becomes changes the node's readiness.
func (s *scene) becomes(status corev1.ConditionStatus) {
	s.t.Helper()
	if err := api.Client(s.t).Get(s.t.Context(), client.ObjectKeyFromObject(s.node), s.node); err != nil {
		s.t.Fatal(err)
	}
	s.node.Status.Conditions[0].Status = status
	if err := api.Client(s.t).Status().Update(s.t.Context(), s.node); err != nil {
		s.t.Fatal(err)
	}
}

// deleted says whether the claim was deleted, and until when its node may be drained.
func (s *scene) deleted() (bool, string) {
	s.t.Helper()
	if err := api.Client(s.t).Get(s.t.Context(), client.ObjectKeyFromObject(s.claim), s.claim); err != nil {
		s.t.Fatal(err)
	}
	return s.claim.DeletionTimestamp != nil, s.claim.Annotations[annotationTermination]
}

func (s *scene) said() string {
	all := []string{}
	for {
		select {
		case e := <-s.spoken.Events:
			all = append(all, strings.Fields(e)[1])
		default:
			return strings.Join(all, " ")
		}
	}
}

func TestANodeThatStaysSilentIsRebootedAndThenReplaced(t *testing.T) {
	t.Parallel()
	provider := &cloud{state: node.Ready}
	s := prepare(t, "silent", provider)
	if again := s.pass(0); again != 0 {
		t.Errorf("a good node is looked at again after %s", again)
	}
	s.becomes(corev1.ConditionUnknown)
	s.pass(time.Minute)
	s.pass(9 * time.Minute)
	if len(provider.rebooted) > 0 {
		t.Error("the machine was rebooted before the fault had lasted for ten minutes")
	}
	s.pass(time.Minute)
	if diff := cmp.Diff([]string{"silent"}, provider.rebooted); diff != "" {
		t.Errorf("rebooted (-want +got):\n%s", diff)
	}
	s.pass(9 * time.Minute)
	if gone, _ := s.deleted(); gone {
		t.Error("the claim was deleted before the reboot could help")
	}
	s.pass(time.Minute)
	gone, until := s.deleted()
	if !gone || until != s.clock.Now().Format(time.RFC3339) {
		t.Errorf("deleted %v, and a node that does not run is drained until %q, want now", gone, until)
	}
	if s.pass(time.Minute) != 0 || len(provider.rebooted) != 1 {
		t.Error("a claim that is being deleted is looked at")
	}
	if diff := cmp.Diff(counts{"reboot NodeNotReady": 1, "replace NodeNotReady": 1}, s.counts); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if got := s.said(); got != "MachineRebooted MachineReplaced" {
		t.Errorf("events are %q", got)
	}
}

func TestANodeThatComesBackInTimeIsLeftAlone(t *testing.T) {
	t.Parallel()
	provider := &cloud{state: node.Ready}
	s := prepare(t, "flapping", provider)
	for range 5 {
		s.becomes(corev1.ConditionFalse)
		s.pass(time.Minute)
		s.pass(9 * time.Minute)
		s.becomes(corev1.ConditionTrue)
		s.pass(time.Second)
	}
	if gone, _ := s.deleted(); gone || len(provider.rebooted) > 0 {
		t.Errorf("deleted %v, rebooted %v", gone, provider.rebooted)
	}
}

func TestAProviderThatCannotRebootReplacesAtOnce(t *testing.T) {
	t.Parallel()
	s := prepare(t, "unsupported", &cloud{state: node.Ready, rebooting: &node.Error{Class: node.Unsupported}})
	s.becomes(corev1.ConditionFalse)
	s.pass(0)
	s.pass(10 * time.Minute)
	s.pass(time.Second)
	if gone, _ := s.deleted(); !gone {
		t.Error("the claim was not deleted")
	}
	if got := s.said(); got != "MachineReplaced" {
		t.Errorf("events are %q", got)
	}
}

func TestASpotMachineThatTheCloudTookIsReplacedAfterTwoLooks(t *testing.T) {
	t.Parallel()
	s := prepare(t, "reclaimed", &cloud{state: node.Absent}, func(c *nodeclaim.NodeClaim) { c.Labels[nodeclaim.LabelCapacityType] = "spot" })
	s.becomes(corev1.ConditionUnknown)
	s.pass(0)
	s.pass(time.Second)
	if gone, _ := s.deleted(); gone {
		t.Error("the claim was deleted after one look")
	}
	s.pass(time.Minute)
	if gone, _ := s.deleted(); !gone {
		t.Error("the claim was not deleted after two")
	}
	if diff := cmp.Diff(counts{"replace SpotReclaimed": 1}, s.counts); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

func TestNothingIsReplacedWhileTheCloudDoesNotAnswer(t *testing.T) {
	t.Parallel()
	provider := &cloud{err: &node.Error{Class: node.Transient, Message: "no route to host"}}
	s := prepare(t, "unreachable", provider)
	s.becomes(corev1.ConditionUnknown)
	for range 30 {
		s.pass(time.Minute)
	}
	if gone, _ := s.deleted(); gone || len(provider.rebooted) > 0 {
		t.Errorf("deleted %v, rebooted %v", gone, provider.rebooted)
	}
	if got := s.said(); got != "RepairHeld" {
		t.Errorf("events are %q, want one", got)
	}
}

func TestANodeThatIsGoneUnderItsClaimIsReplaced(t *testing.T) {
	t.Parallel()
	s := prepare(t, "left", &cloud{state: node.Ready})
	if err := api.Client(t).Delete(t.Context(), s.node); err != nil {
		t.Fatal(err)
	}
	s.pass(0)
	s.pass(4 * time.Minute)
	if gone, _ := s.deleted(); gone {
		t.Error("a node may come back within five minutes")
	}
	s.pass(time.Minute)
	if gone, _ := s.deleted(); !gone {
		t.Error("the claim was not deleted")
	}
}

func TestANodeWithAFaultyGPUIsDrained(t *testing.T) {
	t.Parallel()
	s := prepare(t, "faulty", &cloud{state: node.Ready, rebooting: &node.Error{Class: node.Unsupported}})
	s.node.Status.Conditions = append(s.node.Status.Conditions, corev1.NodeCondition{Type: "GPUMissing", Status: corev1.ConditionTrue})
	if err := api.Client(t).Status().Update(t.Context(), s.node); err != nil {
		t.Fatal(err)
	}
	s.pass(0)
	s.pass(10 * time.Minute)
	s.pass(time.Second)
	gone, until := s.deleted()
	if want := s.clock.Now().Add(10 * time.Minute).Format(time.RFC3339); !gone || until != want {
		t.Errorf("deleted %v, drained until %q, want %q", gone, until, want)
	}
}

func TestWhoIsLookedAt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*nodeclaim.NodeClaim)
		want bool
	}{
		"a claim that was good once": {func(*nodeclaim.NodeClaim) {}, true},
		"one that never was":         {func(c *nodeclaim.NodeClaim) { c.Status.Conditions = nil }, false},
		"one on its way out":         {func(c *nodeclaim.NodeClaim) { c.DeletionTimestamp = &metav1.Time{Time: time.Now()} }, false},
		"one of another provisioner": {func(c *nodeclaim.NodeClaim) {
			c.Spec.NodeClassRef.Kind = "AKSNodeClass"
			delete(c.Labels, nodeclaim.LabelWorkspace)
		}, false},
		"one of no class":               {func(c *nodeclaim.NodeClaim) { c.Spec.NodeClassRef, c.Labels = nil, nil }, false},
		"one whose node has no name":    {func(c *nodeclaim.NodeClaim) { c.Status.NodeName = "" }, false},
		"of whatever name the class is": {func(c *nodeclaim.NodeClaim) { c.Spec.NodeClassRef.Name = "mine" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := concerns(served("n", tc.edit)); got != tc.want {
				t.Errorf("looked at is %v, want %v", got, tc.want)
			}
		})
	}
}
