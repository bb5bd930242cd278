package cgroup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/localcluster/internal/cgroup"
)

// tree lays out files as the kernel would show them.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func detect(t *testing.T, root string) *cgroup.Tree {
	t.Helper()
	tr, err := cgroup.Detect(root)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func v1(t *testing.T) string {
	return tree(t, map[string]string{
		"cpu/cgroup.procs": "", "memory/cgroup.procs": "", "cpuset/cgroup.procs": "", "unified/cgroup.procs": "",
		"cpuset/cpuset.cpus": "0-1\n", "cpuset/cpuset.mems": "0\n",
		// what the kernel would make in new groups:
		"cpuset/a/cpuset.cpus": "\n", "cpuset/a/cpuset.mems": "\n", "cpuset/a/b/cpuset.cpus": "\n", "cpuset/a/b/cpuset.mems": "\n",
		"cpu/a/b/cpu.cfs_quota_us": "-1", "cpu/a/b/cpu.cfs_period_us": "100000", "memory/a/b/memory.limit_in_bytes": "9223372036854771712",
		"notes/readme": "a folder without processes is no hierarchy",
	})
}

func TestVersion1MakesTheGroupEverywhere(t *testing.T) {
	t.Parallel()
	root := v1(t)
	tr := detect(t, root)
	if tr.Version() != 1 {
		t.Fatalf("version %d, want 1", tr.Version())
	}
	if err := tr.Make("a/b"); err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"cpu", "memory", "cpuset", "unified"} {
		if _, err := os.Stat(filepath.Join(root, h, "a/b")); err != nil {
			t.Errorf("hierarchy %s: %v", h, err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "notes/a")); err == nil {
		t.Error("a folder that is no hierarchy got a group")
	}
	got := []string{read(t, root, "cpuset/a/b/cpuset.cpus"), read(t, root, "cpuset/a/b/cpuset.mems")}
	if diff := cmp.Diff([]string{"0-1", "0"}, got); diff != "" {
		t.Errorf("cpuset (-want +got):\n%s", diff)
	}
}

func TestVersion1Limits(t *testing.T) {
	t.Parallel()
	root := v1(t)
	if err := detect(t, root).Limit("a/b", cgroup.Limits{MilliCPU: 1500, Memory: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	got := []string{read(t, root, "cpu/a/b/cpu.cfs_quota_us"), read(t, root, "memory/a/b/memory.limit_in_bytes")}
	if diff := cmp.Diff([]string{"150000", "1073741824"}, got); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

func TestVersion1RemovesWithoutTouchingOthers(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"cpu/cgroup.procs": "", "pids/cgroup.procs": ""})
	tr := detect(t, root)
	for _, p := range []string{"kaito-local/kl0/node1", "kaito-local/kl1"} {
		if err := tr.Make(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Remove("kaito-local/kl0"); err != nil {
		t.Fatal(err)
	}
	if err := tr.RemoveEmpty("kaito-local"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "cpu/kaito-local/kl1")); err != nil {
		t.Errorf("the other cluster's group is gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "cpu/kaito-local/kl0")); err == nil {
		t.Error("the group is still there")
	}
	if err := tr.Remove("kaito-local/kl1"); err != nil {
		t.Fatal(err)
	}
	if err := tr.RemoveEmpty("kaito-local"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "pids/kaito-local")); err == nil {
		t.Error("the empty parent is still there")
	}
	if err := tr.Remove("kaito-local/kl7"); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
}

func v2(t *testing.T) string {
	return tree(t, map[string]string{
		"cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.subtree_control": "memory\n", "cgroup.procs": "1\n",
		// what the kernel would make in a new group:
		"a/cgroup.controllers": "cpu memory\n", "a/cgroup.subtree_control": "\n", "a/cgroup.procs": "",
		"a/b/cgroup.controllers": "cpu memory\n", "a/b/cgroup.subtree_control": "\n", "a/b/cgroup.procs": "12\n13\n",
		"a/b/cpu.max": "max 100000", "a/b/memory.max": "max", "a/b/c/cgroup.procs": "14\n",
	})
}

func TestVersion2OpensControllersDownThePath(t *testing.T) {
	t.Parallel()
	root := v2(t)
	tr := detect(t, root)
	if tr.Version() != 2 {
		t.Fatalf("version %d, want 2", tr.Version())
	}
	if err := tr.Make("a/b"); err != nil {
		t.Fatal(err)
	}
	// The fake file keeps only the last write: pids is the last that the root had not given.
	got := []string{read(t, root, "cgroup.subtree_control"), read(t, root, "a/cgroup.subtree_control"), read(t, root, "a/b/cgroup.subtree_control")}
	if diff := cmp.Diff([]string{"+pids", "+memory", ""}, got); diff != "" {
		t.Errorf("subtree control (-want +got):\n%s", diff)
	}
}

func TestVersion2LimitsJoinAndProcesses(t *testing.T) {
	t.Parallel()
	root := v2(t)
	tr := detect(t, root)
	if err := tr.Limit("a/b", cgroup.Limits{MilliCPU: 500, Memory: 4096}); err != nil {
		t.Fatal(err)
	}
	pids, err := tr.Processes("a/b")
	if diff := cmp.Diff([]int{12, 13, 14}, pids); diff != "" || err != nil {
		t.Errorf("processes (-want +got):\n%s, error %v", diff, err)
	}
	if err := tr.Join("a/b"); err != nil {
		t.Fatal(err)
	}
	got := []string{read(t, root, "a/b/cpu.max"), read(t, root, "a/b/memory.max"), read(t, root, "a/b/cgroup.procs")}
	if diff := cmp.Diff([]string{"50000 100000", "4096", "0"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if none, err := tr.Processes("not/there"); err != nil || len(none) != 0 {
		t.Errorf("processes of no group: %v, %v", none, err)
	}
}

func TestNoControlGroupsIsSaid(t *testing.T) {
	t.Parallel()
	if _, err := cgroup.Detect(t.TempDir()); err == nil || !strings.Contains(err.Error(), "mount cgroup2") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}
