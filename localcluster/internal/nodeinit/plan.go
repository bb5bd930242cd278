// Package nodeinit is the first process of a node. The machine's side starts it
// in namespaces of its own (network, mounts, processes, host name, IPC); it sets
// up the mounts, runs the node's programs and starts those again that end. When
// it ends, the kernel ends everything else on the node.
package nodeinit

import (
	"kaito.sh/kaito/localcluster/internal/record"
)

// Gate is the file on which the node waits until its network is there.
const Gate = 3

// Plan is what the first process does; it is written by the machine's side.
type Plan struct {
	// Name is the host name.
	Name string `json:"name"`
	// Binds put the node's own folders over fixed paths.
	Binds []Bind `json:"binds"`
	// Folders must exist before the programs start.
	Folders []string `json:"folders"`
	// Settings are kernel settings of the node's network, path below /proc/sys → value.
	Settings map[string]string `json:"settings"`
	// Env is the environment of the programs.
	Env []string `json:"env"`
	// Programs in the order in which they start.
	Programs []Program `json:"programs"`
}

// Bind mounts a folder over another.
type Bind struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Program is one of the node's long-running programs.
type Program struct {
	// Name for the log.
	Name string `json:"name"`
	// Argv is the program and its arguments.
	Argv []string `json:"argv"`
	// Log is its file.
	Log string `json:"log"`
	// Socket that must be there before the next program starts; may be empty.
	Socket string `json:"socket,omitempty"`
}

// Load reads a plan.
func Load(path string) (Plan, error) {
	var p Plan
	err := record.Read(path, &p)
	return p, err
}
