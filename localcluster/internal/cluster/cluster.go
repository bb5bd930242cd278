// Package cluster tells the stories of the launcher: up, down, a node comes, a
// node goes. Each step lives in a package of its own; here is their order.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"kaito.sh/kaito/localcluster/internal/cgroup"
	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/host"
	"kaito.sh/kaito/localcluster/internal/kube"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/node"
	"kaito.sh/kaito/localcluster/internal/pki"
	"kaito.sh/kaito/localcluster/internal/preflight"
	"kaito.sh/kaito/localcluster/internal/process"
	"kaito.sh/kaito/localcluster/internal/progress"
	"kaito.sh/kaito/localcluster/internal/record"
	"kaito.sh/kaito/localcluster/internal/render"
	"kaito.sh/kaito/localcluster/internal/state"
)

// Config is what the launcher needs to know from outside.
type Config struct {
	// Name of the cluster and Root, the folder of all clusters.
	Name, Root string
	// HostFile is the machine's record of its clusters.
	HostFile string
	// Self is this program's path.
	Self string
	// User is the caller's user id.
	User int
	// Clock is the time.
	Clock clock.Clock
	// Progress is told each step.
	Progress *progress.Printer
	// Programs answers the folder of the programs, and builds them where needed.
	Programs func(context.Context) (string, error)
}

// Launcher starts, changes and stops one cluster.
type Launcher struct {
	Config
}

// New makes the launcher of one cluster.
func New(c Config) *Launcher { return &Launcher{c} }

// NotThereError says that there is no such cluster.
type NotThereError struct{ Name, Root string }

// Error says how to make one.
func (e *NotThereError) Error() string {
	return fmt.Sprintf("there is no cluster %q in %q: start it with `kaito local up --name %s`", e.Name, e.Root, e.Name)
}

// Place is where the cluster is, by its state or else by the machine's record.
func (l *Launcher) Place() (layout.Cluster, error) {
	if err := layout.CheckName("cluster", l.Name); err != nil {
		return layout.Cluster{}, err
	}
	at := layout.New(l.Root, l.Name, 0)
	st, err := state.Load(at.StateFile())
	if err == nil {
		return layout.New(l.Root, l.Name, st.Index), nil
	}
	rec, hostErr := host.Load(l.HostFile)
	if hostErr != nil {
		return layout.Cluster{}, hostErr
	}
	for _, c := range rec.Claims {
		if c.Dir == at.Dir {
			return layout.New(l.Root, l.Name, c.Index), nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return layout.Cluster{}, &NotThereError{l.Name, l.Root}
	}
	return layout.Cluster{}, err
}

// Names are the clusters of the data root, up or down: those with a state, and
// those that the machine's record knows of.
func (l *Launcher) Names() ([]string, error) {
	states, err := filepath.Glob(layout.New(l.Root, "*", 0).StateFile())
	if err != nil {
		return nil, fmt.Errorf("list clusters of %q: %w", l.Root, err)
	}
	rec, err := host.Load(l.HostFile)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, s := range states {
		names = append(names, filepath.Base(filepath.Dir(s)))
	}
	for _, c := range rec.Claims {
		if filepath.Dir(c.Dir) == filepath.Clean(l.Root) {
			names = append(names, filepath.Base(c.Dir))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// tools are what every change of a cluster works with.
type tools struct {
	place   layout.Cluster
	tree    *cgroup.Tree
	starter *process.Starter
	store   pki.Store
}

func (l *Launcher) tools(place layout.Cluster, programs string) (tools, error) {
	tree, err := cgroup.Detect(cgroup.Root)
	if err != nil {
		return tools{}, err
	}
	return tools{
		place: place, tree: tree,
		starter: process.NewStarter([]string{l.Self, "internal", "stage"}, environment(programs), l.Clock),
		store:   pki.New(place.PKI(), l.Clock.Now),
	}, nil
}

// environment is the whole environment of what the launcher starts: a proxy or a
// language of the caller's shell must not reach the cluster.
func environment(programs string) []string {
	return []string{"PATH=" + programs + ":" + preflight.SearchPath, "HOME=/root"}
}

// nodes is the machine's side of the cluster's nodes.
func (l *Launcher) nodes(t tools, programs string) (node.Host, error) {
	machine, err := node.MachineFacts()
	if err != nil {
		return node.Host{}, err
	}
	return node.Host{
		Cluster: t.place, Starter: t.starter, Tree: t.tree, PKI: t.store,
		Init: []string{l.Self, "internal", "node-init"}, Env: environment(programs), Programs: programs, Machine: machine,
	}, nil
}

// client speaks to the API server as the administrator.
func (l *Launcher) client(t tools) (*kube.Client, error) {
	return kube.New(t.place.Server(), kube.Credentials{CA: t.store.Cert("ca"), Cert: t.store.Cert("admin"), Key: t.store.Key("admin")})
}

func (l *Launcher) components(place layout.Cluster, programs string) []render.Component {
	return render.ControlPlane{Cluster: place, Programs: programs, Self: []string{l.Self, "internal", "files"}}.Components()
}

// lock makes this the one command that changes the cluster.
func (l *Launcher) lock(ctx context.Context, place layout.Cluster) (*record.Lock, error) {
	return record.Acquire(ctx, l.Clock, place.LockFile(), func() {
		l.Progress.Step("waiting for another command on cluster %q", l.Name)
	})
}

// onHost changes the machine's record, alone.
func (l *Launcher) onHost(ctx context.Context, change func(*host.Record) error) error {
	lock, err := record.Acquire(ctx, l.Clock, l.HostFile+".lock", func() {
		l.Progress.Step("waiting for another cluster's command")
	})
	if err != nil {
		return err
	}
	rec, err := host.Load(l.HostFile)
	if err == nil {
		err = change(&rec)
	}
	if err == nil {
		err = rec.Save(l.HostFile)
	}
	return errors.Join(err, lock.Release())
}
