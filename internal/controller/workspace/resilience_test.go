package workspace_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// link is the way from an operator to the server. It can be cut, and mended.
type link struct{ cut atomic.Bool }

var errCut = errors.New("the network is cut")

func (l *link) lay(cluster *rest.Config) {
	var dialer net.Dialer
	cluster.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if l.cut.Load() {
			return nil, errCut
		}
		c, err := dialer.DialContext(ctx, network, address)
		return &severable{Conn: c, link: l}, err
	}
}

// severable is a connection that ends with its link.
type severable struct {
	net.Conn
	link *link
}

func (s *severable) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.link.cut.Load() {
		return 0, errors.Join(errCut, s.Close())
	}
	return n, err
}

func (s *severable) Write(b []byte) (int, error) {
	if s.link.cut.Load() {
		return 0, errors.Join(errCut, s.Close())
	}
	return s.Conn.Write(b)
}

func TestAnOperatorThatWasCutOffFinishes(t *testing.T) {
	wire := &link{}
	c := operate(t, wire.lay)
	namespace := api.Namespace(t)
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	first := testkit.Workspace(namespace, "first", testkit.OnNodes("apps", namespace))
	if err := c.Create(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	is(t, c, first, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)

	wire.cut.Store(true)
	while := testkit.Workspace(namespace, "while", testkit.OnNodes("apps", namespace))
	if err := c.Create(t.Context(), while); err != nil {
		t.Fatal(err)
	}
	// What is deleted meanwhile must come back as well.
	set := &appsv1.StatefulSet{}
	set.Namespace, set.Name = namespace, "first"
	if err := c.Delete(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	wire.cut.Store(false)
	is(t, c, while, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
	eventually(t, "the deleted StatefulSet is back", func() bool { return c.Get(t.Context(), client.ObjectKeyFromObject(set), set) == nil })
}

func TestAnotherReplicaFinishesWhatTheLeaderBegan(t *testing.T) {
	namespace := api.Namespace(t)
	cfg := options()
	cfg.LeaderElect, cfg.Namespace = true, namespace
	// The first leader stops in the middle: after its first child it can write nothing more.
	var children atomic.Int64
	stopFirst := start(t, cfg, func(cluster *rest.Config) {
		cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost && !strings.Contains(req.URL.Path, "/leases") && children.Add(1) > 1 {
					return nil, fmt.Errorf("%s: %w", req.URL.Path, errCut)
				}
				return next.RoundTrip(req)
			})
		})
	})
	c := api.Client(t)
	leads := func() string {
		var l coordinationv1.Lease
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "kaito-operator"}, &l); err != nil {
			return ""
		}
		return ptr.Deref(l.Spec.HolderIdentity, "")
	}
	eventually(t, "the first leads", func() bool { return leads() != "" })
	first := leads()
	start(t, cfg)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace))
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first has begun and is stuck", func() bool { return children.Load() > 1 })
	err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), &appsv1.StatefulSet{})
	if !apierrors.IsNotFound(err) {
		t.Fatalf("the first was to be stuck before the StatefulSet: %v", err)
	}
	if err := stopFirst(); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
	eventually(t, "the StatefulSet is there", func() bool {
		return c.Get(t.Context(), client.ObjectKeyFromObject(ws), &appsv1.StatefulSet{}) == nil
	})
	if now := leads(); now == first || now == "" {
		t.Errorf("%q leads, want another than %q", now, first)
	}
}

// A status that somebody else has just written is read again, and written then.
func TestAStatusThatWasWrittenByAnotherIsTriedAgain(t *testing.T) {
	var refused atomic.Int64
	c := api.Client(t)
	operate(t, func(cluster *rest.Config) {
		cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.Method != http.MethodPatch || !strings.HasSuffix(req.URL.Path, "/contested/status") {
					return next.RoundTrip(req)
				}
				if refused.Load() < 3 {
					if err := touch(t, c, req); err != nil {
						return nil, err
					}
				}
				answer, err := next.RoundTrip(req)
				if err == nil && answer.StatusCode == http.StatusConflict {
					refused.Add(1)
				}
				return answer, err
			})
		})
	})
	ws := testkit.Workspace(api.Namespace(t), "contested")
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionNodesReady, v1beta1.ReasonNoMatchingNode)
	if n := refused.Load(); n != 3 {
		t.Errorf("%d writes were refused, want 3", n)
	}
}

// touch changes the Workspace of a request under the operator's hands.
func touch(t *testing.T, c client.Client, req *http.Request) error {
	t.Helper()
	_, rest, _ := strings.Cut(req.URL.Path, "/namespaces/")
	namespace, _, _ := strings.Cut(rest, "/")
	ws := &v1beta1.Workspace{}
	ws.Namespace, ws.Name = namespace, "contested"
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"touched":%q}}}`, rand.Text())
	return c.Patch(req.Context(), ws, client.RawPatch(types.MergePatchType, []byte(patch)))
}

// A server that cannot make an object now says so to the user, and is asked again.
func TestAServerThatFailsIsToldAndTriedAgain(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	c := operate(t, func(cluster *rest.Config) {
		cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				if !broken.Load() || req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/services") {
					return next.RoundTrip(req)
				}
				full := apierrors.NewInternalError(errors.New("failed to allocate IP: range is full")).Status()
				full.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
				body, err := json.Marshal(full)
				return &http.Response{
					StatusCode: http.StatusInternalServerError, Status: "500 Internal Server Error", Request: req,
					Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
				}, err
			})
		})
	})
	namespace := api.Namespace(t)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace))
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonPodRejected)
	if got := condition(t, c, ws, v1beta1.ConditionInferenceReady).Message; !strings.Contains(got, "range is full") {
		t.Errorf("the message is %q, want the server's words", got)
	}
	broken.Store(false)
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
}
