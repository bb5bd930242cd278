package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// remark is what is said of a place: a type of machine, or nodes that are alike.
type remark struct {
	at    sizing.Place
	text  string
	names []string
	// alone is true where the remark names its type by itself.
	alone bool
}

// here stands in a text for the place that it is about.
const here = "\x00"

// together puts remarks of one text into one, with the names of all, in the order of the first.
func together(all []remark) []remark {
	var out []remark
	for _, r := range all {
		kind := "instance type"
		if len(r.at.Nodes) > 0 {
			kind = "node"
		}
		text := r.text
		if !r.alone {
			for _, word := range []string{kind, strings.ToUpper(kind[:1]) + kind[1:]} {
				text = strings.ReplaceAll(text, fmt.Sprintf("%s %q", word, r.at.Type.Name), here)
			}
		}
		names := r.at.Nodes
		if len(names) == 0 {
			names = []string{r.at.Type.Name}
		}
		same := slices.IndexFunc(out, func(o remark) bool { return o.text == text })
		if same < 0 {
			out = append(out, remark{at: r.at, text: text, names: slices.Clone(names)})
			continue
		}
		out[same].names = append(out[same].names, names...)
	}
	return out
}

// said is the text with words for the places.
func (r remark) said() string {
	word := "type"
	if len(r.at.Nodes) > 0 {
		word = "node"
	}
	if len(r.names) == 1 {
		return strings.ReplaceAll(r.text, here, "the "+word)
	}
	these := "these " + word + "s"
	return strings.NewReplacer(here+" offers", these+" offer", here+" has", these+" have", here, these).Replace(r.text)
}

// legend explains the words of the column LIMIT by the first plan that has each, and
// repeats what plans say of themselves, once.
func (p *page) legend(m model.Model, plans []sizing.Plan) {
	p.WriteString("\n")
	seen := map[sizing.Limit]bool{}
	var gpus, notes []remark
	for _, plan := range plans {
		if !seen[plan.Limit] {
			p.line(2, "LIMIT %s, on %s: %s", plan.Limit, plan.Type.Name, plan.LimitText(m))
			seen[plan.Limit] = true
		}
		if named := plan.Resource(); named != "" {
			gpus = append(gpus, remark{at: plan.Place, text: fmt.Sprintf("%s, which pods ask for as %s", plan.GPU.Product, named)})
		}
		if plan.Note != "" {
			notes = append(notes, remark{at: plan.Place, text: plan.Text(plan.Note)})
		}
	}
	p.remarks("GPUs of", gpus)
	p.remarks("Note on", notes)
}

// remarks are lines that begin alike.
func (p *page) remarks(begin string, all []remark) {
	for _, r := range together(all) {
		p.line(2, "%s %s: %s", begin, some(r.names), r.said())
	}
}

// mostRefused is how many lines say what is not offered, unless all is asked for.
const mostRefused = 12

// refusals tell types with one reason together. Of many the reasons that keep most of them
// away are told, unless the whole is asked for.
func (p *page) refusals(all []sizing.Refusal, whole bool) {
	if len(all) == 0 {
		return
	}
	p.WriteString("\nNot offered\n")
	var each []remark
	for _, r := range all {
		each = append(each, remark{at: sizing.Place{Type: r.Type, Nodes: r.Nodes}, text: r.Text, alone: len(r.Successors) > 0})
	}
	groups, full := together(each), &page{}
	for _, r := range groups {
		full.line(4, "  %s: %s", strings.Join(r.names, ", "), r.said())
	}
	if whole || full.lines() <= mostRefused {
		p.WriteString(full.String())
		return
	}
	slices.SortStableFunc(groups, func(a, b remark) int { return cmp.Compare(len(b.names), len(a.names)) })
	lines := 1 // of the rest
	for i, r := range groups {
		one := &page{}
		why, _, _ := strings.Cut(r.said(), "; confidence is low")
		one.line(4, "  %s: %s", some(r.names), why)
		if lines += one.lines(); lines > mostRefused && i > 0 {
			p.rest(groups[i:])
			return
		}
		p.WriteString(one.String())
	}
}

// lines is how many there are.
func (p *page) lines() int { return strings.Count(p.String(), "\n") }

// rest says how many are not shown.
func (p *page) rest(groups []remark) {
	word, more := "more type", 0
	for _, r := range groups {
		if len(r.at.Nodes) > 0 {
			word = "more node"
		}
		more += len(r.names)
	}
	p.line(4, "  and %s: --all shows why", many(more, word))
}
