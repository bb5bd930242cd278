// Package get is `kaito get`: the Workspaces as kubectl lists them, and for each
// that waits the reason, which a column of kubectl has no room for.
package get

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

// options are the flags and arguments.
type options struct {
	cluster cluster.Flags
	names   []string
	all     bool
	output  string
	watch   bool
}

// New is `kaito get`.
func New(sh shell.Shell) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "get [WORKSPACE…]",
		Short: "List Workspaces, and what those that are not ready wait for",
		Long: `List Workspaces with the columns of kubectl, and below each one that is not
ready the first condition that is not True, with its reason and its message.`,
		Example: shell.Examples(sh.Name, `
			KAITO get
			KAITO get smollm2 --watch
			KAITO get --all-namespaces --output wide
			KAITO get smollm2 --output yaml`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			if err := o.check(cmd); err != nil {
				return err
			}
			c, err := cluster.Open(sh, o.cluster)
			if err != nil {
				return err
			}
			return run(cmd.Context(), sh, c, o)
		},
	}
	o.cluster.Bind(cmd)
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "list those of every namespace")
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "`FORMAT`: table, wide, json or yaml")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "go on and print what changes, until Ctrl-C")
	return cmd
}

func (o options) check(cmd *cobra.Command) error {
	switch {
	case !slices.Contains([]string{"table", "wide", "json", "yaml"}, o.output):
		return shell.Usage(cmd, "-o %s is not one of table, wide, json and yaml", o.output)
	case o.all && len(o.names) > 0:
		return shell.Usage(cmd, "a Workspace by name stands in one namespace: leave out -A, or the name")
	case o.all && o.cluster.Namespace != "":
		return shell.Usage(cmd, "-A and -n exclude each other")
	case o.watch && (o.output == "json" || o.output == "yaml"):
		return shell.Usage(cmd, "--watch prints a table: leave out -o %s", o.output)
	}
	return nil
}

func run(ctx context.Context, sh shell.Shell, c *cluster.Cluster, o options) error {
	where := cluster.Where{Namespace: c.Namespace}
	if o.all {
		where.Namespace = ""
	}
	f := found{}
	if err := f.read(ctx, c, where, o); err != nil {
		return err
	}
	if o.output == "json" || o.output == "yaml" {
		return errors.Join(document(sh.Out, o.output, f.picked, len(o.names) == 1), f.missing)
	}
	t := newTable(columns(o.output == "wide", o.all), sh.Now)
	if len(f.picked) > 0 || o.watch {
		t.write(sh.Text(), f.picked)
	} else if len(o.names) == 0 {
		_, _ = fmt.Fprintln(sh.Err, nothing(where.Namespace))
	}
	if f.missing != nil || !o.watch {
		return f.missing
	}
	return follow(ctx, sh, c, &follower{where: where, names: o.names, table: t, known: f.all})
}

// found is what was read.
type found struct {
	// all is the list that a watch goes on from.
	all    v1beta1.WorkspaceList
	picked []v1beta1.Workspace
	// missing says which names there are not.
	missing error
}

// read takes names one by one, which needs no right to list.
func (f *found) read(ctx context.Context, c *cluster.Cluster, where cluster.Where, o options) error {
	for _, n := range o.names {
		ws, err := c.Workspace(ctx, n)
		var absent *cluster.MissingError
		switch {
		case errors.As(err, &absent):
			f.missing = errors.Join(f.missing, err)
		case err != nil:
			return err
		default:
			f.picked = append(f.picked, *ws)
		}
	}
	if len(o.names) == 0 || o.watch {
		if err := c.List(ctx, where, &f.all); err != nil {
			return fmt.Errorf("list Workspaces: %w", err)
		}
		f.picked = f.all.Items
	}
	f.picked = pick(f.picked, o.names)
	return nil
}

// pick keeps the Workspaces that were asked for, sorted.
func pick(all []v1beta1.Workspace, names []string) []v1beta1.Workspace {
	var picked []v1beta1.Workspace
	for _, ws := range all {
		if len(names) == 0 || slices.Contains(names, ws.Name) {
			picked = append(picked, ws)
		}
	}
	slices.SortFunc(picked, func(a, b v1beta1.Workspace) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return picked
}

func nothing(namespace string) string {
	if namespace == "" {
		return "There are no Workspaces in this cluster"
	}
	return fmt.Sprintf("There are no Workspaces in namespace %q; -A looks in all", namespace)
}

// gone says that a watch must begin anew.
func gone(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}
