// Package logs is the verb "logs".
package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/clock"
)

// tail is how much of a log is shown.
const tail = 64 << 10

// New is the command.
func New(t *target.Target, launch target.Launch, c clock.Clock) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [COMPONENT | NODE/COMPONENT]",
		Short: "Show the end of a component's log, or list the logs",
		Example: `  kaito local logs
  kaito local logs kube-apiserver
  kaito local logs node1/kubelet -f`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.Out = cmd.ErrOrStderr()
			l := launch(*t)
			if len(args) == 0 {
				all, err := l.Logs()
				if err != nil {
					return err
				}
				for _, name := range slices.Sorted(maps.Keys(all)) {
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-36s %s\n", name, all[name]); err != nil {
						return err
					}
				}
				return nil
			}
			path, err := l.Log(args[0])
			if err != nil {
				return err
			}
			return show(cmd.Context(), cmd.OutOrStdout(), reader{path: path, follow: follow, clock: c})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	return cmd
}

type reader struct {
	path   string
	follow bool
	clock  clock.Clock
}

// show prints the end of the file from the beginning of a line, and follows it.
func show(ctx context.Context, out io.Writer, r reader) error {
	f, err := os.Open(r.path)
	if err != nil {
		return fmt.Errorf("show log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := skip(f); err != nil {
		return fmt.Errorf("show log %q: %w", r.path, err)
	}
	for {
		if _, err := io.Copy(out, f); err != nil {
			return fmt.Errorf("show log %q: %w", r.path, err)
		}
		if !r.follow || r.clock.Sleep(ctx, 200*time.Millisecond) != nil {
			return nil
		}
	}
}

// skip leads to the first whole line of the file's end.
func skip(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size <= tail {
		_, err = f.Seek(0, io.SeekStart)
		return err
	}
	buf := make([]byte, tail)
	if _, err := f.ReadAt(buf, size-tail); err != nil && err != io.EOF {
		return err
	}
	_, err = f.Seek(size-tail+int64(bytes.IndexByte(buf, '\n'))+1, io.SeekStart)
	return err
}
