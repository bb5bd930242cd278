// Command hyperkube is a whole Kubernetes control plane and node in one program:
// etcd, the API server, the controller manager, the scheduler, the kubelet,
// kube-proxy and kubectl, and the stand-ins of a local cluster for GPUs and
// volumes, chosen by argv[0] (a symbolic link) or by the first argument. One
// program shares one link and one build cache.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/localcluster/internal/gpuplugin"
	"kaito.sh/kaito/localcluster/internal/volumes"

	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version as a metric
)

const help = `hyperkube is Kubernetes, etcd and kubectl in one program.

Usage:
  hyperkube COMPONENT [FLAGS]     run a component
  COMPONENT [FLAGS]               the same, through a link of that name
  hyperkube --version             print the version

Components:
%s
Examples:
  hyperkube kubectl get nodes
  ln -s hyperkube kubelet && ./kubelet --help
`

// components are the programs in here. Each runs to its end and returns the exit
// code.
func components() map[string]func(args []string) int {
	return map[string]func([]string) int{
		"etcd":                    etcd,
		"kube-apiserver":          component(apiserver.NewAPIServerCommand),
		"kube-controller-manager": component(kcm.NewControllerManagerCommand),
		"kube-scheduler":          component(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":                 component(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"kube-proxy":              component(proxy.NewProxyCommand),
		"kubectl":                 kubectlMain,
		"gpu-device-plugin":       gpuDevicePlugin,
		"local-volumes":           localVolumes,
	}
}

func main() {
	os.Exit(run(filepath.Base(os.Args[0]), os.Args))
}

// run chooses the component by the program's name, or by the first argument when
// the name is none of them.
func run(name string, args []string) int {
	all := components()
	main, ok := all[name]
	if !ok && len(args) > 1 {
		args = args[1:]
		name = args[0]
		main, ok = all[name]
	}
	switch {
	case ok:
		os.Args = args // what components parse
		return main(args)
	case name == "--version" || name == "version":
		fmt.Println("hyperkube", version.Get().GitVersion)
		return 0
	case name == "--help" || name == "-h" || name == "help":
		fmt.Printf(help, list(all))
		return 0
	case len(args) == 1 && name == args[0] && name[0] != '-':
		fmt.Fprintf(os.Stderr, "hyperkube: component %q is not one of these\n%s", name, list(all))
	default:
		fmt.Fprintf(os.Stderr, help, list(all))
	}
	return 2
}

func list(all map[string]func([]string) int) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text += "  " + name + "\n"
	}
	return text
}

// etcd ends the process by itself.
func etcd(args []string) int {
	etcdmain.Main(args)
	return 0
}

// component runs one of Kubernetes' own commands.
func component(command func() *cobra.Command) func([]string) int {
	return func([]string) int { return cli.Run(command()) }
}

// kubectlMain prints errors as kubectl does, which cli.Run would print twice.
func kubectlMain([]string) int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func gpuDevicePlugin([]string) int {
	return ours(gpuplugin.NewCommand(gpuplugin.Options{Clock: clock.RealClock{}, Log: logger()}))
}

func localVolumes([]string) int {
	return ours(volumes.NewCommand(volumes.Options{Log: logger()}))
}

// ours runs a command of this project until it ends or a signal comes.
func ours(cmd *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd.Version = version.Get().GitVersion
	// Kubernetes' own --version, which every command of the process would inherit,
	// is no boolean, and cobra refuses to run with it.
	pflag.CommandLine = pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
		return 1
	}
	return 0
}

func logger() *slog.Logger { return slog.New(slog.NewJSONHandler(os.Stderr, nil)) }
