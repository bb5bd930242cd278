package serve_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/serve"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// Each row is a request that cannot be answered, and the whole answer as a golden.
// The rows are those of the issue that asked for them; what is wrong with a
// Workspace itself is told by the controller, which has such a test too.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const bodies = 1 << 10
	bounded := start(t, func(o *serve.Options) { o.Contract.Limits.MaxBodyBytes = bodies })
	// The clock of this one is so late that a body has no more than a moment.
	hurried := start(t, func(o *serve.Options) {
		o.Now = func() time.Time { return time.Now().Add(200*time.Millisecond - intake.Patience) }
	})
	bounded.ready()
	hurried.ready()
	for name, tc := range map[string]struct {
		at   *run
		path string
		kind string
		body io.Reader
	}{
		"chat-malformed":            {bounded, "/chat", "application/json", strings.NewReader(`{"prompt": "What`)},
		"chat-without-prompt":       {bounded, "/chat", "application/json", strings.NewReader(`{"generate_kwargs": {}}`)},
		"chat-prompt-is-no-text":    {bounded, "/chat", "application/json", strings.NewReader(`{"prompt": 1}`)},
		"chat-oversized":            {bounded, "/chat", "application/json", strings.NewReader(`{"prompt": "` + strings.Repeat("a", bodies) + `"}`)},
		"chat-oversized-unsaid":     {bounded, "/chat", "application/json", io.MultiReader(strings.NewReader(`{"prompt": "` + strings.Repeat("a", bodies) + `"}`))},
		"chat-slow":                 {hurried, "/chat", "application/json", stalls(t, `{"prompt": "Wh`)},
		"chat-no-json":              {bounded, "/chat", "text/plain", strings.NewReader("What is the capital of France?")},
		"openai-malformed":          {bounded, "/v1/chat/completions", "application/json", strings.NewReader(`{"messages": [}`)},
		"openai-oversized":          {bounded, "/v1/chat/completions", "application/json", strings.NewReader(`{"messages": "` + strings.Repeat("a", bodies) + `"}`)},
		"openai-slow":               {hurried, "/v1/chat/completions", "application/json", stalls(t, `{"messages": [`)},
		"openai-unknown-model":      {bounded, "/v1/chat/completions", "application/json", strings.NewReader(`{"model": "tinny", "messages": []}`)},
		"openai-model-is-no-text":   {bounded, "/v1/chat/completions", "application/json", strings.NewReader(`{"model": 1, "messages": []}`)},
		"completions-unknown-model": {bounded, "/v1/completions", "application/json", strings.NewReader(`{"model": "gpt-4", "prompt": "a"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := received(http.Post(tc.at.url+tc.path, tc.kind, tc.body))
			if a.err != nil {
				t.Fatal(a.err)
			}
			got := fmt.Sprintf("HTTP %d\nContent-Type: %s\n\n%s\n", a.code, a.header.Get("Content-Type"), a.body)
			file := filepath.Join("testdata", "bad-input", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; write it with -update", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the answer differs from %s; rewrite it with -update (-want +got):\n%s", file, diff)
			}
		})
	}
}

// stalls is a body that begins and does not go on before the test ends.
func stalls(t *testing.T, begin string) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	return io.MultiReader(strings.NewReader(begin), r)
}
