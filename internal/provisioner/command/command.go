// Package command is the command line of the provisioner.
package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/provisioner"
)

// World is what main hands in.
type World struct {
	// Stdout takes answers, Stderr takes logs and errors.
	Stdout, Stderr io.Writer
	// Cluster finds the cluster to run against.
	Cluster func() (*rest.Config, error)
	// Long is the version in full.
	Long string
}

// Execute runs the command line and returns the exit code: 0, 1 for a failure, 2 for usage.
func Execute(ctx context.Context, w World, args []string) int {
	started := false
	root := root(w, &started)
	root.SetArgs(args)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case started:
		fmt.Fprintf(w.Stderr, "gpu-provisioner: %v\n", err)
		return 1
	}
	fmt.Fprintf(w.Stderr, "gpu-provisioner: %v\nSee gpu-provisioner --help.\n", err)
	return 2
}

func root(w World, started *bool) *cobra.Command {
	var cfg config.Provisioner
	cmd := &cobra.Command{
		Use:   "gpu-provisioner",
		Short: "Makes nodes for NodeClaims, and takes them away again",
		Long: "gpu-provisioner serves NodeClaims (karpenter.sh/v1) of the class kaito.sh/KaitoNodeClass: it asks a cloud\n" +
			"for a machine of each, sees its node join and show its GPUs, repairs it, and removes it with the claim.\n" +
			"It is installed by charts/gpu-provisioner and finds the cluster by its service account, or outside a\n" +
			"cluster by KUBECONFIG.",
		Example: "  # agent pools of an AKS cluster, by workload identity\n" +
			"  gpu-provisioner --provider aks --aks-subscription 00000000-0000-0000-0000-000000000000 \\\n" +
			"    --aks-resource-group kaito --aks-cluster kaito --aks-location eastus \\\n" +
			"    --aks-tenant 11111111-1111-1111-1111-111111111111 --aks-client-id 22222222-2222-2222-2222-222222222222\n\n" +
			"  # machines that are only simulated, in whatever cluster KUBECONFIG names\n" +
			"  gpu-provisioner --provider sim --sim-create 2s --metrics-address 0\n\n" +
			"  # report machines that nobody asks for any more, and remove none\n" +
			"  gpu-provisioner --provider aks … --sweep-dry-run",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Check(); err != nil {
				return err
			}
			*started = true
			return run(cmd.Context(), w, cfg)
		},
	}
	cfg.Bind(cmd.Flags())
	cmd.AddCommand(&cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), w.Long) },
	})
	return cmd
}

func run(ctx context.Context, w World, cfg config.Provisioner) error {
	level, err := cfg.Level()
	if err != nil {
		return err
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: level}))
	// The two libraries below log through globals of their own.
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	cluster, err := w.Cluster()
	if err != nil {
		return fmt.Errorf("find the cluster (in a pod by its service account, else by KUBECONFIG): %w", err)
	}
	return provisioner.Run(ctx, cluster, cfg, log)
}
