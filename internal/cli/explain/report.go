package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/nodes"
	"kaito.sh/kaito/internal/runner/ending"
)

// Report is what is told about a Workspace; -o json prints it.
type Report struct {
	Name      string                 `json:"name"`
	Namespace string                 `json:"namespace"`
	Created   metav1.Time            `json:"created"`
	State     v1beta1.WorkspaceState `json:"state,omitempty"`
	// Asks is what the Workspace asks for, in a few words.
	Asks       string      `json:"asks"`
	Conditions []Condition `json:"conditions"`
	// Cause is why the Workspace is not ready: a condition, or one of three words of ours.
	Cause   *Condition             `json:"cause,omitempty"`
	Plan    *v1beta1.PlanStatus    `json:"plan,omitempty"`
	Startup *v1beta1.StartupStatus `json:"startup,omitempty"`
	Tuning  *v1beta1.TuningStatus  `json:"tuning,omitempty"`
	// Nodes are those that were asked for.
	Nodes        []nodes.Node       `json:"nodes,omitempty"`
	StatefulSets []Server           `json:"statefulSets"`
	Service      *Service           `json:"service,omitempty"`
	Pods         []Pod              `json:"pods"`
	Events       []Event            `json:"events"`
	Operators    []cluster.Operator `json:"operators,omitempty"`
	// Unseen is what the user may not read.
	Unseen   []string `json:"unseen,omitempty"`
	WhatToDo string   `json:"whatToDo"`

	now time.Time
}

// Condition is one link of the chain.
type Condition struct {
	Type    string                 `json:"type,omitempty"`
	Status  metav1.ConditionStatus `json:"status,omitempty"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
	Since   *metav1.Time           `json:"since,omitempty"`
	// Stale is true for a condition that is about an older edit.
	Stale bool `json:"stale,omitempty"`
}

// Server is a StatefulSet of the Workspace.
type Server struct {
	Name  string `json:"name"`
	Ready int32  `json:"ready"`
	Wants int32  `json:"wants"`
}

// Service is where the model answers.
type Service struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Address string   `json:"address"`
	Ports   []string `json:"ports"`
	// External are the addresses of its load balancer.
	External []string `json:"external,omitempty"`
	// Ready are the endpoints that answer.
	Ready []string `json:"ready"`
	// Stranger is true for a Service that the Workspace has not made.
	Stranger bool `json:"stranger,omitempty"`
}

// Pod is one pod of the Workspace.
type Pod struct {
	Name       string      `json:"name"`
	Role       string      `json:"role,omitempty"`
	Phase      string      `json:"phase"`
	Message    string      `json:"message,omitempty"`
	Node       string      `json:"node,omitempty"`
	Address    string      `json:"address,omitempty"`
	Deleting   bool        `json:"deleting,omitempty"`
	Containers []Container `json:"containers"`
}

// Container is one container of a pod, init containers first.
type Container struct {
	Name string `json:"name"`
	Init bool   `json:"init,omitempty"`
	// State is running, ready, waiting or ended.
	State    string       `json:"state"`
	Detail   string       `json:"detail,omitempty"`
	Since    *metav1.Time `json:"since,omitempty"`
	Restarts int32        `json:"restarts"`
	// LastEnd is how it ended before, the runner's own words first.
	LastEnd *End `json:"lastEnd,omitempty"`
}

// End is how a container ended.
type End struct {
	At       metav1.Time `json:"at"`
	ExitCode int32       `json:"exitCode"`
	Reason   string      `json:"reason,omitempty"`
	Message  string      `json:"message,omitempty"`
	// Lines are the engine's last words.
	Lines []string `json:"lines,omitempty"`
}

// Event is something that happened, newest last.
type Event struct {
	At      metav1.Time `json:"at"`
	Type    string      `json:"type"`
	Object  string      `json:"object"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
	Count   int32       `json:"count"`
}

// report is pure: the same observation and clock make the same report.
func report(s seen, program string, now time.Time) Report {
	ws := &s.workspace
	r := Report{
		Name: ws.Name, Namespace: ws.Namespace, Created: ws.CreationTimestamp,
		State: ws.Status.State, Asks: asks(ws),
		Conditions: conditions(ws),
		Plan:       ws.Status.Plan, Startup: ws.Status.Startup, Tuning: ws.Status.Tuning,
		Nodes:        nodes.From(s.claims),
		StatefulSets: servers(s.servers),
		Service:      service(s),
		Pods:         pods(s.pods),
		Events:       events(s.events),
		Operators:    s.operators,
		Unseen:       s.unseen,
		now:          now,
	}
	if c, waits := chain.Cause(ws); waits {
		r.Cause = new(condition(c, ws.Generation))
	}
	r.WhatToDo = advise(s, r, program)
	return r
}

// asks is the Workspace as its author would say it.
func asks(ws *v1beta1.Workspace) string {
	what := "a pod template of its own"
	switch {
	case ws.Tuning != nil && ws.Tuning.Preset != nil:
		what = ws.Tuning.Preset.Name + ", tuned,"
	case ws.Inference != nil && ws.Inference.Preset != nil:
		what = ws.Inference.Preset.Name
	}
	where := "nodes of your own"
	if ws.Resource.InstanceType != "" {
		where = "nodes of type " + ws.Resource.InstanceType
	}
	if ws.Resource.LabelSelector != nil {
		where += " with " + metav1.FormatLabelSelector(ws.Resource.LabelSelector)
	}
	return what + " on " + where
}

func conditions(ws *v1beta1.Workspace) []Condition {
	all := []Condition{}
	for _, c := range chain.Of(ws) {
		all = append(all, condition(c, ws.Generation))
	}
	return all
}

func condition(c metav1.Condition, generation int64) Condition {
	told := Condition{Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message}
	if c.Type != "" {
		told.Since = &c.LastTransitionTime
		told.Stale = c.ObservedGeneration < generation
	}
	return told
}

func servers(sets []appsv1.StatefulSet) []Server {
	all := []Server{}
	for i := range sets {
		s := Server{Name: sets[i].Name, Ready: sets[i].Status.ReadyReplicas, Wants: 1}
		if n := sets[i].Spec.Replicas; n != nil {
			s.Wants = *n
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Server) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func service(s seen) *Service {
	if s.service == nil {
		return nil
	}
	told := &Service{
		Name: s.service.Name, Type: string(s.service.Spec.Type), Address: s.service.Spec.ClusterIP, Ready: ready(s.slices),
		Stranger: !metav1.IsControlledBy(s.service, &s.workspace),
	}
	for _, p := range s.service.Spec.Ports {
		told.Ports = append(told.Ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	for _, i := range s.service.Status.LoadBalancer.Ingress {
		told.External = append(told.External, cmp.Or(i.IP, i.Hostname))
	}
	return told
}

// ready are the endpoints of the model's port that answer, with their pods.
func ready(all []discoveryv1.EndpointSlice) []string {
	found := []string{}
	for i := range all {
		for _, e := range all[i].Endpoints {
			if len(e.Addresses) == 0 || e.Conditions.Ready == nil || !*e.Conditions.Ready {
				continue
			}
			text := e.Addresses[0]
			if e.TargetRef != nil {
				text += " (" + e.TargetRef.Name + ")"
			}
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func pods(all []corev1.Pod) []Pod {
	told := []Pod{}
	for i := range all {
		p := &all[i]
		pod := Pod{
			Name: p.Name, Role: p.Labels[v1beta1.LabelRole], Phase: string(p.Status.Phase), Message: podMessage(p),
			Node: p.Spec.NodeName, Address: p.Status.PodIP, Deleting: !p.DeletionTimestamp.IsZero(), Containers: []Container{},
		}
		for _, s := range p.Status.InitContainerStatuses {
			c := container(s)
			c.Init = true
			pod.Containers = append(pod.Containers, c)
		}
		for _, s := range p.Status.ContainerStatuses {
			pod.Containers = append(pod.Containers, container(s))
		}
		told = append(told, pod)
	}
	slices.SortFunc(told, func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
	return told
}

// podMessage is what keeps the pod as a whole from running.
func podMessage(p *corev1.Pod) string {
	if p.Status.Message != "" || p.Status.Reason != "" {
		return strings.TrimPrefix(p.Status.Reason+": "+p.Status.Message, ": ")
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}

func container(s corev1.ContainerStatus) Container {
	c := Container{Name: s.Name, Restarts: s.RestartCount, State: "waiting"}
	switch {
	case s.State.Running != nil:
		c.State, c.Since = "running", &s.State.Running.StartedAt
		if s.Ready {
			c.State = "ready"
		}
	case s.State.Terminated != nil:
		e := end(s.State.Terminated)
		c.State, c.Since = "ended", &s.State.Terminated.FinishedAt
		if e.ExitCode != 0 {
			c.LastEnd = e
		}
	case s.State.Waiting != nil:
		c.Detail = strings.TrimSuffix(s.State.Waiting.Reason+": "+s.State.Waiting.Message, ": ")
	}
	if t := s.LastTerminationState.Terminated; t != nil && c.LastEnd == nil {
		c.LastEnd = end(t)
	}
	return c
}

// end reads what the runner left as its termination message.
func end(t *corev1.ContainerStateTerminated) *End {
	e := &End{At: t.FinishedAt, ExitCode: t.ExitCode, Reason: t.Reason, Message: strings.TrimSpace(t.Message)}
	var told ending.Ending
	if err := json.Unmarshal([]byte(t.Message), &told); err == nil && told.Message != "" {
		e.Reason, e.Message, e.Lines = string(told.Reason), told.Message, told.Lines
	}
	return e
}

// most is how many events are told.
const most = 20

// events are sorted, oldest first; those that say the same were already counted by the API server.
func events(all []corev1.Event) []Event {
	told := []Event{}
	for i := range all {
		e := &all[i]
		at := metav1.Time{Time: e.EventTime.Time}
		count := max(e.Count, 1)
		if e.Series != nil {
			at, count = metav1.Time{Time: e.Series.LastObservedTime.Time}, e.Series.Count
		}
		if at.Before(&e.LastTimestamp) {
			at = e.LastTimestamp
		}
		told = append(told, Event{
			At: at, Type: e.Type, Object: e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name,
			Reason: e.Reason, Message: strings.TrimSpace(e.Message), Count: count,
		})
	}
	slices.SortStableFunc(told, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At.Time), strings.Compare(a.Object, b.Object), strings.Compare(a.Message, b.Message))
	})
	return told[max(0, len(told)-most):]
}
