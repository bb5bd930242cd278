package resolver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/model"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// desk is a hub whose answers a test gives one by one.
type desk struct {
	mu sync.Mutex
	// asked are the questions, in order; begun gets each.
	asked []Question
	begun chan Question
	// answers are by repository; one that has a gate waits for it.
	answers map[string]func(ctx context.Context) (Facts, error)
}

func (d *desk) Read(ctx context.Context, q Question) (Facts, error) {
	d.mu.Lock()
	d.asked = append(d.asked, q)
	answer := d.answers[q.Repository]
	d.mu.Unlock()
	d.begun <- q
	if answer == nil {
		return Facts{Model: model.Model{ID: q.Repository}, Commit: commit}, nil
	}
	return answer(ctx)
}

func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked)
}

type scene struct {
	*Resolver
	*desk
	clock *testclock.FakePassiveClock
	t     *testing.T
}

func begin(t *testing.T, answers map[string]func(context.Context) (Facts, error)) scene {
	t.Helper()
	d := &desk{begun: make(chan Question, 10_000), answers: answers}
	c := testclock.NewFakePassiveClock(time.Unix(1_000_000, 0))
	r := New(Options{Reader: d, Clock: c})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return scene{r, d, c, t}
}

func ws(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func about(namespace, repository string) Question {
	return Question{Namespace: namespace, Repository: repository, Revision: "main"}
}

// ask asks and waits for the news.
func (s scene) ask(q Question) Answer {
	s.t.Helper()
	name := ws(q.Namespace, "w")
	if a := s.Answer(name, q); a.Facts != nil || a.Failure != nil {
		s.t.Fatalf("an answer before anybody was asked: %+v", a)
	}
	if got := <-s.News(); got != name {
		s.t.Fatalf("news for %v, want them for %v", got, name)
	}
	return s.Answer(name, q)
}

func TestAQuestionIsAskedOnceAndItsAnswerKept(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	q := about("a", "o/m")
	for range 3 {
		s.Answer(ws("a", "one"), q)
		s.Answer(ws("a", "two"), q)
	}
	heard := map[types.NamespacedName]bool{<-s.News(): true, <-s.News(): true}
	if diff := cmp.Diff(map[types.NamespacedName]bool{ws("a", "one"): true, ws("a", "two"): true}, heard); diff != "" {
		t.Errorf("news (-want +got):\n%s", diff)
	}
	a := s.Answer(ws("a", "three"), q)
	if a.Facts == nil || a.Facts.Commit != commit || s.count() != 1 {
		t.Errorf("%d readings and the answer %+v, want one and the facts", s.count(), a)
	}
	// Another namespace learns nothing from it.
	if a := s.Answer(ws("b", "w"), about("b", "o/m")); a.Facts != nil {
		t.Error("another namespace was answered without a reading")
	}
	<-s.News()
	if s.count() != 2 {
		t.Errorf("%d readings, want one for each namespace", s.count())
	}
}

func TestARevisionThatMovesIsAskedAgainAndACommitNever(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	moving, fixed := about("a", "o/m"), about("a", "o/m")
	fixed.Revision = commit
	s.ask(moving)
	s.ask(fixed)
	s.clock.SetTime(s.clock.Now().Add(2 * fresh))
	if a := s.Answer(ws("a", "w"), fixed); a.Facts == nil {
		t.Error("a commit was asked again")
	}
	s.ask(moving)
	again := moving
	again.Again = "now"
	s.ask(again)
	if s.count() != 4 {
		t.Errorf("%d readings, want 4", s.count())
	}
}

func TestAfterAFailureItIsAskedAgainLaterAndLater(t *testing.T) {
	t.Parallel()
	fail := func(f Failure) func(context.Context) (Facts, error) {
		return func(context.Context) (Facts, error) { return Facts{}, &f }
	}
	s := begin(t, map[string]func(context.Context) (Facts, error){
		"o/down":    func(context.Context) (Facts, error) { return Facts{}, errors.New("connection refused") },
		"o/slow":    func(context.Context) (Facts, error) { return Facts{}, context.DeadlineExceeded },
		"o/limited": fail(Failure{Why: Limited, Message: "Too many requests", Wait: 10 * time.Minute}),
		"o/hostile": fail(Failure{Why: Limited, Message: "Too many requests", Wait: 1000 * time.Hour}),
		"o/none":    fail(Failure{Why: NotFound, Message: "There is none"}),
		"o/panics":  func(context.Context) (Facts, error) { panic("index out of range") },
	})
	for repository, want := range map[string]struct {
		why    Why
		first  time.Duration
		second time.Duration
	}{
		"o/down":    {Unreachable, 5 * time.Second, 10 * time.Second},
		"o/slow":    {Unreachable, 5 * time.Second, 10 * time.Second},
		"o/limited": {Limited, 10 * time.Minute, 10 * time.Minute},
		"o/hostile": {Limited, time.Hour, time.Hour},
		"o/none":    {NotFound, time.Minute, 2 * time.Minute},
		"o/panics":  {Unusable, time.Minute, 2 * time.Minute},
	} {
		q := about("a", repository)
		a := s.ask(q)
		if a.Failure == nil || a.Failure.Why != want.why || a.Failure.Message == "" || a.Again != want.first {
			t.Errorf("%s: %+v with %+v, want %v again after %v", repository, a, a.Failure, want.why, want.first)
			continue
		}
		before := s.count()
		s.clock.SetTime(s.clock.Now().Add(want.first - 1))
		s.Answer(ws("a", "w"), q)
		if s.count() != before {
			t.Errorf("%s was asked before its time", repository)
		}
		s.clock.SetTime(s.clock.Now().Add(1))
		if a := s.Answer(ws("a", "w"), q); a.Failure == nil {
			t.Errorf("%s: the failure is forgotten while it is asked again: a condition would flap", repository)
		}
		<-s.News()
		if a := s.Answer(ws("a", "w"), q); a.Again != want.second {
			t.Errorf("%s: again after %v, want %v", repository, a.Again, want.second)
		}
	}
}

func TestFactsSurviveAHubThatGoesDown(t *testing.T) {
	t.Parallel()
	var down bool
	var mu sync.Mutex
	s := begin(t, map[string]func(context.Context) (Facts, error){"o/m": func(context.Context) (Facts, error) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			return Facts{}, errors.New("down")
		}
		return Facts{Commit: commit}, nil
	}})
	s.ask(about("a", "o/m"))
	mu.Lock()
	down = true
	mu.Unlock()
	s.clock.SetTime(s.clock.Now().Add(2 * fresh))
	if a := s.ask(about("a", "o/m")); a.Facts == nil || a.Failure == nil {
		t.Errorf("%+v, want the facts that were known and why they could not be read again", a)
	}
}

// What blocks is one tenant's, and the order of events shows it: no clock is looked at.
func TestAHubThatHangsDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) (Facts, error) {
		<-ctx.Done()
		return Facts{}, ctx.Err()
	}
	answers := map[string]func(context.Context) (Facts, error){}
	for i := range 100 {
		answers[fmt.Sprintf("o/hangs-%d", i)] = hang
	}
	s := begin(t, answers)
	for i := range 100 {
		s.Answer(ws("greedy", fmt.Sprint(i)), about("greedy", fmt.Sprintf("o/hangs-%d", i)))
	}
	for range each {
		<-s.begun // as many as it may have hang by now
	}
	for i := range 20 {
		name := ws(fmt.Sprintf("modest-%d", i), "w")
		s.Answer(name, about(name.Namespace, "o/m"))
		if got := <-s.News(); got != name {
			t.Fatalf("news for %v, want them for %v", got, name)
		}
	}
	if got, want := s.count(), each+20; got != want {
		t.Errorf("%d readings were begun, want %d: one namespace has more hands than it may", got, want)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	for i := range remembered + 10 {
		s.ask(about("a", fmt.Sprintf("o/m-%d", i)))
	}
	if len(s.known) > remembered {
		t.Errorf("%d answers are remembered, want at most %d", len(s.known), remembered)
	}
	// The newest are there, the oldest are asked again.
	before := s.count()
	s.Answer(ws("a", "w"), about("a", fmt.Sprintf("o/m-%d", remembered)))
	s.ask(about("a", "o/m-0"))
	if s.count() != before+1 {
		t.Errorf("%d readings more, want one", s.count()-before)
	}
}

func TestAQueueThatIsFullOfWhatIsReadTakesNoMore(t *testing.T) {
	t.Parallel()
	r := New(Options{Clock: testclock.NewFakePassiveClock(time.Unix(0, 0))}) // nobody reads
	for i := range remembered {
		r.Answer(ws("a", "w"), about("a", fmt.Sprint(i)))
	}
	if a := r.Answer(ws("b", "w"), about("b", "o/m")); a.Again != soon || len(r.known) != remembered {
		t.Errorf("%+v with %d questions, want to be told to come again", a, len(r.known))
	}
}

func TestAReadingHasAnEnd(t *testing.T) {
	t.Parallel()
	r := New(Options{Clock: testclock.NewFakePassiveClock(time.Unix(0, 0)), Patience: time.Millisecond, Reader: &desk{
		begun: make(chan Question, 1), answers: map[string]func(context.Context) (Facts, error){"o/m": func(ctx context.Context) (Facts, error) {
			<-ctx.Done()
			return Facts{}, ctx.Err()
		}},
	}})
	if _, err := r.read(t.Context(), about("a", "o/m")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the patience", err)
	}
}
