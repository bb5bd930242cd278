// Package cli is the command line that people meet: one folder a verb, flags
// apart from function, and everything from outside handed in by cmd/kaito.
package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/chat"
	"kaito.sh/kaito/internal/cli/dataset"
	"kaito.sh/kaito/internal/cli/explain"
	"kaito.sh/kaito/internal/cli/get"
	"kaito.sh/kaito/internal/cli/local"
	"kaito.sh/kaito/internal/cli/model"
	"kaito.sh/kaito/internal/cli/nodes"
	"kaito.sh/kaito/internal/cli/plan"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/cli/tune"
	"kaito.sh/kaito/internal/cli/version"
)

// Run runs the command line and returns the exit code. An error is printed once.
func Run(ctx context.Context, sh shell.Shell, args []string) int {
	root := New(sh)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), shell.ErrInterrupted) {
		err = shell.ErrInterrupted
	}
	if err != nil {
		_, _ = fmt.Fprintf(sh.Err, "%s: %v\n", sh.Name, err)
	}
	return shell.ExitCode(err)
}

// New builds the whole tree of commands.
func New(sh shell.Shell) *cobra.Command {
	root := shell.Group(&cobra.Command{
		Use:   "kaito",
		Short: "Run and tune models on Kubernetes",
		Long: `Kaito turns a short object, a Workspace, into a model that answers HTTP.
This program talks to models, says how Workspaces are, packages models, and runs a
local cluster to try them on.`,
		Example: shell.Examples(sh.Name, `
			# A real Kubernetes on this machine
			KAITO local up

			# On which machines a model runs, before anything is made
			KAITO plan phi-4-mini-instruct

			# What there is, why it is so, and what it says
			KAITO get
			KAITO explain smollm2
			KAITO chat smollm2

			# Nodes that are being made, and what they wait for
			KAITO nodes

			# Training data, before it is used
			KAITO dataset check harbour.parquet

			# How a training goes, until its model answers
			KAITO tune watch workspace-tuning-phi-3

			# A model file as an OCI image, and into a registry
			KAITO model package SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m-instruct
			KAITO model push smollm2-135m-instruct.oci registry.example.com/models/smollm2:gguf`),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: sh.Name},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	})
	root.SetOut(sh.Out)
	root.SetErr(sh.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return shell.Usage(cmd, "%w", err) })
	root.AddCommand(chat.New(sh), get.New(sh), explain.New(sh), nodes.New(sh), plan.New(sh), tune.New(sh), dataset.New(sh), model.New(sh), local.New(sh), version.New(sh))
	return root
}

// NameOf is how the user called the program, by the first word of its command
// line: as a plugin of kubectl the program is called kubectl-kaito.
func NameOf(argv0 string) string {
	if strings.HasPrefix(filepath.Base(argv0), "kubectl-kaito") {
		return "kubectl kaito"
	}
	return "kaito"
}
