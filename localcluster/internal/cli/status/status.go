// Package status is the verb "status".
package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/cluster"
)

// errNotReady makes the exit code say what the table says.
var errNotReady = errors.New("not everything is running: `up` starts what is missing, `logs` shows why it ended")

// New is the command.
func New(t *target.Target, launch target.Launch) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs and where; exits 1 unless all is ready",
		Example: `  kaito local status
  kaito local status -o json | jq -r '.nodes[].address'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.Out = cmd.ErrOrStderr()
			s, err := launch(*t).Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := write(cmd.OutOrStdout(), output, s); err != nil {
				return err
			}
			if !s.Ready {
				return errNotReady
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, or nothing for a table")
	return cmd
}

func write(out io.Writer, format string, s cluster.Status) error {
	switch format {
	case "":
		return table(out, s)
	case "json":
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return fmt.Errorf("--output %q: give json, or leave it out for a table", format)
}

func table(out io.Writer, s cluster.Status) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	// A tabwriter reports at its end what went wrong before.
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("cluster\t%s", s.Name)
	line("API server\t%s", s.Server)
	line("kubeconfig\t%s", s.Kubeconfig)
	line("registry\t%s (registry.local:5000 in pods)", s.Registry)
	line("files\t%s (http://files.local:8080 in pods)", s.Files)
	line("pods, services\t%s, %s", s.Pods, s.Services)
	line("\nCOMPONENT\tRUNNING\tPID")
	for _, c := range s.Components {
		line("%s\t%s\t%s", c.Name, yes(c.Running), number(c.Pid))
	}
	line("\nNODE\tRUNNING\tREADY\tADDRESS\tPODS\tGPUS\tMESSAGE")
	for _, n := range s.Nodes {
		line("%s\t%s\t%s\t%s\t%s\t%s\t%s", n.Name, yes(n.Running), n.Ready, n.Address, n.PodCIDR, number(n.GPUs), n.Message)
	}
	return w.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
