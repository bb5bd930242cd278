package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/serve"
)

// until asks for health until its phase is the one.
func (r *run) until(phase string) map[string]any {
	r.t.Helper()
	for range 100000 {
		if code, body := r.health(); body["phase"] == phase {
			if code != http.StatusServiceUnavailable {
				r.t.Errorf("%d while %s", code, phase)
			}
			return body
		}
	}
	r.t.Fatalf("never %s", phase)
	return nil
}

func TestWeightsAreFetchedBeforeTheEngineLooksForThem(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "model.gguf")
	goOn, reported := make(chan struct{}), make(chan struct{})
	r := start(t, func(o *serve.Options) {
		o.Contract.Engine.Files = []string{file}
		o.Fetch = func(_ context.Context, report func(int64, int64)) error {
			report(3, 8)
			close(reported)
			<-goOn
			report(8, 8)
			return os.WriteFile(file, []byte("weights!"), 0o644)
		}
	})
	<-reported
	body := r.until("fetching")
	if body["bytesDone"] != 3.0 || body["bytesTotal"] != 8.0 || body["status"] != "loading" {
		t.Errorf("health while fetching: %v", body)
	}
	if got := r.post("/v1/chat/completions", stream); got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("a request while fetching: %d %s", got.code, got.body)
	}
	close(goOn)
	r.ready()
	_, body = r.health()
	if parts := body["startup"].(map[string]any); parts["fetching"] == nil || body["bytesDone"] != 8.0 {
		t.Errorf("health when ready: %v", body)
	}
	resp, err := http.Get(r.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page := read(t, resp.Body)
	for _, want := range []string{"kaito_weights_bytes 8\n", "kaito_weights_bytes_fetched 8\n", `kaito_startup_phase_seconds{phase="fetching"}`} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	r.signals <- syscall.SIGTERM
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

func TestStopWhileFetchingEndsInGoodOrder(t *testing.T) {
	t.Parallel()
	for name, obedient := range map[string]bool{"a fetch that listens": true, "a fetch that hangs on its disk": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hung := make(chan struct{})
			t.Cleanup(func() { close(hung) })
			r := start(t, func(o *serve.Options) {
				o.Fetch = func(ctx context.Context, _ func(int64, int64)) error {
					if obedient {
						<-ctx.Done()
						return ctx.Err()
					}
					<-hung
					return nil
				}
			})
			r.until("fetching")
			r.signals <- syscall.SIGHUP // no engine to pass it on to
			r.signals <- syscall.SIGTERM
			if err := r.wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if out := r.output.String(); out != "" {
				t.Errorf("an engine ran: %s", out)
			}
		})
	}
}

func TestFailedFetchSaysWhy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want ending.Ending
	}{
		"an end with a reason": {
			fmt.Errorf("fetch: %w", &ending.Ending{Reason: ending.DiskFull, Message: "too small", ExitCode: ending.CodeConfig}),
			ending.Ending{Reason: ending.DiskFull, Message: "too small", ExitCode: ending.CodeConfig, Phase: "fetching"},
		},
		"an error that nobody thought of": {
			errors.New("the moon fell"),
			ending.Ending{Reason: ending.Internal, Message: "the moon fell", ExitCode: ending.CodeFailed, Phase: "fetching"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(o *serve.Options) {
				o.Fetch = func(context.Context, func(int64, int64)) error { return tc.err }
			})
			var got *ending.Ending
			if err := r.wait(); !errors.As(err, &got) {
				t.Fatalf("ended with %v", err)
			}
			if got.Reason != tc.want.Reason || got.Message != tc.want.Message || got.ExitCode != tc.want.ExitCode || got.Phase != tc.want.Phase {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func read(t *testing.T, from io.Reader) string {
	t.Helper()
	out, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
