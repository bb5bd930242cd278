package train

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/progress"
)

// event is one line of the trainer; kaito_tuner.train says which there are.
type event struct {
	Event            string             `json:"event"`
	Step             int                `json:"step"`
	TotalSteps       int                `json:"totalSteps"`
	Loss             *float64           `json:"loss"`
	LearningRate     float64            `json:"learningRate"`
	TokensPerSecond  float64            `json:"tokensPerSecond"`
	RemainingSeconds float64            `json:"remainingSeconds"`
	Losses           []contract.Point   `json:"losses"`
	Reason           string             `json:"reason"`
	Message          string             `json:"message"`
	Training         *contract.Training `json:"training"`
}

// eventPrefix begins every line that is meant for us.
const eventPrefix = `{"event":`

// listener takes the trainer's output line by line: events change the board, all else
// is passed on.
type listener struct {
	to    io.Writer
	board *progress.Board
	log   *slog.Logger

	// curve is every point so far.
	curve []contract.Point
	// remedy says what would need less memory; the trainer knows it before it needs it.
	remedy string
	// result is the trainer's last word, nil until it is said.
	result *event
}

// Write gets whole lines. It never fails: training must not end because nobody listens.
func (l *listener) Write(p []byte) (int, error) {
	var e event
	if !strings.HasPrefix(string(p), eventPrefix) || json.Unmarshal(p, &e) != nil {
		_, _ = l.to.Write(p)
		return len(p), nil
	}
	l.take(e)
	return len(p), nil
}

func (l *listener) take(e event) {
	switch e.Event {
	case "loading":
		l.board.Update(func(p *contract.Progress) { p.Phase = contract.TuneLoading })
	case "remedy":
		l.remedy = e.Message
	case "resumed":
		l.log.Info("training goes on from a checkpoint", "step", e.Step)
		l.curve = e.Losses
		l.board.Update(func(p *contract.Progress) {
			p.Step, p.ResumedFrom, p.Checkpoint, p.Losses = e.Step, e.Step, e.Step, thin(l.curve)
		})
	case "training":
		l.log.Info("training began", "step", e.Step, "totalSteps", e.TotalSteps)
		l.board.Update(func(p *contract.Progress) {
			p.Step, p.TotalSteps = e.Step, e.TotalSteps
			if p.Phase != contract.TuneStopping {
				p.Phase = contract.TuneTraining
			}
		})
	case "progress":
		l.progress(e)
	case "checkpoint":
		l.log.Info("checkpoint written", "step", e.Step)
		l.board.Update(func(p *contract.Progress) { p.Checkpoint = e.Step })
	case "result":
		l.result = &e
	}
}

func (l *listener) progress(e event) {
	if e.Loss != nil {
		l.curve = append(l.curve, contract.Point{Step: e.Step, Loss: *e.Loss})
		l.log.Info("training", "step", e.Step, "totalSteps", e.TotalSteps, "loss", *e.Loss, "learningRate", e.LearningRate,
			"tokensPerSecond", e.TokensPerSecond, "remainingSeconds", e.RemainingSeconds)
	}
	l.board.Update(func(p *contract.Progress) {
		p.Step, p.TotalSteps = e.Step, e.TotalSteps
		p.TokensPerSecond, p.RemainingSeconds = e.TokensPerSecond, e.RemainingSeconds
		if e.Loss != nil {
			p.Loss, p.Losses = *e.Loss, thin(l.curve)
		}
	})
}

// mostPoints is how many points a curve is told with.
const mostPoints = 64

// thin makes neighbours of a long curve one point with their mean, at the last one's step.
func thin(curve []contract.Point) []contract.Point {
	count := min(mostPoints, len(curve))
	out := make([]contract.Point, 0, count)
	for i := range count {
		part := curve[i*len(curve)/count : (i+1)*len(curve)/count]
		point := contract.Point{Step: part[len(part)-1].Step}
		for _, p := range part {
			point.Loss += p.Loss / float64(len(part))
		}
		out = append(out, point)
	}
	return out
}

// words are the trainer's last lines without those that were meant for us.
func words(tail []string) []string {
	var out []string
	for _, line := range tail {
		if !strings.HasPrefix(line, eventPrefix) {
			out = append(out, line)
		}
	}
	return out
}

// final says whether an end of the trainer comes again until somebody changes something.
func final(reason ending.Reason) bool {
	switch reason {
	case ending.ConfigInvalid, ending.TrainingFailed, ending.OutOfMemory, ending.DiskFull:
		return true
	}
	return false
}
