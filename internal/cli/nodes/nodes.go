// Package nodes is `kaito nodes`: the nodes that were asked for, for which Workspace, how
// far they are, and what they wait for.
package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

type options struct {
	cluster cluster.Flags
	names   []string
	all     bool
	output  string
}

// New is `kaito nodes`.
func New(sh shell.Shell) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "nodes [WORKSPACE…]",
		Short: "List the nodes that were asked for, and what they wait for",
		Long: `List the nodes that Workspaces with resource.instanceType have asked for: for each
its NodeClaim, the Workspace, the type, how far it is, and below one that is not
ready the provisioner's own words, which are those of the cloud.

NodeClaims stand in no namespace: reading them is a right of its own.`,
		Example: shell.Examples(sh.Name, `
			KAITO nodes
			KAITO nodes workspace-tuning-phi-3
			KAITO nodes --all-namespaces --output wide
			KAITO nodes --output json`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			switch {
			case !slices.Contains([]string{"table", "wide", "json", "yaml"}, o.output):
				return shell.Usage(cmd, "-o %s is not one of table, wide, json and yaml", o.output)
			case o.all && len(o.names) > 0:
				return shell.Usage(cmd, "a Workspace by name stands in one namespace: leave out -A, or the name")
			case o.all && o.cluster.Namespace != "":
				return shell.Usage(cmd, "-A and -n exclude each other")
			}
			c, err := cluster.Open(sh, o.cluster)
			if err != nil {
				return err
			}
			return run(cmd.Context(), sh, c, o)
		},
	}
	o.cluster.Bind(cmd)
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "list those for Workspaces of every namespace")
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "`FORMAT`: table, wide, json or yaml")
	return cmd
}

func run(ctx context.Context, sh shell.Shell, c *cluster.Cluster, o options) error {
	namespace := c.Namespace
	if o.all {
		namespace = ""
	}
	claims, err := c.NodeClaims(ctx, Of(namespace, ""))
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(From(claims), func(n Node) bool { return len(o.names) > 0 && !slices.Contains(o.names, n.Workspace) })
	switch o.output {
	case "json", "yaml":
		return document(sh.Out, o.output, all)
	}
	if len(all) == 0 {
		_, _ = fmt.Fprintln(sh.Err, nothing(namespace, o.names))
		return nil
	}
	return table(sh.Text(), all, o.output == "wide", o.all, sh.Now())
}

func nothing(namespace string, names []string) string {
	switch {
	case len(names) > 0:
		return fmt.Sprintf("No node was asked for by %s in namespace %q", strings.Join(names, ", "), namespace)
	case namespace == "":
		return "No node was asked for in this cluster"
	}
	return fmt.Sprintf("No node was asked for in namespace %q; -A looks in all", namespace)
}

// table prints a line for each node, and below one that waits what it waits for.
func table(w io.Writer, all []Node, wide, namespaces bool, now time.Time) error {
	var lines strings.Builder
	t := tabwriter.NewWriter(&lines, 0, 0, 3, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) }
	row := func(namespace, name, workspace, kind, state, node, age string, more ...string) {
		cells := []string{name, workspace, kind, state, node, age}
		if namespaces {
			cells = append([]string{namespace}, cells...)
		}
		if wide {
			cells = append(cells, more...)
		}
		line(cells...)
	}
	row("NAMESPACE", "NODECLAIM", "WORKSPACE", "TYPE", "STATE", "NODE", "AGE", "CAPACITY", "ZONE", "ORDINAL", "ATTEMPT")
	for _, n := range all {
		row(n.Namespace, n.Name, n.Workspace, n.Type, n.State, n.Node, duration.HumanDuration(now.Sub(n.Created.Time)), n.Capacity, n.Zone, n.Ordinal, n.Attempt)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	rows := strings.Split(strings.TrimRight(lines.String(), "\n"), "\n")
	for i, text := range rows {
		_, _ = fmt.Fprintln(w, strings.TrimRight(text, " "))
		if i > 0 {
			because(w, all[i-1])
		}
	}
	return nil
}

// because is the line of a node that waits.
func because(w io.Writer, n Node) {
	switch {
	case n.Waits != nil:
		_, _ = fmt.Fprintf(w, "  %s %s: %s\n", n.Waits.Step, n.Waits.Reason, strings.ReplaceAll(n.Waits.Message, "\n", " "))
	case n.State == asked:
		_, _ = fmt.Fprintln(w, "  No provisioner has taken it up yet: if that lasts, see that the gpu-provisioner runs")
	}
}

func document(w io.Writer, format string, all []Node) error {
	raw, err := json.MarshalIndent(all, "", "  ")
	if err == nil && format == "yaml" {
		raw, err = yaml.JSONToYAML(raw)
	}
	if err != nil {
		return fmt.Errorf("write nodes: %w", err)
	}
	_, err = fmt.Fprintln(w, strings.TrimRight(string(raw), "\n"))
	return err
}
