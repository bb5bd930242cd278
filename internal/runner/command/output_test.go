package command_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"kaito.sh/kaito/internal/adapter/adaptertest"
	"kaito.sh/kaito/internal/runner/command"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

// tuneFile is an example's contract with another output.
func tuneFile(t *testing.T, out contract.TuneOutput) string {
	t.Helper()
	data, err := os.ReadFile(examples + "/tune/volumes.json")
	if err != nil {
		t.Fatal(err)
	}
	said, err := contract.ParseTune(data)
	if err != nil {
		t.Fatal(err)
	}
	said.Output = out
	if data, err = json.Marshal(said); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "tune.json")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// results are what train and prepare leave.
func results(t *testing.T) (dir, summary string) {
	t.Helper()
	dir = t.TempDir()
	adaptertest.Write(t, filepath.Join(dir, "adapter"), adaptertest.Config(4), adaptertest.Tensors(2, 16, 4))
	summary = filepath.Join(dir, "summary.json")
	for name, text := range map[string]string{filepath.Join(dir, "training.json"): `{"steps": 3, "lastLoss": 0.5}`, summary: `{"rows": 100}`} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, summary
}

func message(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}

func TestOutputCommandsBringAnAdapterToItsPlace(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	for name, out := range map[string]contract.TuneOutput{
		"an image": {Image: strings.TrimPrefix(server.URL, "http://") + "/team/harbour:1"},
		"a volume": {Volume: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, folder, end := tuneFile(t, out), t.TempDir(), filepath.Join(t.TempDir(), "end.json")
			code, _, errs := execute(t, "push-check", "--config", config, "--output", folder, "--checkpoints", t.TempDir(), "--termination-log", end)
			var got contract.Result
			if message(t, end, &got); code != 0 || got.Reason != contract.Done || got.RunID == "" {
				t.Fatalf("push-check: %d %+v\n%s", code, got, errs)
			}
			dir, summary := results(t)
			code, _, errs = execute(t, "publish", "--config", config, "--output", folder, "--results", dir, "--summary", summary,
				"--listen", "127.0.0.1:0", "--termination-log", end)
			message(t, end, &got)
			if code != 0 || got.Published == nil || got.Published.Image != out.Image || (got.Published.Digest == "") != out.Volume {
				t.Fatalf("publish: %d %+v\n%s", code, got, errs)
			}
			if got.Training.Steps != 3 || got.Dataset.Rows != 100 || got.Seconds <= 0 {
				t.Errorf("publish: %+v", got)
			}
		})
	}
}

func TestOutputCommandsLeaveWordOfWhyTheyFailed(t *testing.T) {
	t.Parallel()
	nobody := contract.TuneOutput{Image: "127.0.0.1:1/team/harbour:1", SecretName: "push"}
	dir, summary := results(t)
	for name, tc := range map[string]struct {
		args   []string
		out    contract.TuneOutput
		code   int
		reason ending.Reason
	}{
		"push-check without its Secret": {[]string{"push-check", "--secret", "/nowhere/config.json"}, nobody, 2, ending.PushSecretUnusable},
		"push-check without a registry": {[]string{"push-check", "--checkpoints", "/nowhere"}, contract.TuneOutput{Image: nobody.Image}, 1, ending.PushUnreachable},
		"publish without its Secret": {
			[]string{"publish", "--secret", "/nowhere/config.json", "--listen", "127.0.0.1:0", "--results", dir, "--summary", summary},
			nobody, 2, ending.PushSecretUnusable,
		},
		"publish without results": {[]string{"publish", "--listen", "127.0.0.1:0", "--results", "/nowhere"}, nobody, 1, ending.Internal},
		// It must never end with the code that ends a run.
		"checkpoint without a folder": {[]string{"checkpoint", "--checkpoints", "/nowhere"}, nobody, 1, ending.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := filepath.Join(t.TempDir(), "end.json")
			code, _, errs := execute(t, append(tc.args, "--config", tuneFile(t, tc.out), "--termination-log", end)...)
			var got ending.Ending
			message(t, end, &got)
			if code != tc.code || got.Reason != tc.reason {
				t.Errorf("code %d, %+v\n%s", code, got, errs)
			}
		})
	}
	for _, name := range []string{"push-check", "publish", "checkpoint"} {
		want := 2
		if name == "checkpoint" {
			want = 1
		}
		if code, _, errs := execute(t, name, "--config", "/nowhere/tune.json", "--termination-log", ""); code != want || !strings.Contains(errs, "ConfigInvalid") {
			t.Errorf("%s without a contract: %d %s", name, code, errs)
		}
		if code, out, _ := execute(t, name, "--help"); code != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("%s --help: %d %s", name, code, out)
		}
	}
}

// Told to stop, a container must not end with the code that ends the run for good.
func TestOutputCommandsStop(t *testing.T) {
	t.Parallel()
	slow := httptest.NewServer(nil)
	slow.Close() // its port is nobody's
	for name, tc := range map[string]struct {
		args []string
		code int
	}{
		"checkpoint with nothing to push": {[]string{"checkpoint", "--progress", "http://127.0.0.1:1/progress", "--checkpoints", t.TempDir()}, 0},
		// The folder for checkpoints makes it patient with a registry that is away.
		"push-check that waits for a registry": {[]string{"push-check", "--checkpoints", t.TempDir()}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := tuneFile(t, contract.TuneOutput{Image: strings.TrimPrefix(slow.URL, "http://") + "/team/harbour:1"})
			signals := make(chan os.Signal, 1)
			signals <- syscall.SIGTERM
			var errs bytes.Buffer
			code := command.Execute(t.Context(), command.World{
				Stdout: io.Discard, Stderr: &errs, Executable: os.Args[0],
				Signals: func() (<-chan os.Signal, <-chan os.Signal) { return signals, nil },
				Now:     time.Now, Started: time.Now(), Cgroup: fstest.MapFS{}, Version: "v1", Long: "kaito-runner v1",
			}, append(tc.args, "--config", config, "--termination-log", ""))
			if code != tc.code {
				t.Errorf("code %d\n%s", code, errs.String())
			}
		})
	}
}
