package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/credentials"
	"kaito.sh/kaito/localcluster/internal/host"
	"kaito.sh/kaito/localcluster/internal/kube"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/network"
	"kaito.sh/kaito/localcluster/internal/node"
	"kaito.sh/kaito/localcluster/internal/pause"
	"kaito.sh/kaito/localcluster/internal/preflight"
	"kaito.sh/kaito/localcluster/internal/process"
	"kaito.sh/kaito/localcluster/internal/record"
	"kaito.sh/kaito/localcluster/internal/render"
	"kaito.sh/kaito/localcluster/internal/state"
	"kaito.sh/kaito/localcluster/internal/sysctl"
)

// UpOptions are the wishes for a cluster.
type UpOptions struct {
	// Nodes is the number of nodes to have at least; 0 keeps those there are.
	Nodes int
	// MinDisk is the room in bytes that must be free.
	MinDisk int64
}

// needed are the programs that a cluster starts.
func needed() []string {
	return []string{
		render.Etcd, render.APIServer, render.Manager, render.Scheduler, render.Registry, render.DNS, render.Volumes,
		render.Kubelet, render.Proxy, render.GPUs, render.Containerd, "containerd-shim-runc-v2", "ctr", "runc",
		"bridge", "loopback", "host-local", "portmap", "pause",
	}
}

// Up makes the cluster run: a new one, one that is down, one of which a part or
// all was killed, or one that runs already.
func (l *Launcher) Up(ctx context.Context, o UpOptions) error {
	programs, err := l.check(ctx, o)
	if err != nil {
		return err
	}
	lock, err := l.lock(ctx, layout.New(l.Root, l.Name, 0))
	if err != nil {
		return err
	}
	w, err := l.raise(ctx, o, programs)
	// Waiting for nodes changes nothing, so others may go on meanwhile.
	if err := errors.Join(err, lock.Release()); err != nil {
		return err
	}
	if err := l.awaitAccount(ctx, w.client); err != nil {
		return err
	}
	for _, n := range w.state.Staying() {
		if err := l.awaitNode(ctx, w, n.Name); err != nil {
			return err
		}
	}
	return l.allRun(w)
}

// check looks at the machine; it changes nothing but the programs' cache.
func (l *Launcher) check(ctx context.Context, o UpOptions) (string, error) {
	err := errors.Join(layout.CheckName("cluster", l.Name), preflight.Root(l.User))
	if err == nil {
		err = errors.Join(preflight.HostPrograms(preflight.SearchPath), preflight.Disk(l.Root, o.MinDisk))
	}
	if err != nil {
		return "", err
	}
	programs, err := l.Programs(ctx)
	if err != nil {
		return "", err
	}
	return programs, preflight.Programs(programs, needed())
}

// raised is a cluster whose processes were started.
type raised struct {
	tools
	state  state.Cluster
	nodes  node.Host
	client *kube.Client
	since  time.Time
	// before are the nodes that ran already, whose old heartbeat is good enough.
	before map[string]bool
}

// raise starts everything that does not run, in the order that saves time:
// controllers and nodes only after the API server answers, since they would
// otherwise fail their first call and wait for seconds.
func (l *Launcher) raise(ctx context.Context, o UpOptions, programs string) (raised, error) {
	st, err := l.claim(ctx, o, programs)
	if err != nil {
		return raised{}, err
	}
	w := raised{state: st, before: map[string]bool{}}
	if w.tools, err = l.tools(layout.New(l.Root, l.Name, st.Index), programs); err != nil {
		return w, err
	}
	if w.nodes, err = l.nodes(w.tools, programs); err != nil {
		return w, err
	}
	if err := l.furnish(w.tools, programs); err != nil {
		return w, err
	}
	l.Progress.Step("certificates and configuration")
	if err := network.Bridge(w.place.Bridge(), w.place.MAC(0), w.place.HostIP()+"/24"); err != nil {
		return w, err
	}
	if w.client, err = l.client(w.tools); err != nil {
		return w, err
	}
	components := l.components(w.place, programs)
	if err := l.start(ctx, w.tools, components, false); err != nil {
		return w, err
	}
	if err := l.awaitAPI(ctx, w); err != nil {
		return w, err
	}
	if err := l.start(ctx, w.tools, components, true); err != nil {
		return w, err
	}
	if err := l.startNodes(ctx, &w); err != nil {
		return w, err
	}
	return w, l.applyObjects(ctx, w.client)
}

// claim settles the cluster's index and nodes, and writes both down before
// anything is made for them.
func (l *Launcher) claim(ctx context.Context, o UpOptions, programs string) (state.Cluster, error) {
	st, err := state.Load(layout.New(l.Root, l.Name, 0).StateFile())
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return st, err
	}
	if err := l.settle(ctx, &st, fresh); err != nil {
		return st, err
	}
	st.Name, st.Programs = l.Name, programs
	if o.Nodes == 0 && len(st.Nodes) == 0 {
		o.Nodes = 1
	}
	if err := st.Grow(o.Nodes); err != nil {
		return st, err
	}
	return st, st.Save(layout.New(l.Root, l.Name, st.Index).StateFile())
}

// settle gives the cluster its index and marks it as running in the machine's record.
func (l *Launcher) settle(ctx context.Context, st *state.Cluster, fresh bool) error {
	dir := layout.New(l.Root, l.Name, 0).Dir
	used, err := network.InUse()
	if err != nil {
		return err
	}
	free := func(i int) error {
		c := layout.New(l.Root, l.Name, i)
		return network.Clash(used, c.Ranges(), c.Bridge())
	}
	settings, err := sysctl.Read(sysctl.Root)
	if err != nil {
		return err
	}
	return l.onHost(ctx, func(r *host.Record) error {
		var err error
		if fresh {
			st.Index, err = r.Claim(dir, free)
		} else {
			err = r.Adopt(dir, st.Index)
		}
		if err != nil {
			return err
		}
		if err := free(st.Index); err != nil {
			return fmt.Errorf("%w; remove it, or give cluster %q other addresses with `down --purge` and `up`", err, l.Name)
		}
		r.Activate(dir, settings)
		for _, p := range node.MountPoints() {
			if err := r.MakeFolder(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// furnish makes the cluster's keys, folders and files.
func (l *Launcher) furnish(t tools, programs string) error {
	for _, d := range []string{"files", "volumes", "run", "log", "conf", "registry/data"} {
		if err := os.MkdirAll(t.place.Path(d), 0o755); err != nil {
			return fmt.Errorf("make the cluster's folders: %w", err)
		}
	}
	if err := certificates(t); err != nil {
		return err
	}
	if err := credentials.Ensure(t.place.Path("registry")); err != nil {
		return err
	}
	if err := pause.Write(node.PauseArchive(t.place), render.PauseImage, programs+"/pause"); err != nil {
		return err
	}
	if err := hosts(render.HostsFile(t.place)); err != nil {
		return err
	}
	return record.WriteFile(t.place.Conf("Corefile"), []byte(render.Corefile(t.place)), 0o644)
}

// hosts makes an empty hosts file, or leaves the one that is there: it is the user's.
func hosts(name string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return fmt.Errorf("make the hosts file: %w", err)
	}
	return file.Close()
}

// start runs the components that do not run, of one of the two halves.
func (l *Launcher) start(ctx context.Context, t tools, components []render.Component, needsAPI bool) error {
	if err := t.tree.Make(t.place.ControlPlaneCgroup()); err != nil {
		return err
	}
	for _, c := range components {
		if _, alive := process.Find(t.place.PidFile(c.Name)); alive || c.NeedsAPI != needsAPI {
			continue
		}
		if err := l.awaitPorts(ctx, t.place, c); err != nil {
			return err
		}
		_, err := t.starter.Start(ctx, process.Spec{
			Name: c.Name, Argv: c.Argv, PidFile: t.place.PidFile(c.Name), Cgroup: t.place.ControlPlaneCgroup(), Log: t.place.Log(c.Name),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// startNodes starts the nodes that stay and finishes those that leave.
func (l *Launcher) startNodes(ctx context.Context, w *raised) error {
	w.since = l.Clock.Now()
	for _, n := range w.state.Nodes {
		if n.Leaving {
			if err := l.discard(ctx, w, n); err != nil {
				return err
			}
			continue
		}
		_, w.before[n.Name] = w.nodes.Running(n.Name)
		if err := w.nodes.Start(ctx, n); err != nil {
			return err
		}
	}
	if err := w.nodes.Wire(w.state.Staying()); err != nil {
		return err
	}
	l.Progress.Step("processes started")
	wait := clock.Wait{Every: 50 * time.Millisecond, Limit: time.Minute}
	for _, n := range w.state.Staying() {
		if err := w.nodes.Once(ctx, l.Clock, wait, n.Name, node.PauseArchive(w.place)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Launcher) applyObjects(ctx context.Context, c *kube.Client) error {
	for _, o := range render.Objects() {
		if err := c.Apply(ctx, o.Path, o.JSON); err != nil {
			return fmt.Errorf("set up the cluster: %w", err)
		}
	}
	return nil
}
