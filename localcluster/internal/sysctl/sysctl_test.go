package sysctl_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/localcluster/internal/sysctl"
)

func TestWhatWasReadIsPutBack(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	set := func(k, v string) {
		p := filepath.Join(root, k)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(v+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set("vm/overcommit_memory", "0")
	set("kernel/panic", "1")
	before, err := sysctl.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sysctl.Values{"vm/overcommit_memory": "0", "kernel/panic": "1"}, before); diff != "" {
		t.Errorf("a setting that the kernel lacks must be left out (-want +got):\n%s", diff)
	}
	set("vm/overcommit_memory", "1")
	if err := sysctl.Write(root, before); err != nil {
		t.Fatal(err)
	}
	after, err := sysctl.Read(root)
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("settings (-want +got):\n%s, error %v", diff, err)
	}
}
