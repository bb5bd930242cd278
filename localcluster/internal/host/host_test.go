package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/localcluster/internal/host"
	"kaito.sh/kaito/localcluster/internal/sysctl"
)

func anyIndex(int) error { return nil }

func TestClaims(t *testing.T) {
	t.Parallel()
	a, b, lost := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "removed-by-hand")
	errTaken := errors.New("a route is there")
	cases := map[string]struct {
		claims []host.Claim
		free   func(int) error
		want   int
	}{
		"the first cluster gets 0":                    {free: anyIndex, want: 0},
		"a second gets the next":                      {claims: []host.Claim{{Index: 0, Dir: a}}, free: anyIndex, want: 1},
		"a cluster keeps its index":                   {claims: []host.Claim{{Index: 0, Dir: a}, {Index: 4, Dir: b}}, free: anyIndex, want: 4},
		"a range in use by others is passed":          {free: func(i int) error { return map[int]error{0: errTaken, 1: errTaken}[i] }, want: 2},
		"a removed folder gives its index back":       {claims: []host.Claim{{Index: 0, Dir: lost}}, free: anyIndex, want: 0},
		"unless it may be running":                    {claims: []host.Claim{{Index: 0, Dir: lost, Active: true}}, free: anyIndex, want: 1},
		"a gap is filled":                             {claims: []host.Claim{{Index: 1, Dir: a}}, free: anyIndex, want: 0},
		"a clash does not matter for a kept index":    {claims: []host.Claim{{Index: 2, Dir: b}}, free: func(int) error { return errTaken }, want: 2},
		"order of claims does not matter for finding": {claims: []host.Claim{{Index: 1, Dir: b}, {Index: 0, Dir: a}}, free: anyIndex, want: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := host.Record{Claims: tc.claims}
			got, err := r.Claim(b, tc.free)
			if err != nil || got != tc.want {
				t.Errorf("got %d, %v; want %d", got, err, tc.want)
			}
		})
	}
	r := host.Record{}
	if _, err := r.Claim(b, func(int) error { return errTaken }); !errors.Is(err, errTaken) {
		t.Errorf("nothing free: %v does not say why", err)
	}
}

func TestSettingsAreThoseFromBeforeTheFirstCluster(t *testing.T) {
	t.Parallel()
	r := host.Record{Claims: []host.Claim{{Index: 0, Dir: "a"}, {Index: 1, Dir: "b"}}}
	r.Activate("a", sysctl.Values{"kernel/panic": "1"})
	r.Activate("b", sysctl.Values{"kernel/panic": "10"}) // by now the first has changed it
	if r.Deactivate("a") {
		t.Error("b still runs, so a was not the last")
	}
	r.Activate("a", sysctl.Values{"kernel/panic": "10"})
	r.Deactivate("a")
	if !r.Deactivate("b") {
		t.Error("b was the last")
	}
	if diff := cmp.Diff(sysctl.Values{"kernel/panic": "1"}, r.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if r.Deactivate("b") {
		t.Error("a cluster that was down already is not the last to go")
	}
}

func TestFoldersAreRemovedWhenMadeHereAndEmpty(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	r := host.Record{}
	for _, p := range []string{"lib/kubelet", "lib/cni"} {
		if err := r.MakeFolder(filepath.Join(root, p)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(root, "lib"), filepath.Join(root, "lib/kubelet"), filepath.Join(root, "lib/cni")}
	if diff := cmp.Diff(want, r.Folders); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(root, "lib/cni/theirs"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.RemoveFolders()
	if _, err := os.Stat(filepath.Join(root, "lib/kubelet")); err == nil {
		t.Error("the empty folder is still there")
	}
	if _, err := os.Stat(filepath.Join(root, "lib/cni/theirs")); err != nil {
		t.Errorf("somebody else's file is gone: %v", err)
	}
}

func TestRecordIsKeptAsLongAsThereIsSomethingToRemember(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "host.json")
	r := host.Record{Claims: []host.Claim{{Index: 2, Dir: "/d", Active: true}}, Settings: sysctl.Values{"a": "b"}}
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := host.Load(path)
	if diff := cmp.Diff(r, got); diff != "" || err != nil {
		t.Errorf("record (-want +got):\n%s, error %v", diff, err)
	}
	if err := (host.Record{}).Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("an empty record left its file")
	}
	if r, err := host.Load(path); err != nil || len(r.Claims) != 0 {
		t.Errorf("no file must be an empty record: %v, %v", r, err)
	}
}
