// Package command is the command line of the emulator.
package command

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
)

// World is what main hands in.
type World struct {
	// Stdout takes answers, Stderr takes logs and errors.
	Stdout, Stderr io.Writer
	// Long is the version in full.
	Long string
	// Clock is the cloud's.
	Clock clock.Clock
}

// Execute runs the command line and returns the exit code: 0, 1 for a failure, 2 for usage.
func Execute(ctx context.Context, w World, args []string) int {
	started := false
	cmd := root(w, &started)
	cmd.SetArgs(args)
	cmd.SetOut(w.Stdout)
	cmd.SetErr(w.Stderr)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case started:
		fmt.Fprintf(w.Stderr, "arm-emulator: %v\n", err)
		return 1
	}
	fmt.Fprintf(w.Stderr, "arm-emulator: %v\nSee arm-emulator --help.\n", err)
	return 2
}

const example = `  # Machines in memory; any bearer token is let in.
  arm-emulator --dir /tmp/arm

  # Pools become kubelets of the local cluster, and callers need its workload identity.
  arm-emulator --dir /tmp/arm --machines kubelets --localcluster bin/kaito-localcluster \
    --tenant 72f988bf-86f1-41af-91ab-2d7cd011db47 --kubeconfig "$(bin/kaito local kubeconfig)" \
    --identity 11111111-2222-3333-4444-555555555555=system:serviceaccount:kaito-system:gpu-provisioner

  # A quota of one machine with an A100, and a way to see and to disturb what happens.
  arm-emulator --dir /tmp/arm --quota StandardNCADSA100v4Family=24 --control 127.0.0.1:8444
  curl -s http://127.0.0.1:8444/counts
  curl -s http://127.0.0.1:8444/faults -d '[{"on":"put","do":"fail","say":"sku-not-available"}]'`

func root(w World, started *bool) *cobra.Command {
	f := defaults()
	cmd := &cobra.Command{
		Use:   "arm-emulator",
		Short: "Stands for Azure Resource Manager before one AKS cluster",
		Long: "arm-emulator speaks Azure Resource Manager's protocol for the agent pools of one managed cluster, and Microsoft\n" +
			"Entra's for workload identity, over TLS on one address. The official clients run against it unmodified: they need\n" +
			"that address as both endpoints, and ca.crt from the folder --dir.",
		Example:       example,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			*started = true
			return run(cmd.Context(), w, f)
		},
	}
	f.bind(cmd.Flags())
	cmd.AddCommand(&cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), w.Long) },
	})
	return cmd
}
