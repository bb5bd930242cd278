package tune

import (
	"fmt"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
)

// line is what there is to say about a Workspace in one line of a log.
func line(ws *v1beta1.Workspace) string {
	t := ws.Status.Tuning
	if t != nil && number(t.TotalSteps) > 0 && !finished(t) {
		text := fmt.Sprintf("%s: step %d of %d, %d %%", phase(t), number(t.Step), number(t.TotalSteps), percent(t))
		if now := figures(t); now != "" {
			text += ", " + strings.ReplaceAll(now, " · ", ", ")
		}
		return text
	}
	if text := waiting(ws); text != "" {
		return text
	}
	if t != nil && t.Phase != "" {
		return t.Phase
	}
	return string(ws.Status.State)
}

func phase(t *v1beta1.TuningStatus) string {
	if t.Phase == "" {
		return "Training"
	}
	return t.Phase
}

// summary is what stands at the end of a run that went well.
func summary(ws *v1beta1.Workspace) []string {
	t := ws.Status.Tuning
	var lines []string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("  %-10s %s", name, text))
		}
	}
	add("run", what(ws))
	add("data", dataset(t.Dataset))
	if curve := points(t.Losses); len(curve) > 1 {
		add("loss", amount(curve[0].loss)+" at first, "+amount(curve[len(curve)-1].loss)+" at the end")
	}
	if n := number(t.TrainingSeconds); n > 0 {
		add("trained", fmt.Sprintf("%d steps in %s", number(t.TotalSteps), seconds(n)))
	}
	add("adapter", t.OutputImage)
	add("digest", t.OutputDigest)
	return lines
}
