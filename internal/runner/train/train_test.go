package train_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/progress"
	"kaito.sh/kaito/internal/runner/train"
)

// A trainer of the test's own: a shell script that says what kaito_tuner.train says.
const (
	begins   = `echo '{"event":"loading"}'; echo '{"event":"remedy","message":"Use method qlora"}'; echo '{"event":"training","step":0,"totalSteps":2}';`
	steps    = `echo '{"event":"progress","step":1,"totalSteps":2,"loss":3.5,"learningRate":0.1,"tokensPerSecond":30,"remainingSeconds":5}';`
	saves    = `echo '{"event":"checkpoint","step":1}';`
	finishes = `: >$OUT/adapter_config.json; : >$OUT/adapter_model.safetensors; echo '{"event":"result","reason":"Done","training":{"steps":2,"lastLoss":1.5}}';`
)

// buffer is a writer that two goroutines may use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// stage is one training of a test.
type stage struct {
	train.Options
	signals chan os.Signal
	out     *buffer
}

func newStage(t *testing.T, script string) *stage {
	t.Helper()
	dir := t.TempDir()
	need := filepath.Join(dir, "rows.jsonl")
	if err := os.WriteFile(need, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &stage{signals: make(chan os.Signal, 1), out: &buffer{}}
	s.Options = train.Options{
		Tune:    contract.Tune{RunID: "run", Threads: 2},
		Command: []string{"/bin/sh", "-c", script}, Needs: []string{need}, Adapter: dir,
		Board: progress.NewBoard("run", contract.TuneLoading), Stdout: s.out, Stderr: s.out,
		Environ: []string{"PATH=/usr/bin:/bin", "OUT=" + dir, "OMP_NUM_THREADS=64"}, Signals: s.signals,
		StopPatience: 30 * time.Second, MemoryKills: func() int { return 0 },
		Log: slog.New(slog.DiscardHandler),
	}
	return s
}

func TestATrainingThatEndsWellTellsItsSummary(t *testing.T) {
	t.Parallel()
	s := newStage(t, begins+`echo a library speaks; `+steps+saves+finishes+` test "$OMP_NUM_THREADS" = 2`)
	got, err := train.Run(t.Context(), s.Options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contract.Training{Steps: 2, LastLoss: 1.5}, got); diff != "" {
		t.Errorf("training (-want +got):\n%s", diff)
	}
	want := contract.Progress{
		RunID: "run", Phase: contract.TuneTraining, Step: 1, TotalSteps: 2, Loss: 3.5, TokensPerSecond: 30, RemainingSeconds: 5,
		Checkpoint: 1, Losses: []contract.Point{{Step: 1, Loss: 3.5}},
	}
	if diff := cmp.Diff(want, s.Board.Now()); diff != "" {
		t.Errorf("board (-want +got):\n%s", diff)
	}
	if s.out.String() != "a library speaks\n" {
		t.Errorf("passed on: %q", s.out)
	}
}

func TestHowATrainingFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script string
		kills  bool
		want   ending.Ending
	}{
		"a setting that a library refuses": {
			begins + `echo '{"event":"result","reason":"ConfigInvalid","message":"LoraConfig.r is refused"}'; exit 2`, false,
			ending.Ending{Reason: ending.ConfigInvalid, Message: "LoraConfig.r is refused", ExitCode: 2, Phase: contract.TuneTraining},
		},
		"killed for memory while it trains": {
			begins + `kill -9 $$`, true,
			ending.Ending{Reason: ending.OutOfMemory, Message: "Training used up the container's memory. Use method qlora", ExitCode: 2, Phase: contract.TuneTraining},
		},
		"killed for memory before it knows what would fit": {
			`kill -9 $$`, true,
			ending.Ending{
				Reason:   ending.OutOfMemory,
				Message:  "Training used up the container's memory. Choose an instance type with more memory, or a smaller model",
				ExitCode: 2, Phase: contract.TuneLoading,
			},
		},
		"killed by somebody": {
			begins + steps + saves + `kill -9 $$`, false,
			ending.Ending{
				Reason: ending.EngineExited, Message: "The trainer ended by signal 9 (killed); training goes on from the checkpoint of step 1",
				ExitCode: -1, Signal: 9, Phase: contract.TuneTraining,
			},
		},
		"crashed before a checkpoint": {
			begins + `kill -11 $$`, false,
			ending.Ending{
				Reason:   ending.EngineExited,
				Message:  "The trainer ended by signal 11 (segmentation fault); training begins again: there was no checkpoint yet",
				ExitCode: -1, Signal: 11, Phase: contract.TuneTraining,
			},
		},
		"gone without a word": {
			begins + `echo Traceback >&2; exit 1`, false,
			ending.Ending{
				Reason: ending.TrainingFailed, Message: "The trainer ended with exit code 1 and did not say why", ExitCode: 2,
				Phase: contract.TuneTraining, Lines: []string{"Traceback"},
			},
		},
		"the disk is full": {
			begins + `echo '{"event":"result","reason":"DiskFull","message":"full"}'; exit 2`, false,
			ending.Ending{Reason: ending.DiskFull, Message: "full", ExitCode: 2, Phase: contract.TuneTraining},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, tc.script)
			asked := 0
			s.MemoryKills = func() int {
				asked++
				if tc.kills && asked > 1 {
					return 1
				}
				return 0
			}
			_, err := train.Run(t.Context(), s.Options)
			if diff := cmp.Diff(&tc.want, ending.From(err, "")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAdapterThatIsMissingIsNoSuccess(t *testing.T) {
	t.Parallel()
	s := newStage(t, begins+`echo '{"event":"result","reason":"Done","training":{"steps":2}}'`)
	_, err := train.Run(t.Context(), s.Options)
	if end := ending.From(err, ""); end.Reason != ending.Internal || !strings.Contains(end.Message, "adapter_model.safetensors") {
		t.Errorf("%+v", end)
	}
}

func TestWhatIsMissingIsToldBeforeTheTrainerStarts(t *testing.T) {
	t.Parallel()
	s := newStage(t, "exit 1")
	s.Needs = []string{"/nowhere/config.json"}
	_, err := train.Run(t.Context(), s.Options)
	if end := ending.From(err, ""); end.Reason != ending.WeightsMissing || end.Code() != 2 || !strings.Contains(end.Message, "/nowhere/config.json") {
		t.Errorf("%+v", end)
	}
	s = newStage(t, "")
	s.Command = []string{"/nowhere/python3"}
	_, err = train.Run(t.Context(), s.Options)
	if end := ending.From(err, ""); end.Reason != ending.EngineNotStarted || end.Code() != 2 {
		t.Errorf("%+v", end)
	}
}

func TestAStopIsPassedOnAndWaitedFor(t *testing.T) {
	t.Parallel()
	const waits = `echo ready; while :; do sleep 0.02; done`
	for name, tc := range map[string]struct {
		script   string
		patience time.Duration
		says     string
	}{
		"a trainer that saves": {
			begins + `trap 'echo "{\"event\":\"checkpoint\",\"step\":7}"; echo "{\"event\":\"result\",\"reason\":\"Stopped\",\"message\":\"after step 7\"}"; exit 1' TERM; ` + waits,
			time.Minute, "after step 7",
		},
		"a trainer that was not there yet": {`echo ready; exec sleep 60`, time.Minute, "begins again"},
		"a trainer that does not listen":   {begins + saves + `trap '' TERM; ` + waits, 50 * time.Millisecond, "goes on from the checkpoint of step 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, tc.script)
			s.StopPatience = tc.patience
			ended := make(chan *ending.Ending, 1)
			go func() {
				_, err := train.Run(t.Context(), s.Options)
				ended <- ending.From(err, "")
			}()
			eventually(t, func() bool { return strings.Contains(s.out.String(), "ready") })
			s.signals <- syscall.SIGTERM
			end := <-ended
			if end.Reason != ending.Stopped || end.Code() != 1 || end.Phase != contract.TuneStopping || !strings.Contains(end.Message, tc.says) {
				t.Errorf("%+v", end)
			}
		})
	}
}

func TestALongCurveKeepsItsShapeIn64Points(t *testing.T) {
	t.Parallel()
	var script strings.Builder
	script.WriteString(`echo '{"event":"resumed","step":2,"losses":[{"step":1,"loss":9},{"step":2,"loss":7}]}';`)
	for i := 3; i <= 128; i++ {
		fmt.Fprintf(&script, `echo '{"event":"progress","step":%d,"totalSteps":128,"loss":2}';`, i)
	}
	s := newStage(t, script.String()+finishes)
	if _, err := train.Run(t.Context(), s.Options); err != nil {
		t.Fatal(err)
	}
	got := s.Board.Now()
	if len(got.Losses) != 64 || got.Losses[0] != (contract.Point{Step: 2, Loss: 8}) || got.Losses[63] != (contract.Point{Step: 128, Loss: 2}) {
		t.Errorf("%d points, from %v to %v", len(got.Losses), got.Losses[0], got.Losses[len(got.Losses)-1])
	}
	if got.ResumedFrom != 2 {
		t.Errorf("resumed from %d", got.ResumedFrom)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("did not happen within 10 s")
}
