package tune

import (
	"bytes"
	"cmp"
	_ "embed" // the page's template
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
)

//go:embed page.html.tmpl
var pageTemplate string

// page is what the report says; the template only lays it out.
type page struct {
	Title, Model, Verdict, Tone string
	Message                     string
	Made                        string
	Chart                       *chart
	Parts                       []part
	Conditions                  []condition
}

// part is a table of names and values.
type part struct {
	Title string
	Facts []fact
	Note  string
}

// fact is one row; Code is shown as it is written.
type fact struct {
	Name, Value string
	Code        bool
}

// condition is one row of the conditions.
type condition struct{ Type, Status, Reason, Message, Since string }

// pageOf is pure.
func pageOf(ws *v1beta1.Workspace, with settings, now time.Time) page {
	p := page{
		Title: ws.Name, Model: what(ws), Made: stamp(metav1.Time{Time: now}),
		Verdict: cmp.Or(string(ws.Status.State), "Not observed yet"), Tone: "going",
		Message: waiting(ws),
	}
	switch o := outcomeOf(ws); {
	case o.done && o.err == nil:
		p.Tone = "good"
	case o.done:
		p.Tone = "bad"
	}
	t := ws.Status.Tuning
	if t == nil {
		t = &v1beta1.TuningStatus{}
	}
	p.Chart = chartOf(points(t.Losses))
	for _, made := range []part{run(t), data(ws, t), output(ws, t), model(ws), times(ws, t)} {
		p.add(made)
	}
	for _, section := range slices.Sorted(maps.Keys(with)) {
		p.add(section2part(section, with[section]))
	}
	if with == nil && ws.Tuning.Config != "" {
		p.add(part{Title: "Settings", Facts: []fact{{"ConfigMap", ws.Tuning.Config, true}}})
	}
	for _, c := range chain.Of(ws) {
		p.Conditions = append(p.Conditions, condition{c.Type, string(c.Status), c.Reason, c.Message, stamp(c.LastTransitionTime)})
	}
	return p
}

// add leaves out what is not known.
func (p *page) add(made part) {
	made.Facts = slices.DeleteFunc(made.Facts, func(f fact) bool { return f.Value == "" })
	if len(made.Facts) > 0 {
		p.Parts = append(p.Parts, made)
	}
}

func run(t *v1beta1.TuningStatus) part {
	made := part{Title: "Run", Facts: []fact{
		{"Run id", t.RunID, true},
		{"Phase", t.Phase, false},
		{"Steps", outOf(t.Step, t.TotalSteps), false},
		{"Loss", t.Loss, false},
		{"Tokens a second", count(t.TokensPerSecond), false},
		{"Attempt", count(t.Attempt), false},
		{"Resumed from step", count(t.ResumedFrom), false},
		{"Checkpoint", t.Checkpoint, true},
	}}
	if curve := points(t.Losses); len(curve) > 1 {
		made.Facts[3] = fact{"Loss, first to last", amount(curve[0].loss) + " → " + amount(curve[len(curve)-1].loss), false}
	}
	return made
}

func data(ws *v1beta1.Workspace, t *v1beta1.TuningStatus) part {
	made := part{Title: "Data set"}
	if d := t.Dataset; d != nil {
		made.Facts = []fact{
			{"Format", d.Format, false},
			{"Files", count(d.Files), false},
			{"Rows", count64(d.Rows), false},
			{"Rows skipped", count64(d.SkippedRows), false},
			{"Tokens", count64(d.Tokens), false},
			{"Digest", d.Digest, true},
		}
	}
	if in := ws.Tuning.Input; in != nil {
		for _, u := range in.URLs {
			made.Facts = append(made.Facts, fact{"Address", harmless(u), true})
		}
		made.Facts = append(made.Facts, fact{"Image", in.Image, true})
		made.Facts = append(made.Facts, fact{"Volume", claim(in.VolumeSource), true})
	}
	return made
}

// harmless leaves out what lets somebody in: a password, and a query that may be a signature.
func harmless(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "…"
	}
	u.User, u.Fragment = nil, ""
	if u.RawQuery != "" {
		u.RawQuery = ""
		return u.String() + "?…"
	}
	return u.String()
}

// claim names a volume of the cluster.
func claim(volume *runtime.RawExtension) string {
	if volume == nil {
		return ""
	}
	var v corev1.VolumeSource
	if err := json.Unmarshal(volume.Raw, &v); err != nil || v.PersistentVolumeClaim == nil {
		return "a volume of the cluster"
	}
	return "persistentVolumeClaim " + v.PersistentVolumeClaim.ClaimName
}

func output(ws *v1beta1.Workspace, t *v1beta1.TuningStatus) part {
	made := part{Title: "Adapter", Facts: []fact{{"Image", t.OutputImage, true}, {"Digest", t.OutputDigest, true}}}
	if out := ws.Tuning.Output; out != nil {
		made.Facts = append(made.Facts, fact{"Volume", claim(out.VolumeSource), true})
	}
	return made
}

func model(ws *v1beta1.Workspace) part {
	made := part{Title: "Model and node", Facts: []fact{
		{"Method", strings.ToLower(string(ws.Tuning.Method)), false},
		{"Instance type", ws.Resource.InstanceType, true},
		{"Node", strings.Join(ws.Status.WorkerNodes, ", "), true},
	}}
	if plan := ws.Status.Plan; plan != nil {
		made.Facts = append([]fact{{"Model", plan.Model, true}, {"Revision", plan.ModelRevision, true}}, made.Facts...)
		made.Facts = append(made.Facts, fact{"Served by", plan.Engine, false})
		if plan.CPU != nil {
			made.Facts = append(made.Facts, fact{"CPU", plan.CPU.String(), false})
		}
		if plan.GPUs != nil && *plan.GPUs > 0 {
			made.Facts = append(made.Facts, fact{"GPUs", strconv.Itoa(int(*plan.GPUs)), false})
		}
		if plan.Memory != nil && plan.Memory.Total != nil {
			made.Facts = append(made.Facts, fact{"Memory", plan.Memory.Total.String(), false})
		}
	}
	return made
}

func times(ws *v1beta1.Workspace, t *v1beta1.TuningStatus) part {
	made := part{Title: "Times", Facts: []fact{
		{"Workspace created", stamp(ws.CreationTimestamp), false},
		{"Training", took(t.TrainingSeconds), false},
	}}
	if s := ws.Status.Startup; s != nil {
		made.Facts = append(made.Facts,
			fact{"Node", took(s.NodeSeconds), false}, fact{"Server's image", took(s.ImageSeconds), false},
			fact{"Server's weights", took(s.WeightsSeconds), false}, fact{"Server's start", took(s.LoadSeconds), false},
			fact{"From creation to the first answer", took(s.FirstAnswerSeconds), false})
	}
	return made
}

func section2part(name string, values map[string]any) part {
	made := part{Title: "Settings: " + name}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if v := values[key]; v != nil {
			made.Facts = append(made.Facts, fact{key, fmt.Sprint(v), true})
		}
	}
	return made
}

func outOf(done, total *int32) string {
	if done == nil || total == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d", *done, *total)
}

func count(n *int32) string {
	if n == nil || *n == 0 {
		return ""
	}
	return strconv.Itoa(int(*n))
}

func count64(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

func took(n *int32) string {
	if n == nil {
		return ""
	}
	return seconds(int(*n))
}

func stamp(t metav1.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func render(p page) ([]byte, error) {
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the report's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("lay out the report: %w", err)
	}
	return b.Bytes(), nil
}
