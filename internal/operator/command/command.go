// Package command is the command line of the operator.
package command

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/operator"
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
		fmt.Fprintf(w.Stderr, "kaito-operator: %v\n", err)
		return 1
	}
	fmt.Fprintf(w.Stderr, "kaito-operator: %v\nSee kaito-operator --help.\n", err)
	return 2
}

func root(w World, started *bool) *cobra.Command {
	var cfg config.Operator
	cmd := &cobra.Command{
		Use:   "kaito-operator",
		Short: "Turns Workspaces into running models",
		Long: "kaito-operator reconciles Workspaces: it plans each model for the nodes that its Workspace selects,\n" +
			"runs it, and reports. It is installed by charts/kaito and finds the cluster by its service account,\n" +
			"or outside a cluster by KUBECONFIG.",
		Example: "  kaito-operator --runner-image registry.local:5000/kaito/runner:dev \\\n" +
			"    --llamacpp-image registry.local:5000/kaito/llamacpp:dev --gate-image registry.local:5000/kaito/gate:dev \\\n" +
			"    --tuner-image registry.local:5000/kaito/tuner:dev --models registry.local:5000/kaito/models",
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

func run(ctx context.Context, w World, cfg config.Operator) error {
	level, err := cfg.Level()
	if err != nil {
		return err
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: level}))
	// The two libraries below log through globals of their own.
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if cfg.FetchCAFile != "" {
		pem, err := os.ReadFile(cfg.FetchCAFile)
		if err != nil {
			return fmt.Errorf("read --fetch-ca-file: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return fmt.Errorf("--fetch-ca-file %q: there is no certificate in PEM in it", cfg.FetchCAFile)
		}
		cfg.FetchCA = string(pem)
	}
	cluster, err := w.Cluster()
	if err != nil {
		return fmt.Errorf("find the cluster (in a pod by its service account, else by KUBECONFIG): %w", err)
	}
	return operator.Run(ctx, cluster, cfg, log)
}
