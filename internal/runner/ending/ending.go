// Package ending tells how a runner ended, in a form that a machine can read: the
// kubelet hands the termination message to the operator, which turns it into a condition.
package ending

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Reason is a stable word for the cause of an end.
type Reason string

// The reasons of a serving pod.
const (
	// ConfigInvalid: the contract cannot be read or is wrong. Final until it is changed.
	ConfigInvalid Reason = "ConfigInvalid"
	// WeightsMissing: a file that the engine needs is absent or empty.
	WeightsMissing Reason = "WeightsMissing"
	// WeightsUnreachable: the registry or hub did not answer, or broke off, again and again. May pass.
	WeightsUnreachable Reason = "WeightsUnreachable"
	// WeightsRefused: the registry or hub wants other credentials, or none of us. Final until they are changed.
	WeightsRefused Reason = "WeightsRefused"
	// WeightsNotFound: the image, repository, revision or file does not exist. Final until it is named otherwise.
	WeightsNotFound Reason = "WeightsNotFound"
	// WeightsCorrupt: what arrived has another digest than was promised, twice.
	WeightsCorrupt Reason = "WeightsCorrupt"
	// WeightsUnusable: what is there must not or cannot be taken: pickles only, links, paths that lead out.
	WeightsUnusable Reason = "WeightsUnusable"
	// DiskFull: the volume for the weights is too small. Final until it is larger.
	DiskFull Reason = "DiskFull"
	// PortTaken: the runner's own port cannot be opened.
	PortTaken Reason = "PortTaken"
	// EngineNotStarted: the engine's program cannot be executed.
	EngineNotStarted Reason = "EngineNotStarted"
	// EngineExited: the engine ended by itself.
	EngineExited Reason = "EngineExited"
	// GroupBroken: another pod that serves the model together with this one was lost; all of
	// them start again.
	GroupBroken Reason = "GroupBroken"
	// OutOfMemory: the kernel killed the engine because the container's memory was used up.
	OutOfMemory Reason = "OutOfMemory"
	// DataUnreachable: the data's host did not answer, or with an error of its own. May pass.
	DataUnreachable Reason = "DataUnreachable"
	// DataRefused: the data's host wants credentials, or its address may not be fetched from. Final.
	DataRefused Reason = "DataRefused"
	// DataNotFound: there is no such file. Final until it is named otherwise.
	DataNotFound Reason = "DataNotFound"
	// DataInvalid: the data set cannot be trained on; the message names file and row. Final until it is changed.
	DataInvalid Reason = "DataInvalid"
	// DataChanged: the data is not what was checked. The check is made again.
	DataChanged Reason = "DataChanged"
	// PushUnreachable: the output's registry does not answer. May pass.
	PushUnreachable Reason = "PushUnreachable"
	// PushRefused: the registry does not take a push with these credentials. Final until they are changed.
	PushRefused Reason = "PushRefused"
	// PushSecretUnusable: the push Secret is missing or of another form. Final until it is changed.
	PushSecretUnusable Reason = "PushSecretUnusable"
	// TrainingFailed: the trainer ended with an error that comes again: a setting that the library refuses, a loss that is no number. Final.
	TrainingFailed Reason = "TrainingFailed"
	// Stopped: the pod was told to stop, and another goes on from the newest checkpoint.
	Stopped Reason = "Stopped"
	// AdapterUnusable: an adapter cannot be used with this model or this engine. Final until it is changed.
	AdapterUnusable Reason = "AdapterUnusable"
	// AdapterUnreachable: the adapter's registry does not answer. May pass.
	AdapterUnreachable Reason = "AdapterUnreachable"
	// Internal: the runner itself failed.
	Internal Reason = "Internal"
)

// Exit codes of the runner where the engine's own does not say more.
const (
	// CodeFailed is the general failure.
	CodeFailed = 1
	// CodeConfig is a failure that will come again until somebody changes something.
	CodeConfig = 2
	// codeSignal is added to a signal's number, as shells do.
	codeSignal = 128
)

// maxMessage is what the kubelet keeps of a termination message: 4 KiB of one, and 12 KiB
// of all containers of a pod, in equal parts. No pod of ours has more than six
// (kubelet v1.37, MaxPodTerminationMessageLogLength in pkg/kubelet/status).
const maxMessage = 12 << 10 / 6

// Ending is the termination message, and the error with which a runner ends.
type Ending struct {
	// Reason is the cause.
	Reason Reason `json:"reason"`
	// Message says it in words.
	Message string `json:"message"`
	// ExitCode is the engine's exit code, or the runner's where no engine ran; -1 after a signal.
	ExitCode int `json:"exitCode"`
	// Signal is the number of the signal that ended the engine, or 0.
	Signal int `json:"signal,omitempty"`
	// Phase is where the pod stood.
	Phase string `json:"phase"`
	// Lines are the engine's last lines, oldest first.
	Lines []string `json:"lines,omitempty"`
}

// Error says the reason and the message.
func (e *Ending) Error() string { return string(e.Reason) + ": " + e.Message }

// Code is the exit code with which the runner ends; it is never 0.
func (e *Ending) Code() int {
	switch {
	case e.Signal > 0:
		return codeSignal + e.Signal
	case e.ExitCode > 0:
		return e.ExitCode
	default:
		return CodeFailed
	}
}

// JSON is the message in at most 2 KiB: the oldest lines are dropped first, then the message is cut.
func (e *Ending) JSON() []byte {
	short := *e
	for {
		out, err := json.Marshal(&short)
		switch {
		case err != nil: // strings and numbers only: cannot be
			return fmt.Appendf(nil, `{"reason":%q}`, e.Reason)
		case len(out) <= maxMessage:
			return out
		case len(short.Lines) > 0:
			short.Lines = short.Lines[1:]
		default:
			short.Message = short.Message[:len(short.Message)/2] + "…"
		}
	}
}

// Write leaves the message at path, where the kubelet picks it up.
func (e *Ending) Write(path string) error {
	if err := os.WriteFile(path, e.JSON(), 0o644); err != nil {
		return fmt.Errorf("write termination message: %w", err)
	}
	return nil
}

// From finds the ending in err, or makes one of it for a runner that stood in phase.
func From(err error, phase string) *Ending {
	var e *Ending
	if errors.As(err, &e) {
		return e
	}
	return &Ending{Reason: Internal, Message: err.Error(), ExitCode: CodeFailed, Phase: phase}
}
