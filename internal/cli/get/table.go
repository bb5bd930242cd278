package get

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
)

// column is one column of the table.
type column struct {
	title string
	value func(ws *v1beta1.Workspace, now time.Time) string
}

// columns are those that kubectl prints, in its order.
func columns(wide, namespaces bool) []column {
	var all []column
	if namespaces {
		all = append(all, column{"NAMESPACE", func(ws *v1beta1.Workspace, _ time.Time) string { return ws.Namespace }})
	}
	all = append(all,
		column{"NAME", func(ws *v1beta1.Workspace, _ time.Time) string { return ws.Name }},
		column{"INSTANCE", func(ws *v1beta1.Workspace, _ time.Time) string { return ws.Resource.InstanceType }},
		condition("RESOURCEREADY", v1beta1.ConditionResourceReady),
		condition("INFERENCEREADY", v1beta1.ConditionInferenceReady),
		condition("WORKSPACEREADY", v1beta1.ConditionWorkspaceReady),
		column{"AGE", func(ws *v1beta1.Workspace, now time.Time) string {
			return duration.HumanDuration(now.Sub(ws.CreationTimestamp.Time))
		}},
	)
	if wide {
		all = append(all,
			condition("JOBSTARTED", v1beta1.ConditionJobStarted),
			column{"NODES", func(ws *v1beta1.Workspace, _ time.Time) string { return count(ws.Status.TargetNodeCount) }},
			column{"MODEL", func(ws *v1beta1.Workspace, _ time.Time) string {
				if ws.Status.Plan == nil {
					return ""
				}
				return ws.Status.Plan.Model
			}},
			column{"STATE", func(ws *v1beta1.Workspace, _ time.Time) string { return string(ws.Status.State) }},
		)
	}
	return all
}

func condition(title, kind string) column {
	return column{title, func(ws *v1beta1.Workspace, _ time.Time) string {
		c := meta.FindStatusCondition(ws.Status.Conditions, kind)
		if c == nil {
			return ""
		}
		return string(c.Status)
	}}
}

func count(n *int32) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(int(*n))
}

// table prints rows below one head; columns only ever become wider.
type table struct {
	columns []column
	now     func() time.Time
	widths  []int
}

func newTable(columns []column, now func() time.Time) *table {
	t := &table{columns: columns, now: now}
	for _, c := range columns {
		t.widths = append(t.widths, len(c.title))
	}
	return t
}

func (t *table) write(w io.Writer, all []v1beta1.Workspace) {
	rows, head := make([][]string, len(all)), make([]string, len(t.columns))
	for i := range all {
		rows[i] = t.cells(&all[i])
	}
	for i, c := range t.columns {
		head[i] = c.title
	}
	t.line(w, head)
	for i := range all {
		t.line(w, rows[i])
		because(w, &all[i])
	}
}

// row is one more line, for a Workspace that has changed.
func (t *table) row(w io.Writer, ws *v1beta1.Workspace) {
	t.line(w, t.cells(ws))
	because(w, ws)
}

func (t *table) cells(ws *v1beta1.Workspace) []string {
	cells := make([]string, 0, len(t.columns))
	for i, c := range t.columns {
		v := c.value(ws, t.now())
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(v))
		cells = append(cells, v)
	}
	return cells
}

func (t *table) line(w io.Writer, cells []string) {
	var b strings.Builder
	for i, c := range cells {
		fmt.Fprintf(&b, "%-*s   ", t.widths[i], c)
	}
	_, _ = fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
}

// because is the line of a Workspace that is not ready.
func because(w io.Writer, ws *v1beta1.Workspace) {
	if text := chain.Line(ws); text != "" {
		_, _ = fmt.Fprintln(w, "  "+text)
	}
}

// document is kubectl's: one object by its name, else a List.
func document(w io.Writer, format string, picked []v1beta1.Workspace, one bool) error {
	for i := range picked {
		picked[i].TypeMeta = metav1.TypeMeta{APIVersion: v1beta1.GroupVersion.String(), Kind: v1beta1.WorkspaceKind}
	}
	var what any = map[string]any{"apiVersion": "v1", "kind": "List", "items": append([]v1beta1.Workspace{}, picked...)}
	if one {
		if len(picked) == 0 {
			return nil
		}
		what = picked[0]
	}
	raw, err := json.MarshalIndent(what, "", "  ")
	if err == nil && format == "yaml" {
		raw, err = yaml.JSONToYAML(raw)
	}
	if err != nil {
		return fmt.Errorf("write Workspaces: %w", err)
	}
	_, err = fmt.Fprintln(w, strings.TrimRight(string(raw), "\n"))
	return err
}
