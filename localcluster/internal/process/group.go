package process

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"kaito.sh/kaito/localcluster/internal/cgroup"
	"kaito.sh/kaito/localcluster/internal/clock"
)

// Empty ends every process in a control group by force, and answers how many
// there were that had not been about to end. It finds also those whose pid file
// was lost.
func (s *Starter) Empty(ctx context.Context, tree *cgroup.Tree, group string) (int, error) {
	first := -1
	w := clock.Wait{What: fmt.Sprintf("end the processes of cgroup %q", group), Every: 10 * time.Millisecond, Limit: 20 * time.Second}
	err := s.clock.Until(ctx, w, func(context.Context) error {
		pids, err := tree.Processes(group)
		if err != nil {
			return clock.Final(err)
		}
		if first < 0 {
			first = running(pids)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			// It may have ended by itself in the meantime.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return fmt.Errorf("%d are left: %v", len(pids), pids)
	})
	return max(first, 0), err
}

// Dissolve removes a control group once its last process is gone from it, which
// the kernel may still be busy with.
func (s *Starter) Dissolve(ctx context.Context, tree *cgroup.Tree, group string) error {
	w := clock.Wait{What: fmt.Sprintf("remove cgroup %q", group), Every: 10 * time.Millisecond, Limit: 10 * time.Second}
	return s.clock.Until(ctx, w, func(context.Context) error { return tree.Remove(group) })
}

// running counts those that nobody has ended yet.
func running(pids []int) int {
	n := 0
	for _, pid := range pids {
		if _, alive := startTime(pid); alive && !(Identity{Pid: pid}).doomed() {
			n++
		}
	}
	return n
}
