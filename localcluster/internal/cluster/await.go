package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/kube"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/preflight"
	"kaito.sh/kaito/localcluster/internal/process"
	"kaito.sh/kaito/localcluster/internal/render"
)

const (
	look      = 50 * time.Millisecond
	longPorts = 5 * time.Second
	longAPI   = 2 * time.Minute
	longNodes = 3 * time.Minute
)

// awaitPorts waits until a component can listen: one that was killed a moment ago
// still holds its ports while the kernel takes it down.
func (l *Launcher) awaitPorts(ctx context.Context, place layout.Cluster, c render.Component) error {
	var taken *preflight.PortError
	for _, port := range c.Ports {
		wait := clock.Wait{What: "look for a free port", Every: look, Limit: longPorts}
		err := l.Clock.Until(ctx, wait, func(ctx context.Context) error {
			err := preflight.Port(ctx, c.Name, place.Address(port))
			if err != nil && !errors.As(err, &taken) {
				return clock.Final(err)
			}
			return err
		})
		if errors.As(err, &taken) {
			return taken
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitAPI waits for the API server, and no longer than it and etcd live.
func (l *Launcher) awaitAPI(ctx context.Context, w raised) error {
	wait := clock.Wait{What: "API server ready", Every: look, Limit: longAPI}
	err := l.Clock.Until(ctx, wait, func(ctx context.Context) error {
		for _, name := range []string{render.Etcd, render.APIServer} {
			if _, alive := process.Find(w.place.PidFile(name)); !alive {
				return clock.Final(fmt.Errorf("%s ended; its log is %s; run `up` again once its cause is gone", name, w.place.Log(name)))
			}
		}
		return w.client.Get(ctx, "/readyz", nil)
	})
	if err != nil {
		return fmt.Errorf("%w; its log is %s", err, w.place.Log(render.APIServer))
	}
	l.Progress.Step("API server ready at %s", w.place.Server())
	return nil
}

// awaitAccount waits for the account without which no pod can be made.
func (l *Launcher) awaitAccount(ctx context.Context, c *kube.Client) error {
	wait := clock.Wait{What: "default service account there", Every: look, Limit: longAPI}
	err := l.Clock.Until(ctx, wait, func(ctx context.Context) error {
		return c.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
	})
	if err != nil {
		return fmt.Errorf("%w; see `logs %s`", err, render.Manager)
	}
	l.Progress.Step("service accounts ready")
	return nil
}

// awaitNode waits until a node is Ready, and gives it the labels that its kubelet may not.
func (l *Launcher) awaitNode(ctx context.Context, w raised, name string) error {
	n, _ := w.state.Find(name)
	since := w.since
	if w.before[name] {
		since = time.Time{}
	}
	wait := clock.Wait{What: fmt.Sprintf("node %q Ready", name), Every: look, Limit: longNodes}
	err := l.Clock.Until(ctx, wait, func(ctx context.Context) error {
		if _, alive := w.nodes.Running(name); !alive {
			return clock.Final(fmt.Errorf("its first process ended; its log is %s", w.place.NodeLog(name, "init")))
		}
		return w.client.NodeReady(ctx, name, since)
	})
	if err != nil {
		return fmt.Errorf("%w; see `logs %s/kubelet`", err, name)
	}
	if labels := w.nodes.Render(n).AdminLabels(); len(labels) > 0 {
		patch := map[string]any{"metadata": map[string]any{"labels": labels}}
		if err := w.client.Merge(ctx, kube.NodePath(name), patch); err != nil {
			return fmt.Errorf("label node %q: %w", name, err)
		}
	}
	l.Progress.Step("node %s Ready", name)
	return nil
}

// allRun looks once more at every component: one that ended right after its
// start, over a bad file for example, would otherwise be missed only later.
func (l *Launcher) allRun(w raised) error {
	var errs []error
	for _, c := range l.components(w.place, w.state.Programs) {
		if _, alive := process.Find(w.place.PidFile(c.Name)); !alive {
			errs = append(errs, fmt.Errorf("%s ended; its log is %s; run `up` again once its cause is gone", c.Name, w.place.Log(c.Name)))
		}
	}
	return errors.Join(errs...)
}
