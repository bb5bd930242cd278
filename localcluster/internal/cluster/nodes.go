package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/kube"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/node"
	"kaito.sh/kaito/localcluster/internal/preflight"
	"kaito.sh/kaito/localcluster/internal/process"
	"kaito.sh/kaito/localcluster/internal/render"
	"kaito.sh/kaito/localcluster/internal/state"
)

// open finds a cluster that runs, for a change.
func (l *Launcher) open() (raised, error) {
	if err := preflight.Root(l.User); err != nil {
		return raised{}, err
	}
	place, err := l.Place()
	if err != nil {
		return raised{}, err
	}
	w := raised{since: l.Clock.Now()}
	if w.state, err = state.Load(place.StateFile()); err != nil {
		return w, err
	}
	if w.tools, err = l.tools(place, w.state.Programs); err != nil {
		return w, err
	}
	if w.nodes, err = l.nodes(w.tools, w.state.Programs); err != nil {
		return w, err
	}
	w.client, err = l.client(w.tools)
	return w, err
}

// running answers whether the API server does.
func (l *Launcher) running(w raised) error {
	if _, alive := process.Find(w.place.PidFile(render.APIServer)); !alive {
		return fmt.Errorf("cluster %q is down: start it with `kaito local up --name %s`", l.Name, l.Name)
	}
	return nil
}

// Registry is the address of the running cluster's registry, seen from the machine.
func (l *Launcher) Registry() (string, error) {
	place, err := l.Place()
	if err != nil {
		return "", err
	}
	if _, alive := process.Find(place.PidFile(render.Registry)); !alive {
		return "", fmt.Errorf("the registry of cluster %q does not run: start it with `kaito local up --name %s`", l.Name, l.Name)
	}
	return place.Address(layout.RegistryPort), nil
}

// AddNode adds a node to a running cluster and waits until it is Ready.
func (l *Launcher) AddNode(ctx context.Context, name string, shape state.Shape) error {
	w, err := l.open()
	if err != nil {
		return fmt.Errorf("add node %q: %w", name, err)
	}
	if err := errors.Join(l.running(w), w.nodes.Machine.Check(shape)); err != nil {
		return fmt.Errorf("add node %q: %w", name, err)
	}
	lock, err := l.lock(ctx, w.place)
	if err != nil {
		return err
	}
	err = l.join(ctx, &w, name, shape)
	if err := errors.Join(err, lock.Release()); err != nil {
		return err
	}
	return l.awaitNode(ctx, w, name)
}

// join writes the node down, starts it, and makes the others know it.
func (l *Launcher) join(ctx context.Context, w *raised, name string, shape state.Shape) error {
	st, err := state.Load(w.place.StateFile()) // it may have changed while we waited for the lock
	if err != nil {
		return err
	}
	n, err := st.Add(name, shape)
	if err != nil {
		return err
	}
	if err := st.Save(w.place.StateFile()); err != nil {
		return err
	}
	w.state = st
	if err := w.nodes.Start(ctx, n); err != nil {
		return err
	}
	if err := w.nodes.Wire(st.Staying()); err != nil {
		return err
	}
	l.Progress.Step("node %s started", name)
	wait := clock.Wait{Every: look, Limit: time.Minute}
	return w.nodes.Once(ctx, l.Clock, wait, name, node.PauseArchive(w.place))
}

// RemoveNode takes a node out of a cluster and removes what was on it.
func (l *Launcher) RemoveNode(ctx context.Context, name string) error {
	w, err := l.open()
	if err != nil {
		return fmt.Errorf("remove node %q: %w", name, err)
	}
	lock, err := l.lock(ctx, w.place)
	if err != nil {
		return err
	}
	return errors.Join(l.leave(ctx, &w, name), lock.Release())
}

func (l *Launcher) leave(ctx context.Context, w *raised, name string) error {
	st, err := state.Load(w.place.StateFile())
	if err != nil {
		return err
	}
	n, there := st.Find(name)
	if !there {
		return &NoNodeError{Cluster: l.Name, Node: name}
	}
	if err := l.running(*w); err != nil {
		return fmt.Errorf("remove node %q: %w", name, err)
	}
	n.Leaving = true
	st.Replace(n)
	if err := st.Save(w.place.StateFile()); err != nil {
		return err
	}
	w.state = st
	// The services' range must not lead to a node that is about to go.
	if err := w.nodes.Wire(st.Staying()); err != nil {
		return err
	}
	return l.discard(ctx, w, n)
}

// discard stops a node that leaves and removes its object, folder and entry.
func (l *Launcher) discard(ctx context.Context, w *raised, n state.Node) error {
	if err := w.nodes.Stop(ctx, n); err != nil {
		return err
	}
	l.Progress.Step("node %s stopped", n.Name)
	if err := w.client.Delete(ctx, kube.NodePath(n.Name)); err != nil {
		return fmt.Errorf("remove node %q: %w", n.Name, err)
	}
	if err := w.nodes.Erase(n.Name); err != nil {
		return err
	}
	w.state.Remove(n.Name)
	if err := w.state.Save(w.place.StateFile()); err != nil {
		return err
	}
	l.Progress.Step("node %s removed", n.Name)
	return nil
}

// NoNodeError says that the cluster has no such node.
type NoNodeError struct{ Cluster, Node string }

// Error says where to look.
func (e *NoNodeError) Error() string {
	return fmt.Sprintf("there is no node %q in cluster %q: `status` lists its nodes", e.Node, e.Cluster)
}

// Load imports an image archive into every node that runs.
func (l *Launcher) Load(ctx context.Context, archive string) error {
	w, err := l.open()
	if err != nil {
		return err
	}
	if err := l.running(w); err != nil {
		return err
	}
	for _, n := range w.state.Staying() {
		if err := w.nodes.Import(ctx, l.Clock, clock.Wait{Every: look, Limit: time.Minute}, n.Name, archive); err != nil {
			return err
		}
		l.Progress.Step("loaded into node %s", n.Name)
	}
	return nil
}
