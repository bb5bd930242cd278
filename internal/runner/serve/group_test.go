package serve_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/serve"
)

// quick are the times of a group in tests.
const (
	quickBeat    = 10 * time.Millisecond
	quickSilence = 500 * time.Millisecond
)

// trio is a group of three pods on this machine, by place.
type trio struct {
	t    *testing.T
	door net.Listener
	pods [3]*run
}

// gathers makes the pod at a place; run names its process.
func (g *trio) gathers(place int, name string, env ...string) *run {
	g.t.Helper()
	g.pods[place] = start(g.t, func(o *serve.Options) {
		o.Contract.Group = &contract.Group{Size: 3, Leader: "127.0.0.1", MasterFlag: "--master", PlaceFlag: "--place", FollowerArgs: []string{"--headless"}}
		o.Contract.Limits.DrainSeconds = 5
		o.Group = &serve.Group{
			Place: place, URL: "http://" + g.door.Addr().String(), Run: name, Digest: "d", Beat: quickBeat, Silence: quickSilence,
		}
		if place == 0 {
			o.Group.Listener = g.door
		}
	}, env...)
	return g.pods[place]
}

// untilPhase waits until a pod is in a phase.
func untilPhase(t *testing.T, r *run, want string) {
	t.Helper()
	for range 2000 {
		if _, body := r.health(); body["phase"] == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	_, body := r.health()
	t.Fatalf("in phase %v, want %s; output:\n%s", body["phase"], want, r.output)
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	g := &trio{t: t, door: port(t)}
	g.gathers(0, "leader")
	g.gathers(1, "one")
	return g
}

// ended is why a runner ended.
func (g *trio) ended(place int) ending.Reason {
	g.t.Helper()
	select {
	case err := <-g.pods[place].ended:
		g.pods[place].ended <- err
		var end *ending.Ending
		if !errors.As(err, &end) {
			return ""
		}
		return end.Reason
	case <-time.After(30 * time.Second):
		g.t.Fatalf("the pod at place %d goes on", place)
		return ""
	}
}

func TestAGroupStartsTogetherAndTheLeaderAnswers(t *testing.T) {
	t.Parallel()
	g := newTrio(t)
	untilPhase(t, g.pods[0], "gathering")
	untilPhase(t, g.pods[1], "gathering")
	if out := g.pods[0].output.String() + g.pods[1].output.String(); strings.Contains(out, "loading the model") {
		t.Errorf("an engine has started before all pods were there:\n%s", out)
	}
	if code, _ := g.pods[0].health(); code != http.StatusServiceUnavailable {
		t.Errorf("/health of the leader is %d while the group gathers", code)
	}
	if got := g.pods[1].get("/ready"); got.code != http.StatusOK || !strings.Contains(got.body, `"status":"follower"`) {
		t.Errorf("/ready of a follower is %d: %s", got.code, got.body)
	}
	g.gathers(2, "two")
	g.pods[0].ready()
	untilPhase(t, g.pods[1], "ready")
	untilPhase(t, g.pods[2], "ready")
	if got := g.pods[0].post("/chat", `{"prompt": "hello"}`); got.code != http.StatusOK {
		t.Errorf("the leader answers %d: %s", got.code, got.body)
	}
	for path, want := range map[string]string{"/chat": `{"detail":"This pod computes`, "/v1/chat/completions": `"code":"follower"`} {
		if got := g.pods[2].post(path, `{}`); got.code != http.StatusServiceUnavailable || !strings.Contains(got.body, want) {
			t.Errorf("%s of a follower is %d: %s", path, got.code, got.body)
		}
	}
	if got := g.pods[2].get("/metrics"); got.code != http.StatusOK || !strings.Contains(got.body, "kaito_") {
		t.Errorf("/metrics of a follower is %d: %s", got.code, got.body)
	}
}

// The engine of one pod ends: all runners end, and the group forms anew.
func TestAGroupEndsTogetherAndFormsAnew(t *testing.T) {
	t.Parallel()
	g := newTrio(t)
	g.gathers(2, "two", "DIE_WITH=7")
	if got := g.ended(2); got != ending.EngineExited {
		t.Errorf("the pod whose engine ended says %q", got)
	}
	if got := g.ended(0); got != ending.GroupBroken {
		t.Errorf("the leader says %q, want that the group is broken", got)
	}
	if got := g.ended(1); got != ending.GroupBroken {
		t.Errorf("the other follower says %q, want that the group is broken", got)
	}
	g.door = port(t)
	g.gathers(0, "leader, again")
	g.gathers(1, "one, again")
	g.gathers(2, "two, again")
	g.pods[0].ready()
}

// A follower that comes back as another process has lost its engine: nothing waits for a silence.
func TestAFollowerThatComesBackEndsTheGroup(t *testing.T) {
	t.Parallel()
	g := newTrio(t)
	g.gathers(2, "two")
	g.pods[0].ready()
	g.gathers(1, "one, again")
	if got := g.ended(0); got != ending.GroupBroken {
		t.Errorf("the leader says %q", got)
	}
	if got := g.ended(2); got != ending.GroupBroken {
		t.Errorf("the other follower says %q", got)
	}
	untilPhase(t, g.pods[1], "gathering") // for a leader that comes back
}

// A follower whose node is drained keeps computing until the requests have ended.
func TestAFollowerThatIsToldToStopLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	g := &trio{t: t, door: port(t)}
	g.gathers(0, "leader", "WORDS=40", "PAUSE_MS=10")
	g.gathers(1, "one")
	g.gathers(2, "two")
	g.pods[0].ready()
	untilPhase(t, g.pods[2], "ready")
	answered := g.pods[0].background("/chat", `{"prompt": "hello"}`)
	g.pods[2].signals <- syscall.SIGTERM
	if got := <-answered; got.code != http.StatusOK {
		t.Errorf("the request was answered %d: %s, %v", got.code, got.body, got.err)
	}
	if got := g.ended(0); got != "" {
		t.Errorf("the leader says %q, want a stop in good order", got)
	}
	if got := g.ended(2); got != "" {
		t.Errorf("the follower says %q, want a stop in good order", got)
	}
}

func TestAStopWhileTheGroupGathersIsNoFailure(t *testing.T) {
	t.Parallel()
	g := newTrio(t)
	for place := range 2 {
		untilPhase(t, g.pods[place], "gathering")
		g.pods[place].signals <- syscall.SIGTERM
		if got := g.ended(place); got != "" {
			t.Errorf("the pod at place %d says %q", place, got)
		}
	}
}
