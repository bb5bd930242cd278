// Command gpu-provisioner makes nodes for NodeClaims.
package main

import (
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/provisioner/command"
)

func main() {
	os.Exit(command.Execute(ctrl.SetupSignalHandler(), command.World{
		Stdout: os.Stdout, Stderr: os.Stderr,
		Cluster: ctrl.GetConfig,
		Long:    buildinfo.Long("gpu-provisioner"),
	}, os.Args[1:]))
}
