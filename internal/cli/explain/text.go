package explain

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/nodes"
)

// page is text that grows by lines.
type page struct {
	strings.Builder
	now time.Time
}

func (p *page) line(format string, args ...any) {
	p.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " \n") + "\n")
}

// head begins a part, with an empty line before it.
func (p *page) head(title string) { p.line("\n%s", title) }

// row is one named value of a part.
func (p *page) row(name, format string, args ...any) {
	p.line("  %-10s %s", name, fmt.Sprintf(format, args...))
}

func (p *page) ago(t metav1.Time) string { return duration.HumanDuration(p.now.Sub(t.Time)) }

// text is the report for a person.
func text(r Report) string {
	p := &page{now: r.now}
	p.line("Workspace %s in namespace %s: %s, created %s ago", r.Name, r.Namespace, cmp.Or(string(r.State), "no state yet"), p.ago(r.Created))
	p.line("  asks for %s", r.Asks)
	p.chain(r)
	p.plan(r.Plan)
	p.startup(r.Startup)
	p.tuning(r.Tuning)
	p.nodes(r.Nodes)
	p.objects(r)
	p.pods(r.Pods)
	p.events(r.Events)
	if len(r.Unseen) > 0 {
		p.head("Not shown")
		for _, u := range r.Unseen {
			p.line("  %s", u)
		}
	}
	p.line("\nWhat to do: %s", r.WhatToDo)
	return p.String()
}

// chain is the conditions as a tree with one branch: each waits for the one above it.
func (p *page) chain(r Report) {
	p.head("Conditions, each waits for the one before it")
	if len(r.Conditions) == 0 {
		p.line("  none yet: no operator has looked at this Workspace")
	}
	told := map[string]string{}
	for i, c := range r.Conditions {
		// The message stands below the words of its condition, beside the line to the next one.
		branch, below := "  ", "  "
		if i > 0 {
			branch = "  " + strings.Repeat("   ", i-1) + "└─ "
			below = "  " + strings.Repeat("   ", i)
		}
		if i < len(r.Conditions)-1 {
			below += "│  "
		} else {
			below += "   "
		}
		message := c.Message
		if first, again := told[message]; again {
			message = "(as " + first + " says)"
		} else {
			told[message] = c.Type
		}
		p.line("%s%s", branch, p.link(c, r.Cause))
		p.line("%s%s", below, message)
	}
	if r.Cause != nil && r.Cause.Type == "" && len(r.Conditions) > 0 {
		p.line("  %s", r.Cause.Message)
	}
}

func (p *page) link(c Condition, cause *Condition) string {
	text := fmt.Sprintf("%s: %s", c.Type, c.Status)
	if c.Reason != c.Type {
		text += " " + c.Reason
	}
	if c.Since != nil {
		text += ", for " + p.ago(*c.Since)
	}
	if c.Stale {
		text += ", about an older edit"
	}
	if cause != nil && cause.Type == c.Type {
		text += "   <- the cause"
	}
	return text
}

func (p *page) plan(plan *v1beta1.PlanStatus) {
	if plan == nil {
		return
	}
	p.head("Plan")
	model := plan.Model
	if plan.ModelRevision != "" {
		model += " at " + plan.ModelRevision
	}
	p.row("model", "%s", model)
	p.row("engine", "%s on %s", plan.Engine, many(plan.Nodes, "node"))
	if plan.GPUs != nil && *plan.GPUs > 0 {
		p.row("GPUs", "%d on each node%s", *plan.GPUs, parallelism(plan.Parallelism))
	} else {
		p.row("GPUs", "none")
	}
	if plan.CPU != nil {
		p.row("CPU", "%s for each pod", plan.CPU)
	}
	p.row("context", "%s, %s at once", many(plan.Context, "token"), many(plan.Concurrency, "request"))
	if plan.Limit != "" {
		p.row("limit", "%s", plan.Limit)
	}
	p.memory(plan)
	if len(plan.Assumed) > 0 {
		p.row("confidence", "%s: %s", plan.Confidence, strings.Join(plan.Assumed, "; "))
	}
}

// memory is that of a plan by part; what it has none of is left out.
func (p *page) memory(plan *v1beta1.PlanStatus) {
	m := plan.Memory
	if m == nil {
		return
	}
	text := fmt.Sprintf("%s: weights %s, KV cache %s, overhead %s", size(m.Total), size(m.Weights), size(m.KVCache), size(m.Overhead))
	if m.Adapters != nil {
		text += ", adapters " + size(m.Adapters)
	}
	if m.PromptCache != nil {
		text += ", prompt cache " + size(m.PromptCache)
	}
	if plan.Headroom != nil {
		text += "; " + size(plan.Headroom) + " left alone"
	}
	p.row("memory", "%s", text)
}

func parallelism(p *v1beta1.ParallelismStatus) string {
	if p == nil {
		return ""
	}
	var parts []string
	for _, x := range []struct {
		name string
		n    int32
	}{{"tensor", p.Tensor}, {"pipeline", p.Pipeline}, {"data", p.Data}} {
		if x.n > 1 {
			parts = append(parts, fmt.Sprintf("%s %d", x.name, x.n))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", parallel: " + strings.Join(parts, ", ")
}

func size(q *resource.Quantity) string {
	if q == nil {
		return "unknown"
	}
	return q.String()
}

func many(n int32, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (p *page) startup(s *v1beta1.StartupStatus) {
	if s == nil {
		return
	}
	var parts []string
	for _, x := range []struct {
		name    string
		seconds *int32
	}{
		{"node", s.NodeSeconds},
		{"image", s.ImageSeconds},
		{"weights", s.WeightsSeconds},
		{"load", s.LoadSeconds},
		{"creation to first answer", s.FirstAnswerSeconds},
	} {
		if x.seconds != nil {
			parts = append(parts, fmt.Sprintf("%s %d s", x.name, *x.seconds))
		}
	}
	if len(parts) > 0 {
		p.head("Last start")
		p.line("  %s", strings.Join(parts, ", "))
	}
}

func (p *page) tuning(t *v1beta1.TuningStatus) {
	if t == nil {
		return
	}
	p.head("Tuning")
	p.row("run", "%s, phase %s", cmp.Or(t.RunID, "none yet"), cmp.Or(t.Phase, "unknown"))
	if t.Step != nil && t.TotalSteps != nil {
		p.row("step", "%d of %d, loss %s", *t.Step, *t.TotalSteps, cmp.Or(t.Loss, "unknown"))
	}
	if t.OutputImage != "" {
		p.row("output", "%s %s", t.OutputImage, t.OutputDigest)
	}
}

// nodes are those that were asked for, each with the steps on its way.
func (p *page) nodes(all []nodes.Node) {
	if len(all) == 0 {
		return
	}
	p.head("Nodes that were asked for")
	for _, n := range all {
		text := fmt.Sprintf("  NodeClaim %s, %s: %s", n.Name, cmp.Or(n.Type, "of no type"), n.State)
		if n.Node != "" {
			text += ", node " + n.Node
		}
		p.line("%s, asked for %s ago", text, p.ago(n.Created))
		for _, s := range n.Steps {
			line := fmt.Sprintf("    %s: %s", s.Step, s.Status)
			if s.Reason != "" && s.Reason != s.Step {
				line += " " + s.Reason
			}
			if s.Message != "" {
				line += ": " + strings.ReplaceAll(s.Message, "\n", " ")
			}
			p.line("%s", line)
		}
	}
}

func (p *page) objects(r Report) {
	p.head("Objects")
	for _, o := range r.Operators {
		p.line("  operator %s in namespace %s: %d of %d ready", strings.TrimSpace(o.Name+" "+o.Version), o.Namespace, o.Ready, o.Wants)
	}
	for _, s := range r.StatefulSets {
		p.line("  StatefulSet %s: %d of %d pods ready", s.Name, s.Ready, s.Wants)
	}
	if len(r.StatefulSets) == 0 {
		p.line("  StatefulSet: %s", none(r, unseenServers))
	}
	s := r.Service
	switch {
	case s == nil:
		p.line("  Service: %s", none(r, unseenService))
		return
	case s.Stranger:
		p.line("  Service %s belongs to somebody else", s.Name)
		return
	}
	p.line("  Service %s: %s %s, ports %s", s.Name, s.Type, s.Address, strings.Join(s.Ports, ", "))
	p.line("    in the cluster http://%s.%s", s.Name, r.Namespace)
	if len(s.External) > 0 {
		p.line("    outside http://%s", strings.Join(s.External, ", http://"))
	}
	p.line("    ready endpoints: %s", cmp.Or(strings.Join(s.Ready, ", "), none(r, unseenEndpoints)))
}

// none tells what is not there from what may not be read.
func none(r Report, what string) string {
	if unread(r.Unseen, what) {
		return "not shown"
	}
	return "none"
}

func (p *page) pods(all []Pod) {
	for _, pod := range all {
		title := "Pod " + pod.Name
		if pod.Role != "" {
			title += ", role " + pod.Role
		}
		title += ": " + pod.Phase
		if pod.Node != "" {
			title += " on node " + pod.Node
		}
		if pod.Address != "" {
			title += ", " + pod.Address
		}
		if pod.Deleting {
			title += ", being deleted"
		}
		p.head(title)
		if pod.Message != "" {
			p.line("  %s", pod.Message)
		}
		for _, c := range pod.Containers {
			p.container(c)
		}
	}
}

func (p *page) container(c Container) {
	kind := "container"
	if c.Init {
		kind = "init container"
	}
	text := fmt.Sprintf("  %s %s: %s", kind, c.Name, c.State)
	if c.Since != nil {
		text += " " + map[string]string{"ended": "", "ready": "for ", "running": "for "}[c.State] + p.ago(*c.Since)
		if c.State == "ended" {
			text += " ago"
		}
	}
	if c.Detail != "" {
		text += ", " + c.Detail
	}
	if c.Restarts > 0 {
		text += ", " + many(c.Restarts, "restart")
	}
	p.line("%s", text)
	if e := c.LastEnd; e != nil {
		p.line("    ended %s ago with exit code %d, %s: %s", p.ago(e.At), e.ExitCode, cmp.Or(e.Reason, "no reason"), cmp.Or(firstLine(e.Message), "no message"))
		for _, l := range e.Lines {
			p.line("      | %s", l)
		}
	}
}

// firstLine keeps a log that came as a termination message from flooding the page.
func firstLine(s string) string {
	first, _, more := strings.Cut(s, "\n")
	if more {
		first += " …"
	}
	return first
}

func (p *page) events(all []Event) {
	if len(all) == 0 {
		return
	}
	p.head("Events, newest last")
	for _, e := range all {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		p.line("  %-5s %-7s %s %s: %s%s", p.ago(e.At), e.Type, e.Object, e.Reason, strings.ReplaceAll(e.Message, "\n", " "), times)
	}
}
