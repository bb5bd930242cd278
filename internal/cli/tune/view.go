package tune

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/shell"
)

// Sizes of the view. A narrower terminal gets less of each line.
const (
	widest      = 100
	barWidth    = 30
	curveHeight = 12
)

// frame is the whole view of a Workspace in lines of at most width characters.
func frame(ws *v1beta1.Workspace, width int) []string {
	width = min(width, widest)
	lines := []string{
		fmt.Sprintf("Workspace %s in namespace %s: %s", ws.Name, ws.Namespace, cmp.Or(string(ws.Status.State), "no state yet")),
		"  " + what(ws),
		"  " + steps(way(ws), refusal(ws) != nil),
	}
	if t := ws.Status.Tuning; t != nil {
		if data := dataset(t.Dataset); data != "" {
			lines = append(lines, "  data: "+data)
		}
		if total := number(t.TotalSteps); total > 0 {
			lines = append(lines, "", fmt.Sprintf("  %s %s %3d %%  step %d of %d", cmp.Or(t.Phase, "Training"), bar(number(t.Step), total), percent(t), number(t.Step), total))
		}
		if now := figures(t); now != "" {
			lines = append(lines, "  "+now)
		}
	}
	if text := waiting(ws); text != "" {
		lines = append(append(lines, ""), wrap(text, width-2)...)
	}
	for i, l := range lines {
		lines[i] = shorten(shell.Clean(l), width)
	}
	if t := ws.Status.Tuning; t != nil {
		if curve := plot(points(t.Losses), width-2, curveHeight, braille()); curve != nil {
			lines = append(lines, "", "  loss")
			for _, l := range curve {
				lines = append(lines, "  "+l)
			}
		}
	}
	return lines
}

// what is the run in a few words.
func what(ws *v1beta1.Workspace) string {
	model := ""
	if ws.Tuning.Preset != nil {
		model = ws.Tuning.Preset.Name
	}
	text := fmt.Sprintf("%s of %s", strings.ToLower(string(ws.Tuning.Method)), model)
	t := ws.Status.Tuning
	if t == nil || t.RunID == "" {
		return text
	}
	text += ", run " + t.RunID
	if n := number(t.Attempt); n > 1 {
		text += fmt.Sprintf(", attempt %d", n)
		if from := number(t.ResumedFrom); from > 0 {
			text += fmt.Sprintf(" from step %d", from)
		}
	}
	return text
}

// steps marks what is done and what is being done, or has failed.
func steps(all []step, failed bool) string {
	parts, next := make([]string, 0, len(all)), "▸"
	if failed {
		next = "✗"
	}
	for _, s := range all {
		mark := next
		if s.done {
			mark = "✓"
		} else {
			next = "·"
		}
		parts = append(parts, mark+" "+s.name)
	}
	return strings.Join(parts, "   ")
}

// dataset sums the data up.
func dataset(d *v1beta1.DatasetStatus) string {
	if d == nil {
		return ""
	}
	var parts []string
	if d.Rows != nil {
		rows := fmt.Sprintf("%d rows", *d.Rows)
		if d.Format != "" {
			rows += " of " + d.Format
		}
		parts = append(parts, rows)
	}
	if d.SkippedRows != nil && *d.SkippedRows > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", *d.SkippedRows))
	}
	if d.Tokens != nil {
		parts = append(parts, fmt.Sprintf("%d tokens", *d.Tokens))
	}
	if n := number(d.Files); n > 1 {
		parts = append(parts, fmt.Sprintf("%d files", n))
	}
	return strings.Join(parts, ", ")
}

// figures are the newest numbers of the training.
func figures(t *v1beta1.TuningStatus) string {
	var parts []string
	if t.Loss != "" {
		parts = append(parts, "loss "+t.Loss)
	}
	if n := number(t.TokensPerSecond); n > 0 {
		parts = append(parts, strconv.Itoa(n)+" tokens/s")
	}
	switch n := number(t.RemainingSeconds); {
	case finished(t) && number(t.TrainingSeconds) > 0:
		parts = append(parts, "took "+seconds(number(t.TrainingSeconds)))
	case n > 0:
		parts = append(parts, seconds(n)+" left")
	}
	if t.Checkpoint != "" {
		parts = append(parts, "checkpoint "+t.Checkpoint)
	}
	return strings.Join(parts, " · ")
}

func seconds(n int) string { return shell.Duration(time.Duration(n) * time.Second) }

func percent(t *v1beta1.TuningStatus) int {
	if n := number(t.TotalSteps); n > 0 {
		return min(100, number(t.Step)*100/n)
	}
	return 0
}

// bar is a line that fills from the left, in eighths of a character.
func bar(done, total int) string {
	eighths := min(done, total) * barWidth * 8 / total
	full, rest := eighths/8, eighths%8
	text := strings.Repeat("█", full)
	if rest > 0 {
		text += string(rune('█' + 8 - rest)) // the narrower blocks come after the full one
	}
	return text + strings.Repeat("░", barWidth-utf8.RuneCountInString(text))
}

// wrap lays a text out in a few lines.
func wrap(text string, width int) []string {
	const most = 4
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, "  "+line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	lines = append(lines, "  "+line)
	if len(lines) > most {
		lines = append(lines[:most-1], lines[most-1]+" …")
	}
	return lines
}

// shorten keeps a line on one line of the terminal.
func shorten(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(0, width-1)]) + "…"
}
