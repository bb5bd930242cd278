package chat

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
	"kaito.sh/kaito/internal/cli/cluster"
)

// site is where a model answers.
type site struct {
	// base is the address before /v1.
	base   string
	client *http.Client
	// look finds the place that answers next, and is asked before each question.
	look func(context.Context) (place, error)
	// leave drops connections that are open, so that the next question takes a new one.
	leave func()
}

// place is a pod or an address; the id tells a pod from one that came after it under its name.
type place struct{ name, id string }

// direct is a site by its address.
func direct(url string, transport http.RoundTripper) *site {
	base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimRight(url, "/"), "/v1"), "/")
	client := &http.Client{Transport: transport}
	return &site{
		base: base, client: client, leave: client.CloseIdleConnections,
		look: func(context.Context) (place, error) { return place{name: base}, nil },
	}
}

// through is the site of a Workspace, through the API server.
func through(c *cluster.Cluster, workspace string) *site {
	p := &pods{cluster: c, workspace: workspace}
	transport := &http.Transport{DialContext: p.dial, DisableCompression: true}
	return &site{
		base:   fmt.Sprintf("http://%s.%s", workspace, c.Namespace),
		client: &http.Client{Transport: transport},
		look:   p.look,
		leave:  transport.CloseIdleConnections,
	}
}

// NotReadyError is a Workspace that cannot answer now.
type NotReadyError struct {
	Name  string
	State v1beta1.WorkspaceState
	// Because is the cause in one line.
	Because string
}

func (e *NotReadyError) Error() string {
	text := fmt.Sprintf("Workspace %q does not answer", e.Name)
	if e.State != "" {
		text += fmt.Sprintf(", it is %s", e.State)
	}
	return text + ": " + e.Because
}

// pods finds the pod that answers: the one in use for as long as it is ready.
type pods struct {
	cluster   *cluster.Cluster
	workspace string

	mu   sync.Mutex
	name string
	port int32
}

// look takes what the Service would take: ready pods that its selector selects.
func (p *pods) look(ctx context.Context) (place, error) {
	var service corev1.Service
	err := p.cluster.Get(ctx, p.cluster.Namespace, p.workspace, &service)
	if apierrors.IsNotFound(err) {
		return place{}, p.why(ctx)
	}
	if err != nil {
		return place{}, fmt.Errorf("read Service %q: %w", p.workspace, err)
	}
	var all corev1.PodList
	selector := labels.SelectorFromSet(service.Spec.Selector).String()
	if selector == "" {
		return place{}, p.why(ctx)
	}
	if err := p.cluster.List(ctx, cluster.Where{Namespace: p.cluster.Namespace, Labels: selector}, &all); err != nil {
		return place{}, fmt.Errorf("list the pods of Workspace %q: %w", p.workspace, err)
	}
	pod, found := choose(all.Items, p.now())
	if !found {
		return place{}, p.why(ctx)
	}
	port, err := portOf(&service, pod)
	if err != nil {
		return place{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.port = pod.Name, port
	return place{name: "pod " + pod.Name, id: string(pod.UID)}, nil
}

func (p *pods) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name
}

// dial is for the HTTP client; whatever the address, the pod was chosen before.
func (p *pods) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	name, port := p.name, p.port
	p.mu.Unlock()
	return p.cluster.Dial(ctx, p.cluster.Namespace, name, port)
}

// why says why no pod answers.
func (p *pods) why(ctx context.Context) error {
	ws, err := p.cluster.Workspace(ctx, p.workspace)
	if err != nil {
		return err
	}
	because := chain.Line(ws)
	if because == "" {
		because = "it is ready, and none of its pods is: one may be starting again"
	}
	return &NotReadyError{Name: p.workspace, State: ws.Status.State, Because: because}
}

// choose keeps to the pod in use while that is ready, else takes the first by name.
func choose(all []corev1.Pod, current string) (*corev1.Pod, bool) {
	var ready []*corev1.Pod
	for i := range all {
		if isReady(&all[i]) {
			ready = append(ready, &all[i])
		}
	}
	if len(ready) == 0 {
		return nil, false
	}
	slices.SortFunc(ready, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for _, pod := range ready {
		if pod.Name == current {
			return pod, true
		}
	}
	return ready[0], true
}

func isReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp.IsZero() && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && metav1.ConditionStatus(c.Status) == metav1.ConditionTrue
	})
}

// portOf is the pod's port behind the first port of the Service.
func portOf(service *corev1.Service, pod *corev1.Pod) (int32, error) {
	if len(service.Spec.Ports) == 0 {
		return 0, fmt.Errorf("the Service %q has no port", service.Name)
	}
	first := service.Spec.Ports[0]
	switch {
	case first.TargetPort.Type == intstr.Int && first.TargetPort.IntVal > 0:
		return first.TargetPort.IntVal, nil
	case first.TargetPort.StrVal == "":
		return first.Port, nil
	}
	for _, c := range pod.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == first.TargetPort.StrVal {
				return port.ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("no container of pod %q has the port %q of the Service", pod.Name, first.TargetPort.StrVal)
}
