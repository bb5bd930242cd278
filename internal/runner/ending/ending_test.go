package ending_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/ending"
)

func TestMessageFitsAndKeepsTheNewestLines(t *testing.T) {
	t.Parallel()
	many := make([]string, 0, 41)
	for range 40 {
		many = append(many, strings.Repeat("é\"", 200))
	}
	for name, tc := range map[string]struct {
		ending ending.Ending
		last   string
	}{
		"many long lines":  {ending.Ending{Reason: ending.EngineExited, Message: "m", Lines: append(many, "the newest")}, "the newest"},
		"one huge message": {ending.Ending{Reason: ending.ConfigInvalid, Message: strings.Repeat("\x00", 9000)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			if err := tc.ending.Write(path); err != nil {
				t.Fatal(err)
			}
			out, err := os.ReadFile(path)
			if err != nil || len(out) > 2048 {
				t.Fatalf("%d bytes, %v", len(out), err)
			}
			var got ending.Ending
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if got.Reason != tc.ending.Reason || got.Message == "" {
				t.Errorf("got %+v", got)
			}
			if tc.last != "" && (len(got.Lines) < 2 || got.Lines[len(got.Lines)-1] != tc.last) {
				t.Errorf("lines %q", got.Lines)
			}
		})
	}
}

func TestMessageHasTheKeysThatTheOperatorReads(t *testing.T) {
	t.Parallel()
	e := ending.Ending{Reason: ending.EngineExited, Message: "engine ended", ExitCode: -1, Signal: 9, Phase: "loading", Lines: []string{"a"}}
	want := `{"reason":"EngineExited","message":"engine ended","exitCode":-1,"signal":9,"phase":"loading","lines":["a"]}`
	if diff := cmp.Diff(want, string(e.JSON())); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestExitCodeIsNeverZero(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ending ending.Ending
		want   int
	}{
		"the engine's own":               {ending.Ending{ExitCode: 7}, 7},
		"a signal as shells say it":      {ending.Ending{ExitCode: -1, Signal: 9}, 137},
		"an engine that just went (0)":   {ending.Ending{ExitCode: 0}, 1},
		"a contract that cannot be read": {ending.Ending{ExitCode: ending.CodeConfig}, 2},
	} {
		if got := tc.ending.Code(); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestMemoryKills(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fs   fstest.MapFS
		want int
	}{
		"cgroup v2":      {fstest.MapFS{"memory.events": {Data: []byte("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")}}, 2},
		"cgroup v1":      {fstest.MapFS{"memory/memory.oom_control": {Data: []byte("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")}}, 1},
		"nothing to see": {fstest.MapFS{}, 0},
		"an old kernel":  {fstest.MapFS{"memory/memory.oom_control": {Data: []byte("oom_kill_disable 0\n")}}, 0},
	} {
		if got := ending.MemoryKills(tc.fs); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
