package hub_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
)

func TestWhatAnEngineLoadsArrivesWhole(t *testing.T) {
	t.Parallel()
	const shard = "model-00001-of-00002.safetensors"
	for name, faults := range map[string]map[string][]hubtest.Fault{
		"on a good day":                    {},
		"when lines are cut":               {shard: {{Cut: 1000}, {Cut: 70_000}, {Cut: 1}}, "tokenizer.json": {{Cut: 3}}},
		"when the hub is overloaded":       {shard: {{Status: 503}, {Status: 500}}, "tree": {{Status: 502}}, "config.json": {{Status: 500}}},
		"when ranges are not understood":   {shard: {{Cut: 1000}, {Whole: true}}},
		"when a line is silent":            {shard: {{Cut: 5000, Hang: true}}, "revision": {{Hang: true}}, "config.json": {{Hang: true}}},
		"when a signed address has passed": {shard: {{Status: 403}}},
		"when a byte was damaged once":     {shard: {{Flip: true}}, "config.json": {{Flip: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": tiny()})
			h.Page = 3
			for path, f := range faults {
				h.Fail(path, f...)
			}
			r := of(t, h)
			if strings.Contains(name, "silent") {
				r.stall = 3 * time.Second // a slow machine makes more attempts, not other results
			}
			if err := r.fetch(t.Context(), t); err != nil {
				t.Fatal(err)
			}
			same(t, wanted(), files(t, r.dir))
			if r.last[0] != r.last[1] || r.last[1] == 0 {
				t.Errorf("progress ended at %v", r.last)
			}
		})
	}
}

func TestSecondRunFindsWhatTheFirstBrought(t *testing.T) {
	t.Parallel()
	shard := "model-00001-of-00002.safetensors"
	begun := tiny().Large[shard][:100_000]
	for name, tc := range map[string]struct {
		between func(t *testing.T, dir string)
		first   []hubtest.Fault
		// again are the requests for content that the second run may make, path and range.
		again []string
	}{
		"nothing was touched": {between: func(*testing.T, string) {}},
		"a file was touched but is right": {
			between: func(t *testing.T, dir string) { touch(t, filepath.Join(dir, shard)) },
		},
		"the record was lost": {
			between: func(t *testing.T, dir string) { remove(t, filepath.Join(dir, ".kaito")) },
		},
		"a file was damaged": {
			between: func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, shard), strings.Repeat("x", len(tiny().Large[shard])))
			},
			again: []string{shard + " "},
		},
		"a file was cut off": {
			between: func(t *testing.T, dir string) { write(t, filepath.Join(dir, shard), "first") },
			again:   []string{shard + " "},
		},
		"the first run was ended in the middle": {
			between: func(*testing.T, string) {},
			first:   slices.Repeat([]hubtest.Fault{{Cut: int64(len(begun))}}, 1),
			again:   []string{fmt.Sprintf("%s bytes=%d-", shard, len(begun))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": tiny()})
			r := of(t, h)
			ctx, cancel := context.WithCancel(t.Context())
			if tc.first != nil {
				h.Fail(shard, append(tc.first, hubtest.Fault{Hang: true})...)
			}
			ended := make(chan error, 1)
			go func() { ended <- r.fetch(ctx, t) }()
			if tc.first != nil {
				awaitHang(t, h, shard)
				cancel()
			}
			if err := <-ended; (err != nil) != (tc.first != nil) {
				t.Fatal(err)
			}
			cancel()
			tc.between(t, r.dir)
			before := len(h.Asked())
			if err := r.fetch(t.Context(), t); err != nil {
				t.Fatal(err)
			}
			same(t, wanted(), files(t, r.dir))
			var again []string
			for _, a := range h.Asked()[before:] {
				if a.Store && filepath.Base(a.Path) == shard {
					again = append(again, filepath.Base(a.Path)+" "+a.Range)
				}
			}
			if diff := cmp.Diff(tc.again, again); diff != "" {
				t.Errorf("content asked for again (-want +got):\n%s", diff)
			}
		})
	}
}

// awaitHang waits until the second request for a file has come.
func awaitHang(t *testing.T, h *hubtest.Hub, name string) {
	t.Helper()
	for range 2000 {
		n := 0
		for _, a := range h.Asked() {
			if a.Store && filepath.Base(a.Path) == name {
				n++
			}
		}
		if n >= 2 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the file was not asked for again")
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatCannotBeHadIsSaidWithWhatToDo(t *testing.T) {
	t.Parallel()
	const shard = "model-00001-of-00002.safetensors"
	other := strings.Repeat("ab", 32)
	for name, tc := range map[string]struct {
		change func(*hubtest.Repository, *run)
		faults map[string][]hubtest.Fault
		reason ending.Reason
		says   []string
		naps   int
	}{
		"a repository that does not exist": {
			change: func(_ *hubtest.Repository, r *run) { r.about.Repository = "kaito/none" },
			reason: ending.WeightsRefused, says: []string{"kaito/none", "does not exist, or it is private", "modelAccessSecret", "HF_TOKEN"},
		},
		"a repository that does not exist, with a token": {
			change: func(_ *hubtest.Repository, r *run) { r.about.Repository, r.about.Token = "kaito/none", hubtest.Token },
			reason: ending.WeightsNotFound, says: []string{"kaito/none", `"main"`},
		},
		"a private repository": {
			change: func(p *hubtest.Repository, _ *run) { p.Private = true },
			reason: ending.WeightsRefused, says: []string{"presetOptions.modelAccessSecret"},
		},
		"a token that is not valid": {
			change: func(_ *hubtest.Repository, r *run) { r.about.Token = "hf_wrong" },
			reason: ending.WeightsRefused, says: []string{"does not accept the token", "modelAccessSecret"},
		},
		"a gated repository": {
			change: func(p *hubtest.Repository, r *run) { p.Gated, r.about.Token = true, hubtest.Token },
			reason: ending.WeightsRefused, says: []string{"is gated", "/kaito/tiny with an account", "modelAccessSecret"},
		},
		"a revision that does not exist": {
			change: func(_ *hubtest.Repository, r *run) { r.about.Revision = "v9" },
			reason: ending.WeightsNotFound, says: []string{`no revision "v9" of kaito/tiny`},
		},
		"a pattern that finds nothing": {
			change: func(_ *hubtest.Repository, r *run) { r.about.Patterns = []string{"*.gguf"} },
			reason: ending.WeightsNotFound, says: []string{`"*.gguf"`, "model-00001-of-00002.safetensors", "7 more"},
		},
		"pickles only": {
			change: func(p *hubtest.Repository, _ *run) {
				p.Large = map[string]string{"pytorch_model.bin": strings.Repeat("x", 1000)}
			},
			reason: ending.WeightsUnusable, says: []string{"pytorch_model.bin", "can run code"},
		},
		"a digest that is wrong each time": {
			change: func(p *hubtest.Repository, _ *run) { p.Promise = map[string]string{shard: other} },
			reason: ending.WeightsCorrupt, says: []string{shard, "sha256:" + other, "twice"},
		},
		"a name that leads out": {
			change: func(p *hubtest.Repository, r *run) {
				p.Large = map[string]string{"../../etc/x.safetensors": "x"}
				r.about.Patterns = []string{"*/*/*/*"}
			},
			reason: ending.WeightsUnusable, says: []string{"leads out"},
		},
		"a disk that is too small": {
			change: func(_ *hubtest.Repository, r *run) { r.free = 100_000 },
			reason: ending.DiskFull, says: []string{"100.0 kB free", "need 870.", "770.", "larger volume"},
		},
		"a hub that is down": {
			faults: map[string][]hubtest.Fault{"revision": slices.Repeat([]hubtest.Fault{{Status: 503}}, 8)},
			reason: ending.WeightsUnreachable, says: []string{"503"}, naps: 7,
		},
		"a hub that is not one": {
			faults: map[string][]hubtest.Fault{"revision": {{Status: 418}}},
			reason: ending.WeightsRefused, says: []string{"418"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := tiny()
			repos := map[string]hubtest.Repository{}
			h := hubtest.Start(t, repos)
			r := of(t, h)
			if tc.change != nil {
				tc.change(&repo, r)
			}
			repos["kaito/tiny"] = repo
			for path, f := range tc.faults {
				h.Fail(path, f...)
			}
			err := r.fetch(t.Context(), t)
			var got *fetch.Error
			if !errors.As(err, &got) || got.Reason != tc.reason {
				t.Fatalf("got %v (%+v), want %s", err, got, tc.reason)
			}
			for _, want := range tc.says {
				if !strings.Contains(got.Message, want) {
					t.Errorf("%q does not say %q", got.Message, want)
				}
			}
			if len(r.naps.taken) != tc.naps {
				t.Errorf("slept %v", r.naps.taken)
			}
			if name != "a digest that is wrong each time" && len(files(t, filepath.Dir(filepath.Dir(r.dir)))) > 0 {
				t.Errorf("files: %v", files(t, r.dir))
			}
			if _, ok := files(t, filepath.Dir(filepath.Dir(r.dir)))["model/"+shard]; ok {
				t.Error("a file with a wrong digest has its name")
			}
		})
	}
}

func TestTheHubSaysHowLongToWait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault hubtest.Fault
		want  time.Duration
	}{
		"in seconds":                      {hubtest.Fault{Status: 429, RetryAfter: "7"}, 7 * time.Second},
		"as the hub's own header":         {hubtest.Fault{Status: 429, RateLimit: `"api";r=0;t=55`}, 55 * time.Second},
		"at a date of long ago":           {hubtest.Fault{Status: 429, RetryAfter: "Wed, 21 Oct 2015 07:28:00 GMT"}, time.Second},
		"not at all":                      {hubtest.Fault{Status: 429}, time.Second},
		"longer than anybody should wait": {hubtest.Fault{Status: 429, RetryAfter: "86400"}, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": tiny()})
			h.Fail("tokenizer.json", tc.fault)
			r := of(t, h)
			if err := r.fetch(t.Context(), t); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]time.Duration{tc.want}, r.naps.taken); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheTokenGoesToTheHubOnly(t *testing.T) {
	t.Parallel()
	repo := tiny()
	repo.Private = true
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": repo})
	h.Fail("tokenizer.json", hubtest.Fault{Cut: 3}, hubtest.Fault{Status: 500})
	r := of(t, h)
	r.about.Token = hubtest.Token
	if err := r.fetch(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	store := 0
	for _, a := range h.Asked() {
		if a.Store {
			store++
		}
		if a.Store && (a.Authorization != "" || a.Referer != "") || !a.Store && a.Authorization != "Bearer "+hubtest.Token {
			t.Errorf("%+v", a)
		}
		if a.Agent != "kaito-runner/test" {
			t.Errorf("agent %q", a.Agent)
		}
	}
	if store < 4 {
		t.Errorf("only %d requests came to the object store", store)
	}
	if strings.Contains(r.log.String(), hubtest.Token) || strings.Contains(r.log.String(), "X-Amz-Signature") {
		t.Errorf("the log holds secrets:\n%s", r.log.String())
	}
}

func TestPatternsChoose(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		patterns []string
		want     []string
	}{
		"one file":                      {[]string{"config.json"}, []string{"config.json"}},
		"everything here but pickles":   {[]string{"*"}, []string{".gitattributes", "README.md", "config.json", "consolidated.safetensors", "merges.txt", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json", "vocab.json"}},
		"a pickle that is asked for":    {[]string{"*.bin"}, []string{"pytorch_model.bin"}},
		"a folder":                      {[]string{"original/*", "onnx/*.onnx"}, []string{"onnx/model.onnx", "original/params.json"}},
		"two patterns for the same one": {[]string{"vocab.json", "v*"}, []string{"vocab.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": tiny()})
			r := of(t, h)
			r.about.Patterns, r.about.Revision = tc.patterns, "refs/pr/1"
			if err := r.fetch(t.Context(), t); err != nil {
				t.Fatal(err)
			}
			var got []string
			for name := range files(t, r.dir) {
				got = append(got, filepath.ToSlash(name))
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherFilesOfAnEarlierRevisionGo(t *testing.T) {
	t.Parallel()
	repos := map[string]hubtest.Repository{"kaito/tiny": tiny()}
	h := hubtest.Start(t, repos)
	r := of(t, h)
	if err := r.fetch(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir, "notes-of-the-user.txt"), "mine")
	now := hubtest.Repository{Files: map[string]string{"config.json": "{}"}, Large: map[string]string{"model.safetensors": "all in one"}}
	repos["kaito/tiny"] = now
	if err := r.fetch(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	same(t, map[string]string{"config.json": "{}", "model.safetensors": "all in one", "notes-of-the-user.txt": "mine"}, files(t, r.dir))
}

func TestCancelStopsAtOnce(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": tiny()})
	h.Fail("tokenizer.json", hubtest.Fault{Cut: 1, Hang: true})
	r := of(t, h)
	r.stall = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.fetch(ctx, t) }()
	for !slices.ContainsFunc(h.Asked(), func(a hubtest.Asked) bool { return a.Store && strings.HasSuffix(a.Path, "tokenizer.json") }) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
