package command_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"kaito.sh/kaito/internal/runner/command"
	"kaito.sh/kaito/internal/runner/ending"
)

const examples = "../../../runtimes/schema/examples"

// execute runs one command line in a world without signals.
func execute(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = command.Execute(t.Context(), command.World{
		Stdout: &stdout, Stderr: &stderr, Executable: os.Args[0],
		Signals: func() (<-chan os.Signal, <-chan os.Signal) { return nil, nil },
		Now:     time.Now, Started: time.Now(), Cgroup: fstest.MapFS{},
		Version: "v1", Long: "kaito-runner v1",
	}, args)
	return code, stdout.String(), stderr.String()
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	if code, out, _ := execute(t, "version"); code != 0 || out != "kaito-runner v1\n" {
		t.Errorf("version: %d %q", code, out)
	}
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"check", "--help"}, {"prepare", "--help"}, {"install", "--help"}, {"version", "--help"}} {
		if code, out, _ := execute(t, args...); code != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("%v: %d %q", args, code, out)
		}
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	code, out, errs := execute(t, "install", folder)
	if want := "installed " + filepath.Join(folder, "kaito-runner") + "\n"; code != 0 || out != want {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, _, errs := execute(t, "install", folder+"/nowhere"); code != 2 || !strings.Contains(errs, "kaito-runner: install") {
		t.Errorf("into a missing folder: %d %q", code, errs)
	}
}

func TestCommandLineThatIsNotUnderstoodNamesItsHelp(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`unknown command "instal" for "kaito-runner"`:     {"instal"},
		"; see: kaito-runner --help\n":                    {"instal"},
		"unknown flag: --no; see: kaito-runner serve --h": {"serve", "--no"},
		"0; see: kaito-runner install --help\n":           {"install"},
	} {
		if code, _, errs := execute(t, args...); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %q lacks %q", args, code, errs, want)
		}
	}
}

func TestServeLeavesWordOfWhyItDidNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for name, tc := range map[string]struct {
		config string
		listen string
		reason ending.Reason
		says   string
	}{
		"a missing contract": {"/nowhere/runner.json", "127.0.0.1:0", ending.ConfigInvalid, "/nowhere/runner.json"},
		"a wrong contract":   {"wrong", "127.0.0.1:0", ending.ConfigInvalid, `unknown field "engine.flags"`},
		"a taken port":       {examples + "/minimal.json", taken.Addr().String(), ending.PortTaken, "address already in use"},
		"missing weights":    {examples + "/llamacpp.json", "127.0.0.1:0", ending.WeightsMissing, "/weights/model/SmolLM2-135M-Instruct.Q4_1.gguf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if tc.config == "wrong" {
				tc.config = folder + "/runner.json"
				if err := os.WriteFile(tc.config, []byte(`{"engine":{"flags":1}}`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			log := folder + "/termination-log"
			code, _, errs := execute(t, "serve", "--config", tc.config, "--listen", tc.listen, "--termination-log", log)
			data, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			var got ending.Ending
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			if code != ending.CodeConfig || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) || got.Phase != "checking" {
				t.Errorf("code %d, %+v", code, got)
			}
			if !strings.Contains(errs, `"reason":"`+string(tc.reason)+`"`) {
				t.Errorf("log: %s", errs)
			}
		})
	}
}
