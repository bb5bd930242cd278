package resolver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/gguf/gguftest"
	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/resolver"
)

func chat() hubtest.Repository {
	return hubtest.Repository{Large: map[string]string{"tiny.gguf": string(gguftest.Servable().Bytes())}}
}

func TestAHubIsReadAsItIs(t *testing.T) {
	t.Parallel()
	gated, pickled := chat(), hubtest.Repository{Files: map[string]string{"config.json": "{}"}, Large: map[string]string{"pytorch_model.bin": "a pickle"}}
	gated.Gated = true
	h := hubtest.Start(t, map[string]hubtest.Repository{
		"o/chat": chat(), "o/gated": gated, "o/pickled": pickled, "o/empty": {Files: map[string]string{"README.md": "nothing"}},
	})
	for name, want := range map[string]resolver.Why{
		"o/gated": resolver.Hidden, "o/none": resolver.Hidden, "o/pickled": resolver.Pickles, "o/empty": resolver.Unusable,
	} {
		_, err := resolver.Hub{Endpoints: []string{h.URL}}.Read(t.Context(), resolver.Question{Repository: name, Revision: "main"})
		var f *resolver.Failure
		if !errors.As(err, &f) || f.Why != want || f.Message == "" {
			t.Errorf("%s: got %v, want a failure of kind %d", name, err, want)
		}
	}
	facts, err := resolver.Hub{Endpoints: []string{h.URL}}.Read(t.Context(), resolver.Question{Repository: "o/chat", Revision: "main"})
	if err != nil || facts.Commit != hubtest.Commit || facts.Model.Layers != 2 {
		t.Errorf("got %+v, %v", facts, err)
	}
	var f *resolver.Failure
	if _, err := (resolver.Hub{Endpoints: []string{h.URL}}).Read(t.Context(), resolver.Question{Repository: "o/chat", Revision: "v9"}); !errors.As(err, &f) || f.Why != resolver.NotFound {
		t.Errorf("a revision that is not there: %v", err)
	}
}

func TestAMirrorAnswersForAHubThatDoesNot(t *testing.T) {
	t.Parallel()
	down := hubtest.Start(t, nil)
	mirror := hubtest.Start(t, map[string]hubtest.Repository{"o/chat": chat()})
	down.Fail("revision", hubtest.Fault{Status: 502})
	facts, err := resolver.Hub{Endpoints: []string{down.URL, mirror.URL}}.Read(t.Context(), resolver.Question{Repository: "o/chat", Revision: "main"})
	if err != nil || facts.Commit != hubtest.Commit {
		t.Errorf("got %+v, %v", facts, err)
	}
	if len(down.Asked()) != 1 {
		t.Errorf("the hub itself was asked %d times, want once and first", len(down.Asked()))
	}
}

func TestAHubThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, map[string]hubtest.Repository{"o/chat": chat()})
	h.Fail("revision", hubtest.Fault{Hang: true})
	r := resolver.New(resolver.Options{Reader: resolver.Hub{Endpoints: []string{h.URL}}, Clock: clock.RealClock{}, Patience: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Start(ctx) }()
	q, w := resolver.Question{Namespace: "a", Repository: "o/chat", Revision: "main"}, types.NamespacedName{Namespace: "a", Name: "w"}
	r.Answer(w, q)
	<-r.News()
	if a := r.Answer(w, q); a.Failure == nil || a.Failure.Why != resolver.Unreachable || a.Again <= 0 {
		t.Errorf("got %+v, want a hub that does not answer, and when to ask again", a)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
