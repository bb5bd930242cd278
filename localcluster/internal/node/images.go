package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/layout"
)

// namespace is where the kubelet looks for images.
const namespace = "k8s.io"

// Import loads an image archive into a running node.
func (h Host) Import(ctx context.Context, c clock.Clock, w clock.Wait, name, archive string) error {
	id, alive := h.Running(name)
	if !alive {
		return fmt.Errorf("load %q into node %q: the node does not run; start the cluster with `up`", archive, name)
	}
	w.What = fmt.Sprintf("load %q into node %q", archive, name)
	return c.Until(ctx, w, func(ctx context.Context) error {
		if _, err := os.Stat(h.Socket(id)); err != nil {
			if _, alive := h.Running(name); !alive {
				return clock.Final(fmt.Errorf("the node ended; its log is %s", h.Cluster.NodeLog(name, "init")))
			}
			return err
		}
		cmd := exec.CommandContext(ctx, filepath.Join(h.Programs, "ctr"), "-a", h.Socket(id), "-n", namespace, "images", "import", archive)
		cmd.Env = h.Env
		// containerd prints warnings on every call; only the exit code counts.
		if out, err := cmd.CombinedOutput(); err != nil {
			return clock.Final(fmt.Errorf("%w: %s", err, lastLine(out)))
		}
		return nil
	})
}

// Once imports the archive unless this node has this very one already. The mark
// is beside containerd's folder, which lives as long as the image.
func (h Host) Once(ctx context.Context, c clock.Clock, w clock.Wait, name, archive string) error {
	mark := h.Cluster.Node(name, filepath.Base(archive)+".imported")
	if same(mark, archive) {
		return nil
	}
	if err := h.Import(ctx, c, w, name, archive); err != nil {
		return err
	}
	if err := errors.Join(ignoreMissing(os.Remove(mark)), os.Link(archive, mark)); err != nil {
		return fmt.Errorf("note that node %q has %q: %w", name, archive, err)
	}
	return nil
}

// same is true while both names lead to one file: a new archive is a new file.
func same(mark, archive string) bool {
	a, errA := os.Stat(mark)
	b, errB := os.Stat(archive)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// PauseArchive is the image of each pod's first process.
func PauseArchive(c layout.Cluster) string { return c.Path("images", "pause.tar") }
