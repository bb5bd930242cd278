package chat

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
)

// apiServer has one Workspace with its Service and pods, and forwards to them as
// a kubelet does. It knows no WebSockets, as older API servers.
type apiServer struct {
	t *testing.T

	mu      sync.Mutex
	ws      *v1beta1.Workspace
	service *corev1.Service
	pods    []corev1.Pod
	// behind are the addresses of the pods' servers; a pod without one refuses connections.
	behind  map[string]string
	tunnels int
	// denied is true for a user who may not forward ports.
	denied bool
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/chat/")
	switch {
	case path == "services/tiny" && a.service != nil:
		answer(w, a.service)
	case path == "pods" && r.URL.Query().Get("labelSelector") == "kaito.sh/role=serve,kaito.sh/workspace=tiny":
		answer(w, &corev1.PodList{Items: a.pods})
	case strings.HasSuffix(path, "/portforward"):
		if r.Header.Get("Upgrade") != "websocket" {
			a.tunnels++
		}
		behind := a.behind[strings.TrimSuffix(strings.TrimPrefix(path, "pods/"), "/portforward")]
		if a.denied {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"User \"eve\" cannot create resource \"pods/portforward\""}`)
			return
		}
		a.mu.Unlock()
		forward(a.t, w, r, behind)
		a.mu.Lock()
	case r.URL.Path == "/apis/kaito.sh/v1beta1/namespaces/chat/workspaces/tiny" && a.ws != nil:
		answer(w, a.ws)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"details":{"name":"x","kind":"services"}}`)
	}
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}

// forward pairs the streams of one connection and copies until one side ends.
func forward(t *testing.T, w http.ResponseWriter, r *http.Request, behind string) {
	if r.Header.Get("Upgrade") == "websocket" {
		http.Error(w, "no WebSockets here", http.StatusBadRequest)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		t.Errorf("handshake: %v", err)
		return
	}
	streams := make(chan httpstream.Stream, 2)
	c := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if c == nil {
		return
	}
	defer func() { _ = c.Close() }()
	trouble, data := <-streams, <-streams
	if trouble.Headers().Get(corev1.StreamType) != corev1.StreamTypeError || data.Headers().Get(corev1.PortHeader) != "5000" {
		t.Errorf("streams with headers %v and %v", trouble.Headers(), data.Headers())
	}
	pod, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", behind)
	if err != nil {
		_, _ = io.WriteString(trouble, "unable to do port forwarding: connection refused")
		_ = trouble.Close()
		<-c.CloseChan()
		return
	}
	_ = trouble.Close()
	go func() {
		_, _ = io.Copy(pod, data)
		_ = pod.Close()
	}()
	_, _ = io.Copy(data, pod)
}

func pod(name, uid string, ready bool) corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uid)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 5000}}}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
}

func newAPIServer(t *testing.T) (*apiServer, *cluster.Cluster) {
	t.Helper()
	a := &apiServer{t: t, behind: map[string]string{}}
	a.service = &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "tiny", Namespace: "chat"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{v1beta1.LabelWorkspace: "tiny", v1beta1.LabelRole: v1beta1.RoleServe},
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	c, err := cluster.New(&rest.Config{Host: server.URL}, "chat")
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func (a *apiServer) set(pods []corev1.Pod, behind map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pods, a.behind = pods, behind
}

func (a *apiServer) opened() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tunnels
}

func TestTheNextPodAnswersWhenOneGoesAway(t *testing.T) {
	t.Parallel()
	a, c := newAPIServer(t)
	first, second := serve(t, says("I am the first")), serve(t, says("I am the second"))
	host := func(m *model) string { return m.Listener.Addr().String() }
	p := newPerson()
	k := &talk{sh: p.Shell, site: through(c, "tiny"), out: &p.out, thoughts: io.Discard}
	ask := func() {
		t.Helper()
		if err := k.answer(t.Context(), "Who are you?"); err != nil {
			t.Fatal(err)
		}
	}
	a.set([]corev1.Pod{pod("tiny-0", "a", true), pod("tiny-1", "b", true)}, map[string]string{"tiny-0": host(first), "tiny-1": host(second)})
	ask()
	ask()
	if n := a.opened(); n != 1 {
		t.Errorf("two questions took %d tunnels", n)
	}
	a.set([]corev1.Pod{pod("tiny-0", "a", false), pod("tiny-1", "b", true)}, map[string]string{"tiny-1": host(second)})
	ask()
	a.set([]corev1.Pod{pod("tiny-1", "c", true)}, map[string]string{"tiny-1": host(first)})
	ask()
	if diff := cmp.Diff("I am the first\nI am the first\nI am the second\nI am the first\n", p.out.String()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	want := "Pod tiny-0 is gone: pod tiny-1 answers from here on\nPod tiny-1 is gone: a new one of that name answers from here on\n"
	if diff := cmp.Diff(want, p.err.String()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestAPodThatRefusesConnectionsIsNamed(t *testing.T) {
	t.Parallel()
	a, c := newAPIServer(t)
	a.set([]corev1.Pod{pod("tiny-0", "a", true)}, nil)
	p := newPerson()
	k := &talk{sh: p.Shell, site: through(c, "tiny"), out: &p.out, thoughts: io.Discard}
	err := k.answer(t.Context(), "?")
	if err == nil || !strings.Contains(err.Error(), `pod "tiny-0": unable to do port forwarding: connection refused`) {
		t.Errorf("got %v", err)
	}
}

func TestAUserWhoMayNotForwardIsToldOnce(t *testing.T) {
	t.Parallel()
	a, c := newAPIServer(t)
	a.denied = true
	a.set([]corev1.Pod{pod("tiny-0", "a", true)}, nil)
	p := newPerson()
	k := &talk{sh: p.Shell, site: through(c, "tiny"), out: &p.out, thoughts: io.Discard}
	err := k.answer(t.Context(), "?")
	var denied *cluster.DeniedError
	if !errors.As(err, &denied) || !strings.Contains(err.Error(), `cannot create resource "pods/portforward"`) || p.err.Len() > 0 {
		t.Errorf("got %v, and said %q", err, &p.err)
	}
}

func TestStoppingAnAnswerClosesTheTunnel(t *testing.T) {
	t.Parallel()
	a, c := newAPIServer(t)
	gone := make(chan struct{})
	m := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		begin(w, "One, ")
		<-r.Context().Done()
		close(gone)
	})
	a.set([]corev1.Pod{pod("tiny-0", "a", true)}, map[string]string{"tiny-0": m.Listener.Addr().String()})
	p := newPerson()
	ctx, cancel := context.WithCancel(t.Context())
	k := &talk{sh: p.Shell, site: through(c, "tiny"), thoughts: io.Discard, out: writerFunc(func(b []byte) (int, error) {
		cancel()
		return len(b), nil
	})}
	if err := k.answer(ctx, "Count"); !errors.Is(err, context.Canceled) {
		t.Fatalf("a stopped answer ended with %v", err)
	}
	select {
	case <-gone:
	case <-t.Context().Done():
		t.Fatal("the pod never saw its client go away")
	}
}

func TestWhyNoPodAnswers(t *testing.T) {
	t.Parallel()
	waiting := &v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: "tiny", Namespace: "chat", Generation: 1}}
	waiting.Status.State = v1beta1.StatePending
	waiting.Status.Conditions = []metav1.Condition{v1beta1.NoMatchingNode("apps=tiny")}
	ready := waiting.DeepCopy()
	ready.Status.State = v1beta1.StateReady
	ready.Status.Conditions = []metav1.Condition{v1beta1.WorkspaceReady()}
	ready.Status.Conditions[0].ObservedGeneration = 1
	for name, tc := range map[string]struct {
		ws      *v1beta1.Workspace
		service bool
		want    string
	}{
		"no Service: the first condition that is not True": {
			ws: waiting, want: "Workspace \"tiny\" does not answer, it is Pending: NodesReady NoMatchingNode: No node matches the label selector \"apps=tiny\": label one with `kubectl label node NODE KEY=VALUE`, it is picked up at once",
		},
		"no ready pod behind a ready Workspace": {
			ws: ready, service: true, want: `Workspace "tiny" does not answer, it is Ready: it is ready, and none of its pods is: one may be starting again`,
		},
		"no Workspace": {want: `there is no Workspace "tiny" in namespace "chat"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, c := newAPIServer(t)
			a.ws = tc.ws
			if !tc.service {
				a.service = nil
			}
			_, err := through(c, "tiny").look(t.Context())
			if diff := cmp.Diff(tc.want, orNone(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
