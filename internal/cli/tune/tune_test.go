package tune

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// workspace is the input of a case in testdata.
func workspace(t *testing.T, name string) *v1beta1.Workspace {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name, "input.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var ws v1beta1.Workspace
	if err := yaml.UnmarshalStrict(raw, &ws); err != nil {
		t.Fatal(err)
	}
	return &ws
}

func golden(t *testing.T, name, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", name, file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; rewrite it with -update (-want +got):\n%s", path, diff)
	}
}

func TestWhatIsSeen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"new", "checking", "training", "failed", "serving"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws := workspace(t, name)
			golden(t, name, "view.txt", strings.Join(frame(ws, 80), "\n")+"\n")

			var out strings.Builder
			l := &lines{sh: shell.Shell{Out: &out}}
			l.show(ws)
			l.show(ws)
			if outcomeOf(ws).done {
				l.end(ws)
			}
			golden(t, name, "plain.txt", out.String())

			var with settings
			if name == "serving" {
				with = settings{"TrainingArguments": {"num_train_epochs": 1, "learning_rate": 2e-4, "seed": nil}, "LoraConfig": {"r": 16, "note": "<script>"}}
			}
			page, err := render(pageOf(ws, with, time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, "report.html", string(page))
		})
	}
}

func TestAReportGivesNothingAway(t *testing.T) {
	t.Parallel()
	page, err := render(pageOf(workspace(t, "new"), settings{"A": {"b": "<script>alert(1)</script>"}}, time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"secret", "<script", "http-equiv", "src=", "href="} {
		if strings.Contains(string(page), never) {
			t.Errorf("the report holds %q", never)
		}
	}
}

func TestNoLineOfTheViewIsWiderThanTheTerminal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"new", "checking", "training", "failed", "serving"} {
		for width := 1; width < 130; width++ {
			for _, l := range frame(workspace(t, name), width) {
				if n := utf8.RuneCountInString(l); n > width {
					t.Fatalf("%s: %d characters at width %d: %q", name, n, width, l)
				}
			}
		}
	}
}

func TestTheOutcome(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		from   string
		change func(ws *v1beta1.Workspace)
		done   bool
		err    string
	}{
		"a new Workspace is on its way":   {from: "new"},
		"a check is on its way":           {from: "checking"},
		"a training is on its way":        {from: "training"},
		"a served adapter is done":        {from: "serving", done: true},
		"a failed run says its condition": {from: "failed", done: true, err: `Workspace "tuned": JobStarted is False: TrainingFailed: The training needs more than 3Gi`},
		"a Workspace that is deleted ends": {from: "training", done: true, err: "is being deleted", change: func(ws *v1beta1.Workspace) {
			ws.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}},
		"an edit that nobody has looked at is on its way": {from: "failed", change: func(ws *v1beta1.Workspace) { ws.Generation++ }},
		"an older adapter that serves is not the new run": {from: "serving", change: func(ws *v1beta1.Workspace) { ws.Status.Tuning.RunID = "ffffffffffff" }},
		"a new run that failed beside an older adapter is told": {from: "serving", done: true, err: "JobStarted is False: TrainingFailed: The disk is full", change: func(ws *v1beta1.Workspace) {
			ws.Status.Tuning.RunID, ws.Status.Tuning.Phase = "ffffffffffff", v1beta1.TuningFailed
			failed := v1beta1.JobFailed(v1beta1.ReasonTrainingFailed, "The disk is full")
			failed.ObservedGeneration = ws.Generation
			meta.SetStatusCondition(&ws.Status.Conditions, failed)
		}},
		"bad data needs an edit": {from: "checking", done: true, err: `Accepted is False: DataInvalid: File "a.parquet", row 4711: no answer`, change: func(ws *v1beta1.Workspace) {
			ws.Status.Conditions[0].Status, ws.Status.Conditions[0].Reason = metav1.ConditionFalse, v1beta1.ReasonDataInvalid
			ws.Status.Conditions[0].Message = `File "a.parquet", row 4711: no answer`
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws := workspace(t, tc.from)
			if tc.change != nil {
				tc.change(ws)
			}
			o := outcomeOf(ws)
			if o.done != tc.done {
				t.Errorf("done is %v, want %v: %v", o.done, tc.done, o.err)
			}
			switch {
			case (o.err == nil) != (tc.err == ""):
				t.Errorf("error is %v, want %q", o.err, tc.err)
			case o.err != nil && !strings.Contains(o.err.Error(), tc.err):
				t.Errorf("error is %v, want %q", o.err, tc.err)
			}
		})
	}
}

// reading is one answer of the cluster.
type reading struct {
	ws  *v1beta1.Workspace
	err error
}

func TestWatching(t *testing.T) {
	t.Parallel()
	away := &cluster.UnreachableError{Host: "https://h", Err: errors.New("connection refused")}
	gone := &cluster.MissingError{Name: "tuned", Namespace: "team"}
	for name, tc := range map[string]struct {
		readings func(t *testing.T) []reading
		want     []string
		err      string
	}{
		"to the end, each change once": {
			readings: func(t *testing.T) []reading {
				t.Helper()
				return []reading{{ws: workspace(t, "checking")}, {ws: workspace(t, "training")}, {ws: workspace(t, "training")}, {ws: workspace(t, "serving")}}
			},
			want: []string{"The data set is being checked", "Training: step 29 of 50", "Done"},
		},
		"to a failure": {
			readings: func(t *testing.T) []reading {
				t.Helper()
				return []reading{{ws: workspace(t, "training")}, {ws: workspace(t, "failed")}}
			},
			want: []string{"Training: step 29", "TrainingFailed"}, err: "JobStarted is False",
		},
		"over a cluster that is away for a while": {
			readings: func(t *testing.T) []reading {
				t.Helper()
				return []reading{{ws: workspace(t, "training")}, {err: away}, {ws: workspace(t, "serving")}}
			},
			want: []string{"Training: step 29", "asked in vain, and again: ", "Done"},
		},
		"a cluster that is away from the first": {readings: func(*testing.T) []reading { return []reading{{err: away}} }, err: "connection refused"},
		"a Workspace that goes away": {
			readings: func(t *testing.T) []reading {
				t.Helper()
				return []reading{{ws: workspace(t, "training")}, {err: gone}}
			},
			want: []string{"Training: step 29"}, err: "there is no Workspace",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := tc.readings(t)
			var out strings.Builder
			sh := shell.Shell{Out: &out, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
			err := follow(t.Context(), sh, &lines{sh: sh}, func() (*v1beta1.Workspace, error) {
				next := left[0]
				left = left[1:]
				return next.ws, next.err
			})
			if (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error is %v, want %q", err, tc.err)
			}
			if len(left) > 0 {
				t.Errorf("%d readings are left", len(left))
			}
			said := out.String()
			for _, want := range tc.want {
				if strings.Count(said, want) != 1 {
					t.Errorf("%q is not said once in\n%s", want, out.String())
				}
			}
		})
	}
}

func TestATerminalIsDrawnInItsPlace(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &painted{sh: shell.Shell{Name: "kaito", Out: &out, Width: func() int { return 61 }}}
	p.show(workspace(t, "checking"))
	p.show(workspace(t, "checking"))
	first := strings.Count(out.String(), "\n")
	if strings.Contains(out.String(), "A\r") {
		t.Errorf("it goes up before anything is drawn, or draws the same again: %q", out.String())
	}
	p.show(workspace(t, "training"))
	if up := "\x1b[" + string(rune('0'+first)) + "A"; !strings.Contains(out.String(), up) {
		t.Errorf("it does not go up over the %d lines before: %q", first, out.String())
	}
	p.show(workspace(t, "serving"))
	p.end(workspace(t, "serving"))
	if !strings.HasSuffix(out.String(), "Ask it: kaito chat tuned -n team\nReport: kaito tune report tuned -n team\n") {
		t.Errorf("it ends with %q", out.String()[max(0, out.Len()-200):])
	}
}

// A curve may be as short, as flat or as wild as it likes.
func TestEveryCurveFitsItsField(t *testing.T) {
	t.Parallel()
	for name, curve := range map[string][]point{
		"none": nil, "one": {{1, 2}}, "flat": {{1, 2}, {2, 2}}, "one step": {{3, 1}, {3, 2}}, "backwards": {{5, 1}, {1, 9}},
		"wild": {{1, 1e9}, {2, -1e9}, {3, 1e-9}}, "long": {{0, 5}, {1e7, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for width := 0; width < 90; width += 3 {
				for height := 0; height < 14; height++ {
					for _, with := range []ink{braille(), stars()} {
						got := plot(curve, width, height, with)
						if len(got) > height {
							t.Fatalf("%d lines in a height of %d", len(got), height)
						}
						for _, l := range got {
							if utf8.RuneCountInString(l) > width {
								t.Fatalf("%q is wider than %d", l, width)
							}
						}
					}
				}
			}
			if c := chartOf(curve); (c == nil) != (len(curve) < 2) {
				t.Errorf("the chart of %d points is %v", len(curve), c)
			} else if c != nil && (strings.Contains(c.Line, "NaN") || len(c.Upwards) < 2) {
				t.Errorf("the chart is %+v", c)
			}
		})
	}
}
