// Package cli is the command line of kaito-localcluster: one folder a verb.
package cli

import (
	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/down"
	"kaito.sh/kaito/localcluster/internal/cli/internals"
	"kaito.sh/kaito/localcluster/internal/cli/load"
	"kaito.sh/kaito/localcluster/internal/cli/logs"
	"kaito.sh/kaito/localcluster/internal/cli/node"
	"kaito.sh/kaito/localcluster/internal/cli/show"
	"kaito.sh/kaito/localcluster/internal/cli/status"
	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/cli/up"
	"kaito.sh/kaito/localcluster/internal/clock"
)

// Deps are what the verbs need from outside.
type Deps struct {
	// Launch makes the launcher of a cluster.
	Launch target.Launch
	// Clock is the time.
	Clock clock.Clock
	// Env is this program's environment.
	Env []string
	// Version of this program.
	Version string
	// Started is called once the command line is understood: an error after that is no error of usage.
	Started func()
	// More makes the verbs of other rooms, about the same target.
	More func(*target.Target) []*cobra.Command
}

// New is the whole command line.
func New(d Deps) *cobra.Command {
	t := &target.Target{}
	root := &cobra.Command{
		Use:   "kaito-localcluster",
		Short: "A real Kubernetes on this machine, made of plain processes",
		Long: `A real Kubernetes on this machine: etcd, the API server, its controllers, and 1 to
5 nodes with kubelet and containerd, each in namespaces of its own; beside them a
container registry, DNS, a file server for data sets and a storage class. It needs
Linux and root, and no container engine.`,
		Example: `  kaito local up
  export KUBECONFIG=$(kaito local kubeconfig)
  kaito local node add gpu --gpus 2 --taint sku=gpu:NoSchedule
  kaito local status
  kaito local down`,
		// People call it through kaito, so help and errors speak of `kaito local`.
		Annotations:  map[string]string{cobra.CommandDisplayNameAnnotation: "kaito local"},
		SilenceUsage: true, SilenceErrors: true, Version: d.Version,
		PersistentPreRun: func(*cobra.Command, []string) {
			if d.Started != nil {
				d.Started()
			}
		},
	}
	t.Flags(root.PersistentFlags())
	root.AddCommand(
		up.New(t, d.Launch), down.New(t, d.Launch), status.New(t, d.Launch), node.New(t, d.Launch), load.New(t, d.Launch),
		logs.New(t, d.Launch, d.Clock), show.Kubeconfig(t, d.Launch), show.Version(d.Version), internals.New(d.Clock, d.Env),
	)
	if d.More != nil {
		root.AddCommand(d.More(t)...)
	}
	return root
}
