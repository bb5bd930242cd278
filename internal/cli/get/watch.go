package get

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

// again is the pause before a watch that broke is begun anew.
const again = time.Second

// follower prints a Workspace when what is shown of it changes.
type follower struct {
	where cluster.Where
	names []string
	table *table
	known v1beta1.WorkspaceList
	shown map[types.NamespacedName]string
}

// follow watches until the user has seen enough. A watch that ends is begun anew;
// what was missed meanwhile comes with the list.
func follow(ctx context.Context, sh shell.Shell, c *cluster.Cluster, f *follower) error {
	f.shown = map[types.NamespacedName]string{}
	shown := pick(f.known.Items, f.names)
	for i := range shown {
		f.news(&shown[i])
	}
	for {
		err := f.once(ctx, sh, c)
		if err != nil && ctx.Err() == nil && !gone(err) {
			_, _ = fmt.Fprintf(sh.Err, "The watch broke and is begun anew: %v\n", err)
		}
		if err := f.relist(ctx, sh, c); err != nil {
			return nil //nolint:nilerr // Ctrl-C is how a watch ends
		}
	}
}

// relist reads the list until that works, or the user has seen enough.
func (f *follower) relist(ctx context.Context, sh shell.Shell, c *cluster.Cluster) error {
	for {
		if err := sh.Sleep(ctx, again); err != nil {
			return err
		}
		var all v1beta1.WorkspaceList
		if err := c.List(ctx, f.where, &all); err != nil {
			continue
		}
		f.known = all
		break
	}
	picked := pick(f.known.Items, f.names)
	there := map[types.NamespacedName]bool{}
	for i := range picked {
		there[key(&picked[i])] = true
		f.tell(sh, &picked[i])
	}
	for _, k := range slices.SortedFunc(maps.Keys(f.shown), func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) }) {
		if !there[k] {
			f.deleted(sh, k)
		}
	}
	return nil
}

// once follows one watch to its end.
func (f *follower) once(ctx context.Context, sh shell.Shell, c *cluster.Cluster) error {
	w, err := c.Watch(ctx, f.where, &f.known, &v1beta1.WorkspaceList{})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		ws, ok := e.Object.(*v1beta1.Workspace)
		switch {
		case !ok:
			return apierrors.FromObject(e.Object)
		case len(f.names) > 0 && !slices.Contains(f.names, ws.Name):
		case e.Type == watch.Deleted:
			f.deleted(sh, key(ws))
		default:
			f.tell(sh, ws)
		}
	}
	return nil
}

func (f *follower) tell(sh shell.Shell, ws *v1beta1.Workspace) {
	if f.news(ws) {
		f.table.row(sh.Text(), ws)
	}
}

func (f *follower) deleted(sh shell.Shell, k types.NamespacedName) {
	delete(f.shown, k)
	name := k.Name
	if f.where.Namespace == "" {
		name = k.String()
	}
	_, _ = fmt.Fprintf(sh.Out, "%s is deleted\n", name)
}

// news is true for a Workspace that is not as it was shown. Its age does not count.
func (f *follower) news(ws *v1beta1.Workspace) bool {
	cells := make([]string, 0, len(f.table.columns)+1)
	for _, c := range f.table.columns {
		cells = append(cells, c.value(ws, ws.CreationTimestamp.Time))
	}
	now := strings.Join(append(cells, chain.Line(ws)), "\x00")
	before, seen := f.shown[key(ws)]
	f.shown[key(ws)] = now
	return !seen || before != now
}

func key(ws *v1beta1.Workspace) types.NamespacedName {
	return types.NamespacedName{Namespace: ws.Namespace, Name: ws.Name}
}
