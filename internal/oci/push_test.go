package oci

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func marshal(v any) ([]byte, error) { return json.Marshal(v) }

const kib = 1 << 10

func TestPushAndPullCarryEveryByte(t *testing.T) {
	t.Parallel()
	f, host := newFaulty(t)
	dir, back := testLayout(t, 300*kib, 10, 0), t.TempDir()
	c := New(Options{Chunk: 64 * kib})
	pushed, err := c.Push(t.Context(), dir, host+"/kaito/models/m:gguf")
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := c.Resolve(t.Context(), host+"/kaito/models/m:gguf")
	if err != nil || resolved.Digest != pushed {
		t.Errorf("resolved %s, %v; pushed %s", resolved.Digest, err, pushed)
	}
	if _, err := c.Pull(t.Context(), host+"/kaito/models/m:gguf", back); err != nil {
		t.Fatal(err)
	}
	sameLayers(t, dir, back)

	posts := f.asked[http.MethodPost]
	var last Progress
	again := New(Options{Chunk: 64 * kib, Report: func(p Progress) { last = p }})
	if _, err := again.Push(t.Context(), dir, host+"/kaito/models/m:gguf"); err != nil {
		t.Fatal(err)
	}
	if f.asked[http.MethodPost] != posts || last.Skipped != last.Total {
		t.Errorf("the second push began %d uploads and skipped %d of %d bytes", f.asked[http.MethodPost]-posts, last.Skipped, last.Total)
	}
}

func TestPushGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	const size = 500 * kib
	for name, tc := range map[string]struct {
		cuts   []int64
		silent bool
		// sent is how many bytes must have arrived in chunks, all in all.
		sent int64
	}{
		"without a cut every byte goes once":                     {sent: size},
		"a cut within a chunk loses nothing":                     {cuts: []int64{40 * kib}, sent: size},
		"five cuts one after another lose nothing":               {cuts: []int64{7, 2, 3, 40 * kib, 5}, sent: size},
		"a cut after one byte costs it: the protocol cannot say": {cuts: []int64{1}, sent: size + 1},
		"a cut before the first byte loses nothing":              {cuts: []int64{0}, sent: size},
		"a registry that does not tell costs what was sent":      {cuts: []int64{40 * kib}, silent: true, sent: size + 40*kib},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, host := newFaulty(t)
			f.cuts, f.silent = tc.cuts, tc.silent
			dir, back := testLayout(t, size), t.TempDir()
			c := New(Options{Chunk: 64 * kib, Sleep: (&naps{}).sleep})
			if _, err := c.Push(t.Context(), dir, host+"/m:gguf"); err != nil {
				t.Fatal(err)
			}
			if got := f.got[http.MethodPatch]; got != tc.sent {
				t.Errorf("%d bytes arrived, want %d", got, tc.sent)
			}
			if _, err := c.Pull(t.Context(), host+"/m:gguf", back); err != nil {
				t.Fatal(err)
			}
			sameLayers(t, dir, back)
			if _, err := os.Stat(filepath.Join(dir, notesDir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("notes of a finished push are left: %v", err)
			}
		})
	}
}

func TestTheNextRunGoesOnWithTheUpload(t *testing.T) {
	t.Parallel()
	const size = 500 * kib
	f, host := newFaulty(t)
	f.cuts = []int64{64 * kib, 30 * kib}
	dir := testLayout(t, size)
	// Without Sleep a client gives up at the first cut, as a program that was killed.
	for range 2 {
		if _, err := New(Options{Chunk: 64 * kib}).Push(t.Context(), dir, host+"/m:gguf"); err == nil {
			t.Fatal("the cut went unnoticed")
		}
	}
	if _, err := New(Options{Chunk: 64 * kib}).Push(t.Context(), dir, host+"/m:gguf"); err != nil {
		t.Fatal(err)
	}
	if got := f.got[http.MethodPatch]; got != size {
		t.Errorf("%d bytes arrived, want each of %d once", got, size)
	}
}

func TestPushSurvivesARegistryThatForgot(t *testing.T) {
	t.Parallel()
	f, host := newFaulty(t)
	f.cuts = []int64{100}
	dir := testLayout(t, 200*kib)
	if _, err := New(Options{Chunk: 64 * kib}).Push(t.Context(), dir, host+"/m:gguf"); err == nil {
		t.Fatal("the cut went unnoticed")
	}
	other, host2 := newFaulty(t)
	_ = other
	notes, err := filepath.Glob(filepath.Join(dir, notesDir, "*.json"))
	if err != nil || len(notes) != 1 {
		t.Fatalf("notes: %v, %v", notes, err)
	}
	raw, err := os.ReadFile(notes[0])
	if err == nil {
		// The same upload id, at a registry that never heard of it.
		err = os.WriteFile(notes[0], []byte(strings.ReplaceAll(string(raw), host, host2)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.sizes = map[string]int64{}
	f.mu.Unlock()
	if _, err := New(Options{Chunk: 64 * kib}).Push(t.Context(), dir, host+"/m:gguf"); err != nil {
		t.Fatal(err)
	}
}

func TestPushToARegistryWithoutChunks(t *testing.T) {
	t.Parallel()
	f, host := newFaulty(t)
	f.answers[http.MethodPatch] = []int{http.StatusMethodNotAllowed}
	dir, back := testLayout(t, 200*kib), t.TempDir()
	c := New(Options{Chunk: 64 * kib})
	if _, err := c.Push(t.Context(), dir, host+"/m:gguf"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(t.Context(), host+"/m:gguf", back); err != nil {
		t.Fatal(err)
	}
	sameLayers(t, dir, back)
}

func TestBadMomentsAreWaitedOut(t *testing.T) {
	t.Parallel()
	f, host := newFaulty(t)
	f.answers[http.MethodPut] = []int{503, 502, 429}
	n := &naps{}
	var heard []string
	c := New(Options{Sleep: n.sleep, Notice: func(s string) { heard = append(heard, s) }})
	if _, err := c.Push(t.Context(), testLayout(t, 10), host+"/m:gguf"); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}
	if diff := cmp.Diff(want, n.taken); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	if len(heard) != 3 || !strings.Contains(heard[0], "trying again in 500ms") {
		t.Errorf("heard %q", heard)
	}
}

func TestPushFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answers map[string][]int
		ref     string
		damage  func(t *testing.T, l layout)
		want    string
		naps    int
	}{
		"when the registry stays broken":          {answers: map[string][]int{"POST": {500, 500, 500, 500, 500, 500, 500}}, want: "a bad moment", naps: attempts - 1},
		"at once when it is refused":              {answers: map[string][]int{"HEAD": {403}}, want: "answered 403 Forbidden"},
		"when nobody listens, after two pauses":   {ref: "127.0.0.1:1/m:x", want: "nobody listens there", naps: 2},
		"on a reference that names no registry":   {ref: "m:x", want: "names no registry"},
		"on a reference that is none":             {ref: "127.0.0.1:1/M:x", want: `read reference "127.0.0.1:1/M:x"`},
		"when a blob is shorter than it says":     {damage: func(t *testing.T, l layout) { truncate(t, l) }, want: "package the model again"},
		"when a blob's content is not its digest": {damage: func(t *testing.T, l layout) { scribble(t, l) }, want: "DIGEST"},
		"when there is no layout":                 {damage: func(_ *testing.T, l layout) { os.Remove(filepath.Join(l.dir, "index.json")) }, want: "open image layout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, host := newFaulty(t)
			for k, v := range tc.answers {
				f.answers[k] = v
			}
			dir := testLayout(t, 10)
			if tc.damage != nil {
				l, err := openLayout(dir)
				if err != nil {
					t.Fatal(err)
				}
				tc.damage(t, l)
			}
			ref := tc.ref
			if ref == "" {
				ref = host + "/m:x"
			}
			n := &naps{}
			_, err := New(Options{Sleep: n.sleep}).Push(t.Context(), dir, ref)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
			if len(n.taken) != tc.naps {
				t.Errorf("%d pauses, want %d", len(n.taken), tc.naps)
			}
		})
	}
}

func truncate(t *testing.T, l layout) {
	t.Helper()
	if err := os.Truncate(l.blob(l.manifest.Layers[0].Digest), 3); err != nil {
		t.Fatal(err)
	}
}

func scribble(t *testing.T, l layout) {
	t.Helper()
	if err := os.WriteFile(l.blob(l.manifest.Layers[0].Digest), []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
}
