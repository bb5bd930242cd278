// Command kaito-operator turns Workspaces into running models.
package main

import (
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/operator/command"
)

func main() {
	os.Exit(command.Execute(ctrl.SetupSignalHandler(), command.World{
		Stdout: os.Stdout, Stderr: os.Stderr,
		Cluster: ctrl.GetConfig,
		Long:    buildinfo.Long("kaito-operator"),
	}, os.Args[1:]))
}
