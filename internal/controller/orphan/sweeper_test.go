package orphan

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// world is a cloud and an API server that answer as they are told.
type world struct {
	node.Provider
	client.Reader
	now      time.Time
	machines []node.Observed
	claims   map[string]string // UID by name, as lists show them
	late     map[string]string // and as only a single look does
	broken   string            // what does not answer
	refusal  error

	removed []string
	found   int
	held    map[string]int
	refused int
}

func (w *world) fails(what string) error {
	if w.broken == what {
		return errors.New(what + " does not answer")
	}
	return nil
}

// cloud is the world as a provider: the world itself has two methods List.
type cloud struct {
	node.Provider
	w *world
}

func (c cloud) List(context.Context, string) (node.Listing, error) {
	return node.Listing{Now: c.w.now, Machines: c.w.machines}, c.w.fails("the cloud")
}

func (c cloud) Remove(_ context.Context, key node.Key, owner node.Owner) (node.Observed, error) {
	if c.w.refusal != nil {
		return node.Observed{}, c.w.refusal
	}
	c.w.removed = append(c.w.removed, string(key)+" of "+owner.ClaimUID)
	return node.Observed{State: node.Deleting}, nil
}

func (w *world) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	list := into.(*nodeclaim.NodeClaimList)
	for name, uid := range w.claims {
		claim := nodeclaim.NodeClaim{}
		claim.Name, claim.UID = name, types.UID(uid)
		list.Items = append(list.Items, claim)
	}
	return w.fails("the API server")
}

func (w *world) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if err := w.fails("the last look"); err != nil {
		return err
	}
	uid, ok := w.late[key.Name]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	into.SetUID(types.UID(uid))
	return nil
}

func (w *world) OrphansSeen(found int, held map[string]int) { w.found, w.held = found, held }

func (w *world) OrphanRemoved(failed bool) {
	if failed {
		w.refused++
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit    func(*world)
		removed []string
		refused int
		fails   string
		events  string
	}{
		"an orphan beside a machine with a claim": {removed: []string{"k1 of uid-k1"}, events: "OrphanRemoved"},
		"a cloud that does not answer":            {edit: func(w *world) { w.broken = "the cloud" }, fails: "the cloud does not answer"},
		"an API server that does not answer":      {edit: func(w *world) { w.broken = "the API server" }, fails: "the API server does not answer"},
		"a claim that only the last look finds":   {edit: func(w *world) { w.late = map[string]string{"ws-k1": "uid-k1"} }},
		"a claim of that name and another life":   {edit: func(w *world) { w.late = map[string]string{"ws-k1": "later"} }, removed: []string{"k1 of uid-k1"}, events: "OrphanRemoved"},
		"a last look that is not answered":        {edit: func(w *world) { w.broken = "the last look" }, fails: "the last look does not answer"},
		"something under way":                     {edit: func(w *world) { w.refusal = &node.Error{Class: node.Conflict} }},
		"a removal that is refused": {
			edit:  func(w *world) { w.refusal = &node.Error{Class: node.Auth, Message: "no rights"} },
			fails: "no rights", refused: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{now: begin, machines: []node.Observed{old("k1"), old("k2")}, claims: map[string]string{"ws-k2": "uid-k2"}}
			recorder := events.NewFakeRecorder(10)
			s := New(Inputs{
				Provider: cloud{w: w}, Cluster: "c", Live: w, Recorder: recorder, Log: logr.Discard(), Meter: w,
				Clock: clocktesting.NewFakeClock(begin), Options: Defaults(),
			})
			if err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w.found != 1 || w.held[whyFirst] != 1 || len(w.held) != len(causes()) {
				t.Errorf("the first sweep found %d and held %v", w.found, w.held)
			}
			w.now = begin.Add(2 * time.Minute)
			if tc.edit != nil {
				tc.edit(w)
			}
			err := s.Sweep(t.Context())
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("the sweep ended with %v, want %q", err, tc.fails)
			}
			if diff := cmp.Diff(tc.removed, w.removed); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			if w.refused != tc.refused {
				t.Errorf("%d removals were refused, want %d", w.refused, tc.refused)
			}
			close(recorder.Events)
			said := ""
			for e := range recorder.Events {
				said += e
			}
			if tc.events == "" && said != "" || !strings.Contains(said, tc.events) {
				t.Errorf("events are %q, want %q", said, tc.events)
			}
		})
	}
}

func TestSweepsFollowTheClock(t *testing.T) {
	t.Parallel()
	w := &world{now: begin}
	clock := clocktesting.NewFakeClock(begin)
	swept := make(chan struct{})
	s := New(Inputs{
		Provider: signalled{cloud{w: w}, swept}, Cluster: "c", Live: w, Log: logr.Discard(), Meter: w, Clock: clock, Options: Defaults(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Start(ctx) }()
	for range 3 {
		for !clock.HasWaiters() {
			time.Sleep(time.Millisecond)
		}
		clock.Step(Defaults().Every)
		<-swept
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the sweeper ended with: %v", err)
	}
	if !s.NeedLeaderElection() {
		t.Error("two replicas would sweep")
	}
}

// signalled tells of each listing.
type signalled struct {
	cloud
	listed chan struct{}
}

func (s signalled) List(ctx context.Context, cluster string) (node.Listing, error) {
	s.listed <- struct{}{}
	return s.cloud.List(ctx, cluster)
}
