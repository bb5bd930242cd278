package contract

import "path"

// Where the pieces of a check and of a tuning pod meet.
const (
	// TuneFile is the file that every container of a check or a tuning pod reads.
	TuneFile = ConfigDir + "/tune.json"
	// PushSecretFile holds what opens the output's registry. It is absent where the Secret is.
	PushSecretFile = "/etc/kaito-secrets/push/.dockerconfigjson" //nolint:gosec // a place, no secret
	// InputDir is where a volume with data is mounted, read-only.
	InputDir = "/input"
	// DataDir is where prepare writes RowsFile and SummaryFile.
	DataDir = "/data"
	// RowsFile holds the rows to train on, one Row in JSON a line.
	RowsFile = DataDir + "/rows.jsonl"
	// SummaryFile holds the Dataset that RowsFile was made from.
	SummaryFile = DataDir + "/summary.json"
	// ResultsDir is the emptyDir that train writes and publish reads.
	ResultsDir = "/results"
	// AdapterDir holds adapter_config.json and adapter_model.safetensors once training has ended well.
	AdapterDir = ResultsDir + "/adapter"
	// TrainingFile holds the Training that AdapterDir came from.
	TrainingFile = ResultsDir + "/training.json"
	// CheckpointsDir holds folders checkpoint-<step>; one is whole once its file CheckpointMark is there.
	CheckpointsDir = "/checkpoints"
	// CheckpointMark is the file that is written last into a checkpoint's folder.
	CheckpointMark = "kaito-complete.json"
	// OutputDir is where a volume for the adapter is mounted. The adapter's two files stand at its root.
	OutputDir = "/output"
	// AdaptersDir is the emptyDir with the adapters of a serving pod, see Adapter.
	AdaptersDir = "/adapters"
	// AdapterVolumesDir holds a folder for each adapter that comes from a volume, by its name.
	AdapterVolumesDir = "/adapter-volumes"
)

// AdapterVolumeDir is where the volume of an adapter is mounted.
func AdapterVolumeDir(name string) string { return path.Join(AdapterVolumesDir, name) }

// Tune tells the containers of a check and of a tuning pod what to do. Every
// container reads the same file and takes what it needs.
type Tune struct {
	// APIVersion is always Version.
	APIVersion string `json:"apiVersion"`
	// Workspace is the name of the Workspace.
	Workspace string `json:"workspace"`
	// RunID identifies the run; it names checkpoints and stands in the published image.
	RunID string `json:"runID"`
	// Attempt counts the pods of a run, from 1 on; a check has none.
	Attempt int `json:"attempt,omitempty"`
	// Method is lora or qlora, in lower case.
	Method string `json:"method"`
	// Model is the model that is tuned.
	Model TuneModel `json:"model"`
	// Weights are those of the form hf. The check fetches of them only what tokenizes;
	// prepare fetches them where Fetch of TuneModel is true.
	Weights Weights `json:"weights"`
	// Input is the data set.
	Input TuneInput `json:"input"`
	// Output is where the adapter goes.
	Output TuneOutput `json:"output"`
	// Settings are the six sections of training_config.yaml with all defaults filled in
	// and values of the right types: section, key, value.
	Settings Settings `json:"settings"`
	// Threads is the number of threads that compute on a CPU; it equals the CPU limit.
	Threads int `json:"threads"`
}

// Settings are the sections of a training configuration.
type Settings map[string]map[string]any

// TuneModel names the model that is tuned.
type TuneModel struct {
	// ID is the model's id in the catalog; it stands in the annotation sh.kaito.model.name.
	ID string `json:"id"`
	// HubID is what adapter_config.json names as its base.
	HubID string `json:"hubID"`
	// Revision is the revision or image of the weights.
	Revision string `json:"revision"`
	// Context is the most tokens that the model takes.
	Context int `json:"context"`
	// MaxLength is the most tokens of one row.
	MaxLength int `json:"maxLength"`
	// ChatTemplate is a jinja template that goes before that of the model's files, or empty.
	ChatTemplate string `json:"chatTemplate,omitempty"`
	// Fetch is true where prepare brings the weights; otherwise they are mounted.
	Fetch bool `json:"fetch,omitempty"`
}

// TuneInput is the data set: exactly one of URLs, Image and Volume.
type TuneInput struct {
	// URLs are addresses of files, http or https.
	URLs []string `json:"urls,omitempty"`
	// Image holds files below /data.
	Image *WeightsImage `json:"image,omitempty"`
	// Volume is true where the files stand below InputDir.
	Volume bool `json:"volume,omitempty"`
	// AllowCIDRs are ranges of addresses that may be fetched from though they are not
	// public: URLs that lead anywhere else inside are refused.
	AllowCIDRs []string `json:"allowCIDRs,omitempty"`
	// CAFile holds further authorities for https, or is empty.
	CAFile string `json:"caFile,omitempty"`
	// Digest is what the check has found; prepare refuses another.
	Digest string `json:"digest,omitempty"`
}

// TuneOutput is where the adapter goes: exactly one of Image and Volume.
type TuneOutput struct {
	// Image is the image that is pushed.
	Image string `json:"image,omitempty"`
	// PlainHTTP allows a registry that does not speak HTTPS.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// SecretName is the name of the push Secret, for messages.
	SecretName string `json:"secretName,omitempty"`
	// Volume is true where the adapter is written to OutputDir.
	Volume bool `json:"volume,omitempty"`
}

// Row is one row of RowsFile.
type Row struct {
	// IDs are the tokens, at most TuneModel.MaxLength.
	IDs []int32 `json:"ids"`
	// Train are the half-open ranges of IDs on which the loss is computed.
	Train [][2]int `json:"train"`
}

// Dataset sums a data set up, as the check and prepare found it.
type Dataset struct {
	// Files is the number of files.
	Files int `json:"files"`
	// Bytes is their size.
	Bytes int64 `json:"bytes"`
	// Digest is the sha256 of the files' own digests, in order.
	Digest string `json:"digest"`
	// Format is messages, conversations, prompt-completion or text.
	Format string `json:"format"`
	// Rows is the number of rows that are used.
	Rows int64 `json:"rows"`
	// EmptyRows and LongRows are skipped.
	EmptyRows int64 `json:"emptyRows,omitempty"`
	LongRows  int64 `json:"longRows,omitempty"`
	// DuplicateRows are used and counted.
	DuplicateRows int64 `json:"duplicateRows,omitempty"`
	// Tokens are those of the rows that are used, TrainedTokens those with a loss.
	Tokens        int64 `json:"tokens,omitempty"`
	TrainedTokens int64 `json:"trainedTokens,omitempty"`
	// LongestRow is the number of tokens of the longest row that is used.
	LongestRow int `json:"longestRow,omitempty"`
	// Notes are what the user should know, sorted.
	Notes []string `json:"notes,omitempty"`
}

// Point is one point of a loss curve.
type Point struct {
	// Step is the number of finished steps.
	Step int `json:"step"`
	// Loss is the mean loss since the point before.
	Loss float64 `json:"loss"`
}

// Training sums a training up.
type Training struct {
	// Steps is the number of steps, Epochs how often each row was seen.
	Steps  int     `json:"steps"`
	Epochs float64 `json:"epochs"`
	// ResumedFrom is the step of the checkpoint that the last pod began with, or 0.
	ResumedFrom int `json:"resumedFrom,omitempty"`
	// FirstLoss and LastLoss are the ends of the curve.
	FirstLoss float64 `json:"firstLoss"`
	LastLoss  float64 `json:"lastLoss"`
	// Seconds is how long it trained, TokensPerSecond how fast.
	Seconds         float64 `json:"seconds"`
	TokensPerSecond float64 `json:"tokensPerSecond"`
	// Rank is the rank of the adapter, TrainedParameters the number of its weights.
	Rank              int   `json:"rank"`
	TrainedParameters int64 `json:"trainedParameters"`
	// PeakBytes is the most memory that the trainer used.
	PeakBytes int64 `json:"peakBytes,omitempty"`
	// Losses is the curve, at most 64 points.
	Losses []Point `json:"losses,omitempty"`
}

// Published is where the adapter went.
type Published struct {
	// Image and Digest are those of the pushed image; empty with a volume.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Bytes is the size of the adapter.
	Bytes int64 `json:"bytes"`
}

// Done is the reason of a Result.
const Done = "Done"

// Result is the termination message of a container that has done its work, JSON of at
// most 2 KiB: six containers of a pod share the 12 KiB that the kubelet keeps. A container that has not says an ending.Ending.
type Result struct {
	// Reason is always Done.
	Reason string `json:"reason"`
	// RunID is that of the run.
	RunID string `json:"runID"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// Dataset is told by check and prepare, Training by train, Published by publish.
	Dataset   *Dataset   `json:"dataset,omitempty"`
	Training  *Training  `json:"training,omitempty"`
	Published *Published `json:"published,omitempty"`
}

// Phases of a tuning pod, as Progress tells them.
const (
	// TunePreparing fetches data and weights.
	TunePreparing = "Preparing"
	// TuneLoading loads the model.
	TuneLoading = "Loading"
	// TuneTraining trains.
	TuneTraining = "Training"
	// TuneStopping writes a last checkpoint because the pod is told to stop.
	TuneStopping = "Stopping"
	// TunePublishing pushes the adapter.
	TunePublishing = "Publishing"
)

// Progress is what a container of a tuning pod answers at GET :5000/progress.
type Progress struct {
	// RunID is that of the run.
	RunID string `json:"runID"`
	// Phase is one of the words above.
	Phase string `json:"phase"`
	// Step of TotalSteps are done.
	Step       int `json:"step"`
	TotalSteps int `json:"totalSteps"`
	// Loss is the newest.
	Loss float64 `json:"loss,omitempty"`
	// TokensPerSecond is the speed, RemainingSeconds the estimated time to the end of training.
	TokensPerSecond  float64 `json:"tokensPerSecond,omitempty"`
	RemainingSeconds float64 `json:"remainingSeconds,omitempty"`
	// Checkpoint is the step of the newest whole checkpoint.
	Checkpoint int `json:"checkpoint,omitempty"`
	// ResumedFrom is the step of the checkpoint that this pod began with.
	ResumedFrom int `json:"resumedFrom,omitempty"`
	// Losses is the curve so far, at most 64 points.
	Losses []Point `json:"losses,omitempty"`
}
