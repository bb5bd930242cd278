package plan

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// width is how many characters a line has at the most, names of types apart.
const width = 100

// page is text that grows by lines of at most width characters.
type page struct{ strings.Builder }

func (p *page) write(w io.Writer) error {
	_, err := io.WriteString(w, p.String())
	return err
}

// line adds one line, broken between words; lines after the first are indented by so many
// blanks. What a line begins with, blanks and empty lines, stays.
func (p *page) line(indent int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	lead := text[:len(text)-len(strings.TrimLeft(text, " \n"))]
	p.WriteString(lead)
	at, first := len(strings.TrimLeft(lead, "\n")), true
	for _, word := range strings.Fields(text) {
		switch {
		case first:
		case at+1+len(word) > width:
			p.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			p.WriteString(" ")
			at++
		}
		p.WriteString(word)
		at, first = at+len(word), false
	}
	p.WriteString("\n")
}

// answer is all that was found out.
func (p *page) answer(ask sizing.Ask, a sizing.Answer, types *instance.Table, whole bool) {
	m := ask.Model
	p.line(2, "Model %s: %s, context of %d", m.ID, forms(m), m.Context)
	if len(a.Plans) > 0 {
		if best := a.Plans[0]; best.Confidence == model.ConfidenceLow {
			p.line(2, "Confidence low, the model may need less: %s", strings.Join(best.Assumed, "; "))
		}
		p.line(2, "%s, best first. Memory in GiB: of the GPUs that are used, or of the node where none are", many(len(a.Plans), "plan"))
		p.WriteString("\n")
		p.table(ask, a.Plans)
		p.legend(m, a.Plans)
	}
	if unknown := ask.Prices.Unknown(types); len(unknown) > 0 {
		p.line(2, "\nPrices of types that are not known were not used: %s", some(unknown))
	}
	p.refusals(a.Refusals, whole)
}

// some are the first of many names.
func some(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

func forms(m model.Model) string {
	var parts []string
	if w, ok := m.Forms[model.FormHF]; ok {
		parts = append(parts, fmt.Sprintf("%v of safetensors", w.Size))
	}
	if w, ok := m.Forms[model.FormGGUF]; ok {
		parts = append(parts, fmt.Sprintf("%v of GGUF", w.Size))
	}
	return strings.Join(parts, ", ")
}

func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// column is one column of the table; numbers stand on the right.
type column struct {
	title string
	left  bool
	value func(sizing.Plan) string
}

// title is what the first column has.
func title(first sizing.Place) string {
	if len(first.Nodes) > 0 {
		return "NODE"
	}
	return "INSTANCE TYPE"
}

// called is the name of a type, or that of the first of some nodes with how many are like it.
func called(at sizing.Place) string {
	if more := len(at.Nodes) - 1; more > 0 {
		return fmt.Sprintf("%s (+%d)", at.Type.Name, more)
	}
	return at.Type.Name
}

// columns are those of a table, with stages and copies where a plan has any.
func columns(ask sizing.Ask, plans []sizing.Plan) []column {
	all := []column{
		{title(plans[0].Place), true, func(p sizing.Plan) string { return called(p.Place) }},
		{"NODES", false, func(p sizing.Plan) string { return strconv.Itoa(p.Plan.Nodes) }},
		{"GPUS", false, gpus},
		{"TP", false, func(p sizing.Plan) string { return strconv.Itoa(parallelism(p).Tensor) }},
	}
	for _, c := range []struct {
		title string
		of    func(documentParallelism) int
	}{
		{"PP", func(p documentParallelism) int { return p.Pipeline }},
		{"DP", func(p documentParallelism) int { return p.Data }},
	} {
		if slices.ContainsFunc(plans, func(p sizing.Plan) bool { return c.of(parallelism(p)) > 1 }) {
			all = append(all, column{c.title, false, func(p sizing.Plan) string { return strconv.Itoa(c.of(parallelism(p))) }})
		}
	}
	all = append(all, []column{
		{"CONTEXT", false, func(p sizing.Plan) string { return strconv.Itoa(p.Context) }},
		{"REQS", false, func(p sizing.Plan) string { return strconv.Itoa(p.Slots) }},
		{"MODEL", false, func(p sizing.Plan) string { return gib(memory(p).Weights) }},
		{"CACHE", false, func(p sizing.Plan) string { return gib(memory(p).KVCache) }},
		{"OTHER", false, func(p sizing.Plan) string { return gib(other(memory(p))) }},
		{"FREE", false, func(p sizing.Plan) string { return gib(p.Headroom) }},
	}...)
	if ask.Prices.Known() {
		all = append(all, column{cmp.Or(ask.Prices.Currency, "PRICE") + "/H", false, func(p sizing.Plan) string {
			if p.Hour == nil {
				return "-"
			}
			return price(*p.Hour)
		}})
	}
	return append(all, column{"LIMIT", true, func(p sizing.Plan) string { return string(p.Limit) }})
}

// gpus is how many of a node's GPUs are used, or the profile of the slice that is.
func gpus(p sizing.Plan) string {
	if p.GPU != nil && p.GPU.Slice != "" {
		return p.GPU.Slice
	}
	if p.GPUs() == p.Type.GPUs {
		return strconv.Itoa(p.GPUs())
	}
	return fmt.Sprintf("%d/%d", p.GPUs(), p.Type.GPUs)
}

// memory is that of what is scarce.
func memory(p sizing.Plan) model.Memory {
	if p.GPU != nil {
		return p.GPU.Memory
	}
	return p.Memory
}

func other(m model.Memory) model.Bytes { return m.Adapters + m.PromptCache + m.Overhead + m.Shared }

// gib has a digit behind the point where it says something.
func gib(b model.Bytes) string {
	const whole = 100
	n := float64(b) / float64(model.GiB)
	if n >= whole {
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

func price(p float64) string {
	const whole = 1000
	if p >= whole {
		return strconv.FormatFloat(p, 'f', 0, 64)
	}
	return strconv.FormatFloat(p, 'f', 2, 64)
}

// table has blanks between columns, so that it is read without lines and colour.
func (p *page) table(ask sizing.Ask, plans []sizing.Plan) {
	all := columns(ask, plans)
	rows := [][]string{{}}
	for _, c := range all {
		rows[0] = append(rows[0], c.title)
	}
	for _, plan := range plans {
		var row []string
		for _, c := range all {
			row = append(row, c.value(plan))
		}
		rows = append(rows, row)
	}
	p.grid(rows, func(column int) bool { return all[column].left })
}

// grid aligns rows in columns; those of numbers stand on the right. Where lines would be too
// long for two blanks between columns, there is one.
func (p *page) grid(rows [][]string, left func(column int) bool) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	between, all := "  ", -2
	for _, w := range widths {
		all += w + len(between)
	}
	if all > width {
		between = " "
	}
	for _, row := range rows {
		var cells []string
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-len(cell))
			if left(i) {
				cells = append(cells, cell+space)
			} else {
				cells = append(cells, space+cell)
			}
		}
		p.WriteString(strings.TrimRight(strings.Join(cells, between), " ") + "\n")
	}
}

// arithmetic is how a plan comes about, line by line.
func (p *page) arithmetic(m model.Model, plan sizing.Plan) {
	on := "of the node's memory"
	if plan.GPU != nil {
		on = fmt.Sprintf("on each of %d x %s", plan.GPU.Count, plan.GPU.Product)
	}
	p.WriteString("\n")
	p.line(2, "How the plan for %s comes about, %s, served by %s", plan.Type.Name, on, plan.Engine)
	p.terms(estimate.Serving(m, plan.Wishes, plan.Plan))
	p.line(2, "  Limit: %s.", plan.LimitText(m))
}

func (p *page) terms(all []estimate.Term) {
	const name, amount = 20, 20
	for _, t := range all {
		value := fmt.Sprintf("%d %s", t.Count, t.Unit)
		if t.Unit == "" {
			value = t.Bytes.String()
			if t.Bytes < model.MiB {
				value = fmt.Sprintf("%d bytes", t.Bytes)
			}
		}
		const space = 2 + name + 1 + amount + 2
		how := &page{}
		how.line(space, "%s%s", strings.Repeat("_", space), t.How)
		lead := fmt.Sprintf("  %-*s %*s  ", name, t.Name, amount, value)
		p.WriteString(strings.Replace(how.String(), strings.Repeat("_", space), lead, 1))
	}
}
