// Package node holds the verbs "node add" and "node remove".
package node

import (
	"fmt"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/state"
)

// New is the group of both.
func New(t *target.Target, launch target.Launch) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "Add a node to the running cluster, or remove one",
		Example: "  kaito local node add gpu --gpus 2\n  kaito local node remove gpu",
		// A group that runs refuses what it does not know; one that does not prints its help and is content.
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(add(t, launch), remove(t, launch))
	return cmd
}

type flags struct {
	labels, taints []string
	cpu, memory    string
	shape          state.Shape
}

func add(t *target.Target, launch target.Launch) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a node and wait until it is Ready",
		Example: `  kaito local node add gpu --label sku=gpu --taint sku=gpu:NoSchedule --gpus 2
  kaito local node add small --cpu 1 --memory 2Gi`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			shape, err := f.parse()
			if err != nil {
				return err
			}
			t.Out = cmd.ErrOrStderr()
			return launch(*t).AddNode(cmd.Context(), args[0], shape)
		},
	}
	cmd.Flags().StringArrayVar(&f.labels, "label", nil, "label as key=value; may be given again")
	cmd.Flags().StringArrayVar(&f.taints, "taint", nil, "taint as key=value:Effect; may be given again")
	cmd.Flags().StringVar(&f.shape.ProviderID, "provider-id", "", "provider ID of the machine that the node stands for")
	cmd.Flags().StringVar(&f.cpu, "cpu", "", "CPUs for pods, such as 2 or 500m (default: all of the machine)")
	cmd.Flags().StringVar(&f.memory, "memory", "", "memory for pods, such as 4Gi (default: all of the machine)")
	cmd.Flags().IntVar(&f.shape.GPUs, "gpus", 0, "number of stand-in GPUs")
	cmd.Flags().StringVar(&f.shape.GPUResource, "gpu-resource", "nvidia.com/gpu", "resource name of the stand-in GPUs")
	return cmd
}

// parse checks every flag before anything is done.
func (f flags) parse() (state.Shape, error) {
	s := f.shape
	var err error
	if s.Labels, err = state.ParseLabels(f.labels); err != nil {
		return s, fmt.Errorf("--label: %w", err)
	}
	for _, text := range f.taints {
		taint, err := state.ParseTaint(text)
		if err != nil {
			return s, fmt.Errorf("--taint: %w", err)
		}
		s.Taints = append(s.Taints, taint)
	}
	if f.cpu != "" {
		if s.MilliCPU, err = state.ParseCPU(f.cpu); err != nil {
			return s, fmt.Errorf("--cpu: %w", err)
		}
	}
	if f.memory != "" {
		if s.Memory, err = state.ParseMemory(f.memory); err != nil {
			return s, fmt.Errorf("--memory: %w", err)
		}
	}
	if s.GPUs < 0 || s.GPUs > 64 {
		return s, fmt.Errorf("--gpus %d: give 0 to 64", s.GPUs)
	}
	if s.GPUs == 0 {
		s.GPUResource = ""
	}
	return s, nil
}

func remove(t *target.Target, launch target.Launch) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a node with everything on it; its pods are not drained",
		Example: "  kaito local node remove gpu",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.Out = cmd.ErrOrStderr()
			return launch(*t).RemoveNode(cmd.Context(), args[0])
		},
	}
}
