package nodes

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
)

// Node is a node that was asked for; -o json prints it.
type Node struct {
	// Name is that of its NodeClaim.
	Name string `json:"name"`
	// Workspace and Namespace are whom it is for; empty is nobody of ours.
	Workspace string `json:"workspace,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Type is its instance type, or those that were asked for.
	Type string `json:"type"`
	// State is Asked, Launching, Refused, Joining, Starting, Ready or Leaving.
	State string `json:"state"`
	// Node is its name in the cluster, once it has joined.
	Node    string      `json:"node,omitempty"`
	Created metav1.Time `json:"created"`
	// Capacity is how it is bought, Zone where it stands, Ordinal and Attempt which of its
	// Workspace's nodes it is and how often it was replaced; each may be unknown.
	Capacity string `json:"capacityType,omitempty"`
	Zone     string `json:"zone,omitempty"`
	Ordinal  string `json:"ordinal,omitempty"`
	Attempt  string `json:"attempt,omitempty"`
	// Waits is what keeps it from being ready, or nil.
	Waits *Step `json:"waits,omitempty"`
	// Steps are all steps on its way, in order.
	Steps []Step `json:"steps"`
}

// Step is one step of a node's way, in the provisioner's words.
type Step struct {
	Step    string                 `json:"step"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason,omitempty"`
	Message string                 `json:"message,omitempty"`
}

// way are the steps to a node that is whole, back those to one that is gone.
func way() []string  { return []string{"Launched", "Registered", "Initialized"} }
func back() []string { return []string{"Drained", "VolumesDetached", "InstanceTerminating"} }

// Of selects the NodeClaims of a Workspace; an empty name is all of a namespace, and both
// empty all that are for any.
func Of(namespace, workspace string) string {
	var parts []string
	for _, label := range []struct{ key, value string }{{v1beta1.LabelWorkspaceNamespace, namespace}, {v1beta1.LabelWorkspace, workspace}} {
		if label.value == "" {
			parts = append(parts, label.key)
		} else {
			parts = append(parts, label.key+"="+label.value)
		}
	}
	return strings.Join(parts, ",")
}

// From are the nodes of claims, by namespace, Workspace, ordinal and name.
func From(claims []cluster.NodeClaim) []Node {
	all := make([]Node, 0, len(claims))
	for i := range claims {
		all = append(all, from(&claims[i]))
	}
	key := func(n Node) string {
		return strings.Join([]string{n.Namespace, n.Workspace, n.Ordinal, n.Attempt, n.Name}, "\x00")
	}
	slices.SortFunc(all, func(a, b Node) int { return strings.Compare(key(a), key(b)) })
	return all
}

func from(c *cluster.NodeClaim) Node {
	n := Node{
		Name: c.Name, Workspace: c.Labels[v1beta1.LabelWorkspace], Namespace: c.Labels[v1beta1.LabelWorkspaceNamespace],
		Type: c.Labels[cluster.LabelType], Node: c.Status.NodeName, Created: c.CreationTimestamp,
		Capacity: c.Labels[cluster.LabelCapacity], Zone: c.Labels[cluster.LabelZone], Ordinal: c.Labels[cluster.LabelOrdinal],
		Attempt: c.Annotations[cluster.AnnotationAttempt], Steps: []Step{},
	}
	for _, r := range c.Spec.Requirements {
		switch {
		case r.Key == cluster.LabelType && n.Type == "":
			n.Type = strings.Join(r.Values, ",")
		case r.Key == cluster.LabelCapacity && n.Capacity == "":
			n.Capacity = strings.Join(r.Values, ",")
		}
	}
	steps := way()
	if !c.DeletionTimestamp.IsZero() {
		steps = append(steps, back()...)
	}
	for _, kind := range steps {
		if one := meta.FindStatusCondition(c.Status.Conditions, kind); one != nil {
			n.Steps = append(n.Steps, Step{Step: kind, Status: one.Status, Reason: one.Reason, Message: strings.TrimSuffix(one.Message, ".")})
		}
	}
	n.State, n.Waits = stateOf(n.Steps, !c.DeletionTimestamp.IsZero())
	return n
}

// The states of a node, by the step that it waits for; the first of them is Asked until
// somebody has taken it up.
const (
	asked   = "Asked"
	refused = "Refused"
	ready   = "Ready"
	leaving = "Leaving"
)

// stateOf is one word for where a node stands, and what it waits for.
func stateOf(steps []Step, goes bool) (string, *Step) {
	if goes {
		for _, kind := range back() {
			if s := find(steps, kind); s != nil && s.Status != metav1.ConditionTrue {
				return leaving, s
			}
		}
		return leaving, nil
	}
	for i, kind := range way() {
		s := find(steps, kind)
		switch {
		case s == nil && i == 0:
			return asked, nil
		case s != nil && s.Status == metav1.ConditionTrue:
			continue
		case s != nil && s.Status == metav1.ConditionFalse && i == 0:
			return refused, s
		}
		return []string{"Launching", "Joining", "Starting"}[i], s
	}
	return ready, nil
}

func find(steps []Step, kind string) *Step {
	if i := slices.IndexFunc(steps, func(s Step) bool { return s.Step == kind }); i >= 0 {
		return &steps[i]
	}
	return nil
}
