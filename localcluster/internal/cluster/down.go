package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"kaito.sh/kaito/localcluster/internal/host"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/network"
	"kaito.sh/kaito/localcluster/internal/node"
	"kaito.sh/kaito/localcluster/internal/preflight"
	"kaito.sh/kaito/localcluster/internal/render"
	"kaito.sh/kaito/localcluster/internal/state"
	"kaito.sh/kaito/localcluster/internal/sysctl"
)

// componentGrace is how long a component outside of nodes may take to end. What
// is killed then loses nothing: etcd has written down every change.
const componentGrace = 5 * time.Second

// Keep says what stays of a cluster that goes down.
type Keep int

// What down can leave.
const (
	// Data keeps etcd, the registry's content, volumes and nodes for the next up.
	Data Keep = iota
	// Nothing removes them too.
	Nothing
)

// Down stops the cluster and takes away everything it made on the machine,
// whatever of it still runs.
func (l *Launcher) Down(ctx context.Context, keep Keep) error {
	if err := preflight.Root(l.User); err != nil {
		return err
	}
	place, err := l.Place()
	var none *NotThereError
	if errors.As(err, &none) {
		l.Progress.Step("there is no cluster %q: nothing to do", l.Name)
		return nil
	}
	if err != nil {
		return err
	}
	lock, err := l.lock(ctx, place)
	if err != nil {
		return err
	}
	return errors.Join(l.lower(ctx, place, keep), lock.Release())
}

func (l *Launcher) lower(ctx context.Context, place layout.Cluster, keep Keep) error {
	st, err := state.Load(place.StateFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.Progress.Step("%v; going on without it", err)
	}
	t, err := l.tools(place, st.Programs)
	if err != nil {
		return err
	}
	hosts, err := l.nodes(t, st.Programs)
	if err != nil {
		return err
	}
	if err := stopNodes(ctx, hosts, st.Nodes); err != nil {
		return err
	}
	l.Progress.Step("nodes stopped")
	if err := l.stopComponents(ctx, t); err != nil {
		return err
	}
	l.Progress.Step("control plane stopped")
	if err := network.Unlink(place.Bridge()); err != nil {
		return err
	}
	if err := t.starter.Dissolve(ctx, t.tree, place.Cgroup()); err != nil {
		return err
	}
	if err := t.tree.RemoveEmpty(layout.CgroupParent); err != nil {
		return err
	}
	l.Progress.Step("network and control groups removed")
	if keep == Nothing {
		if err := os.RemoveAll(place.Dir); err != nil {
			return fmt.Errorf("remove the data of cluster %q: %w", l.Name, err)
		}
		l.Progress.Step("data removed from %s", place.Dir)
	}
	return l.leaveHost(ctx, place, keep)
}

// stopNodes stops all nodes at once.
func stopNodes(ctx context.Context, h node.Host, nodes []state.Node) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = h.Stop(ctx, n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stopComponents stops clients first, then the API server, then etcd; last,
// whatever is left in the cluster's control groups.
func (l *Launcher) stopComponents(ctx context.Context, t tools) error {
	stop := func(names ...string) error {
		errs := make([]error, len(names))
		var wg sync.WaitGroup
		for i, name := range names {
			wg.Go(func() {
				forced, err := t.starter.Stop(ctx, t.place.PidFile(name), componentGrace)
				if forced {
					l.Progress.Step("%s did not end within %s and was killed", name, componentGrace)
				}
				errs[i] = err
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	var clients []string
	for _, c := range l.components(t.place, "") {
		if c.Name != render.APIServer && c.Name != render.Etcd {
			clients = append(clients, c.Name)
		}
	}
	slices.Sort(clients)
	for _, names := range [][]string{clients, {render.APIServer}, {render.Etcd}} {
		if err := stop(names...); err != nil {
			return err
		}
	}
	left, err := t.starter.Empty(ctx, t.tree, t.place.Cgroup())
	if left > 0 {
		l.Progress.Step("%d more processes of the cluster were killed", left)
	}
	return err
}

// leaveHost updates the machine's record; the last cluster to go puts the
// kernel's settings back and removes the folders that were made.
func (l *Launcher) leaveHost(ctx context.Context, place layout.Cluster, keep Keep) error {
	return l.onHost(ctx, func(r *host.Record) error {
		last := r.Deactivate(place.Dir)
		if keep == Nothing {
			r.Release(place.Dir)
		}
		if !last {
			return nil
		}
		if err := sysctl.Write(sysctl.Root, r.Settings); err != nil {
			return err
		}
		r.Settings = nil
		r.RemoveFolders()
		l.Progress.Step("kernel settings restored")
		return nil
	})
}
