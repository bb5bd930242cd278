package kubelets_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/kubelets"
)

// program stands for kaito-localcluster: it keeps one file a node, writes down how it was
// called, refuses in the real one's words, and never ends for a node whose name says so.
const program = `#!/bin/sh
dir=$(dirname "$0")
echo "$@" >> "$dir/calls"
case "$2 $3" in
"add "*-hang) echo started >> "$dir/calls"; exec sleep 600 ;;
"add "*-broken) echo "there is no disk" >&2; exit 1 ;;
"add "*)
  if [ -e "$dir/node-$3" ]; then echo "kaito local: node \"$3\" is in cluster \"kaito\" already; choose another name, or remove it first" >&2; exit 1; fi
  touch "$dir/node-$3" ;;
"remove "*)
  if [ ! -e "$dir/node-$3" ]; then echo "kaito local: there is no node \"$3\" in cluster \"kaito\"" >&2; exit 1; fi
  rm "$dir/node-$3" ;;
esac
`

type cluster struct {
	t   *testing.T
	dir string
	*kubelets.Machines
}

func start(ctx context.Context, t *testing.T) cluster {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "kaito-localcluster")
	if err := os.WriteFile(file, []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	m := kubelets.New(ctx, kubelets.Options{Program: file, Cluster: "kaito"})
	return cluster{t: t, dir: dir, Machines: m}
}

func (c cluster) nodes() (names []string) {
	c.t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dir, "node-*"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range found {
		names = append(names, strings.TrimPrefix(filepath.Base(f), "node-"))
	}
	return names
}

func (c cluster) calls() string {
	data, err := os.ReadFile(filepath.Join(c.dir, "calls"))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	return string(data)
}

func create(c cluster, name string) chan error {
	out := make(chan error, 1)
	c.Create(armemulator.Machine{Node: name, ProviderID: "azure:///x/0"}, func(err error) { out <- err })
	return out
}

func remove(c cluster, name string) chan error {
	out := make(chan error, 1)
	c.Delete(armemulator.Machine{Node: name}, func(err error) { out <- err })
	return out
}

func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	c := start(t.Context(), t)
	if err := <-create(c, "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-create(c, "a"); err != nil {
		t.Errorf("a node that was left: %v", err)
	}
	if diff := cmp.Diff([]string{"a"}, c.nodes()); diff != "" {
		t.Error(diff)
	}
	if err := <-remove(c, "a"); err != nil {
		t.Error(err)
	}
	if err := <-remove(c, "a"); err != nil {
		t.Errorf("a node that is gone: %v", err)
	}
	if n := c.nodes(); len(n) != 0 {
		t.Errorf("nodes are left: %v", n)
	}
	if err := <-create(c, "one-broken"); err == nil || !strings.Contains(err.Error(), "there is no disk") {
		t.Errorf("a node that cannot be: %v", err)
	}
}

func TestACreationIsGivenUp(t *testing.T) {
	t.Parallel()
	c := start(t.Context(), t)
	booted := create(c, "one-hang")
	for !strings.Contains(c.calls(), "started") { // until the program runs
		time.Sleep(time.Millisecond)
	}
	if err := <-remove(c, "one-hang"); err != nil {
		t.Error(err)
	}
	if err := <-booted; !errors.Is(err, armemulator.ErrGivenUp) {
		t.Errorf("the creation ended with %v", err)
	}
	c.Wait()
}

func TestNothingIsSaidWhenTheProgramEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := start(ctx, t)
	booted := create(c, "one-hang")
	for !strings.Contains(c.calls(), "started") {
		time.Sleep(time.Millisecond)
	}
	cancel()
	c.Wait()
	select {
	case err := <-booted:
		t.Errorf("the creation ended with %v", err)
	default:
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	got := kubelets.AddArguments(kubelets.Options{Cluster: "kaito", DataRoot: "/data", CPU: "2", Memory: "4Gi"}, armemulator.Machine{
		Node: "aks-k-00000001-vmss000000", ProviderID: "azure:///x/0", GPUs: 2,
		Labels: map[string]string{"b": "2", "a": "1"}, Taints: []string{"sku=gpu:NoSchedule"},
	})
	want := strings.Fields("node add aks-k-00000001-vmss000000 --name kaito --data-root /data --provider-id azure:///x/0 --label a=1 --label b=2 " +
		"--taint sku=gpu:NoSchedule --gpus 2 --cpu 2 --memory 4Gi")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}
