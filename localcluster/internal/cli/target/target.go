// Package target says which cluster a verb is about: the flags that every verb
// shares, and the launcher that they lead to.
package target

import (
	"io"

	"github.com/spf13/pflag"

	"kaito.sh/kaito/localcluster/internal/cluster"
)

// Target is a cluster by name and folder.
type Target struct {
	// Name of the cluster and Root, the folder of all clusters.
	Name, Root string
	// Programs is the folder of the programs; empty means that they are built.
	Programs string
	// Out is told the progress.
	Out io.Writer
}

// Launch makes the launcher of a target.
type Launch func(Target) *cluster.Launcher

// Flags adds the shared flags.
func (t *Target) Flags(f *pflag.FlagSet) {
	f.StringVar(&t.Name, "name", "kaito", "name of the cluster")
	f.StringVar(&t.Root, "data-root", "/var/lib/kaito-local", "folder of all clusters' data")
}
