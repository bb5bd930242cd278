// Package engine turns a plan into the command of a server: argument list,
// environment and where it answers. Pure: one folder an engine, this package
// holds what they share.
package engine

import (
	"strings"

	"kaito.sh/kaito/internal/model"
)

// Input is all that the command of an engine is made from.
type Input struct {
	// Model is what is served.
	Model model.Model
	// Plan is how.
	Plan model.Plan
	// Settings are what the user asks of the engine; the plan knows those that shape it.
	Settings Settings
	// Weights is the folder that holds the files of the model.
	Weights string
	// Port is where the engine listens, on loopback.
	Port int
	// Adapters are loaded beside the model, in this order.
	Adapters []Adapter
}

// Adapter is a LoRA adapter that a server loads when it starts.
type Adapter struct {
	// Name is the model id under which it answers.
	Name string
	// Path is its file for llama.cpp, its folder for vLLM.
	Path string
}

// Command is how one server is started. It is never a shell line.
type Command struct {
	// Name is the engine's name in metrics and messages.
	Name string
	// Args is the program and its arguments.
	Args []string
	// Env is the environment, by name.
	Env map[string]string
	// URL is where the engine answers.
	URL string
	// HealthPath answers 200 once the engine can serve.
	HealthPath string
	// CacheDir is a folder that the engine writes to; empty is none.
	CacheDir string
	// Files must be there before the engine is started.
	Files []string
	// Group is how the engines of several pods become one; nil is an engine for itself.
	Group *Group
}

// Group is what the engine of each pod is told besides, where several serve one model together.
type Group struct {
	// MasterFlag stands before the host name of the leader's pod, the first, and PlaceFlag
	// before the place of the engine's own pod, counted from the leader's 0.
	MasterFlag, PlaceFlag string
	// Followers are further arguments behind the leader.
	Followers []string
	// AddressVar is the environment variable with the address of the engine's own pod.
	AddressVar string
}

// MasterPort is where the engines of a group meet, at the leader's pod.
const MasterPort = 29500

// ServedID is the id under which a model answers: the lower-case last part of its hub id, or
// its own where it is on no hub.
func ServedID(m model.Model) string {
	if m.HubID == "" {
		return m.ID
	}
	return strings.ToLower(m.HubID[strings.LastIndex(m.HubID, "/")+1:])
}

// ServedAliases are the further names under which a request may ask for the model.
func ServedAliases(m model.Model) []string {
	var names []string
	seen := map[string]bool{ServedID(m): true}
	for _, name := range m.Names() {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}
