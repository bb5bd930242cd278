// Package contract is the one JSON file that the operator writes and the runner
// reads: which weights to fetch, which engine to start on them, and how to answer for it.
// Its schema is generated into runtimes/schema/runner.json; the golden examples
// beside the schema are read by the Go tests and by the Python tests alike.
//
// One rule covers every field, in the schema and in Parse alike: a field without
// omitempty must be there and must not be empty.
package contract

//go:generate go run ./gen ../../../runtimes/schema

// Version is the value of apiVersion in a file that this package understands.
const Version = "runner.kaito.sh/v1"

// Where the pieces of a serving pod meet. The operator renders these paths, the
// runner and the engines rely on them.
const (
	// BinaryDir is the emptyDir into which the init container installs the runner.
	BinaryDir = "/kaito"
	// Binary is the runner inside every model container.
	Binary = BinaryDir + "/kaito-runner"
	// ConfigDir is where the ConfigMap with the contract is mounted.
	ConfigDir = "/etc/kaito"
	// ConfigFile is the file that `kaito-runner serve --config` reads.
	ConfigFile = ConfigDir + "/runner.json"
	// WeightsDir is where a model image is mounted as an image volume, or the
	// volume that the runner fetches into; the files stand under its folder model/.
	WeightsDir = "/weights"
	// Port is the one port of a serving pod.
	Port = 5000
	// EnginePort is where the engine listens, on loopback only.
	EnginePort = 5001
)

// Serve tells the runner what to serve. All durations are in seconds, all sizes in bytes.
type Serve struct {
	// APIVersion is always Version.
	APIVersion string `json:"apiVersion"`
	// Workspace is the name of the Workspace, for logs and metrics.
	Workspace string `json:"workspace"`
	// Model says under which names the model answers.
	Model Model `json:"model"`
	// Engine is the server to start.
	Engine Engine `json:"engine"`
	// Group is there where several pods serve the model together.
	Group *Group `json:"group,omitempty"`
	// Limits bound what the runner lets through.
	Limits Limits `json:"limits"`
	// Weights are fetched before the engine starts; without them, they are mounted already.
	Weights *Weights `json:"weights,omitempty"`
	// Adapters answer beside the model, each by its name.
	Adapters []Adapter `json:"adapters,omitempty"`
	// AdapterBase is what is known of the model; it is there where there are adapters.
	AdapterBase *AdapterBase `json:"adapterBase,omitempty"`
}

// Model names the model that is served.
type Model struct {
	// ID is the served model id, as `GET /v1/models` lists it.
	ID string `json:"id"`
	// Aliases are further names under which a request may ask for the model.
	Aliases []string `json:"aliases,omitempty"`
	// Context is the number of tokens that prompt and answer of one request share.
	Context int `json:"context"`
}

// Engine is one process: an argument list, never a shell line.
type Engine struct {
	// Name is the engine's name in metrics and messages: llamacpp, vllm.
	Name string `json:"name"`
	// Command is the program and its arguments.
	Command []string `json:"command"`
	// Env is added to the runner's own environment, sorted by name.
	Env []EnvVar `json:"env,omitempty"`
	// URL is where the engine answers, on loopback.
	URL string `json:"url"`
	// Model is the name under which the engine itself knows the model; empty means Model.ID.
	Model string `json:"model,omitempty"`
	// HealthPath answers 200 once the engine can serve.
	HealthPath string `json:"healthPath"`
	// Files must exist and not be empty before the engine is started.
	Files []string `json:"files,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	// Name is the variable's name.
	Name string `json:"name"`
	// Value is its value, which may be empty.
	Value string `json:"value,omitempty"`
}

// Limits bound requests; zero means the runner's default.
type Limits struct {
	// MaxBodyBytes bounds a request body; larger is answered 413.
	MaxBodyBytes int64 `json:"maxBodyBytes,omitempty"`
	// MaxInFlight bounds requests at the engine; more are answered 429.
	MaxInFlight int `json:"maxInFlight,omitempty"`
	// DrainSeconds is how long after SIGTERM requests in flight may go on.
	DrainSeconds int `json:"drainSeconds,omitempty"`
}
