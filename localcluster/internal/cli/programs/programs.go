// Package programs is the verb "programs": build, list and prune the programs of
// the local cluster.
package programs

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/programs"
)

// flags are what a person may ask for beside building.
type flags struct {
	list  bool
	prune bool
	quiet bool
}

// New returns the command. The options are those of programs.Ensure, filled in cmd;
// the command adds only the names given as arguments.
func New(o programs.Options) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "programs [NAME...]",
		Short: "Build the programs of the local cluster into the cache",
		Long: `Build the programs of the local cluster (Kubernetes, etcd, containerd, runc, CNI,
Helm, kwok, the registry, CoreDNS) into the cache and print the folder that holds
them. What is in the cache already is not built again. "up" does the same by itself.

With names only those programs are made, with what is built together with them.`,
		Example: `  # build what is missing and list the folder
  ls $(kaito local programs)

  # only what the API tests need
  kaito local programs kube-apiserver etcd

  # what is in the cache, and what it took
  kaito local programs --list

  # remove programs of older sources that no process uses
  kaito local programs --prune`,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, names []string) error {
			o := o
			o.Names = names
			if f.quiet {
				o.Out = io.Discard
			}
			return run(cmd, f, o)
		},
	}
	cmd.Flags().BoolVar(&f.list, "list", false, "list the programs and whether they are in the cache; builds nothing")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "remove what other sources built and no running process uses")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "print nothing but the folder")
	cmd.MarkFlagsMutuallyExclusive("list", "prune")
	return cmd
}

func run(cmd *cobra.Command, f flags, o programs.Options) error {
	switch {
	case f.list:
		return list(cmd, o)
	case f.prune:
		if len(o.Names) > 0 {
			return errors.New("prune looks at the whole cache: leave the names out")
		}
		pruned, err := programs.Prune(cmd.Context(), o)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), pruned)
		return err
	default:
		bin, err := programs.Ensure(cmd.Context(), o)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), bin)
		return err
	}
}

func list(cmd *cobra.Command, o programs.Options) error {
	l, err := programs.List(cmd.Context(), o)
	if err != nil {
		return err
	}
	return l.Write(cmd.OutOrStdout())
}
