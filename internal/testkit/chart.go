package testkit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
)

// WithRightsOf applies the roles that a chart, a folder, gives in a namespace, and reaches
// the cluster as one of its service accounts, with them alone. Values are as for helm --set.
func (s *Server) WithRightsOf(t *testing.T, chart, namespace, account string, values ...string) *rest.Config {
	t.Helper()
	s.start(t) // and skips the test where its programs are not there
	args := []string{"template", "kaito", chart, "--namespace", namespace}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "helm"), args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("render the chart %s: %s", chart, exit.Stderr)
		}
		t.Fatalf("render the chart %s: %v", chart, err)
	}
	cluster, c, rights := s.Config(t), s.Client(t), 0
	err = c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := documents.Decode(o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(o.GetAPIVersion(), "rbac.") {
			continue
		}
		rights++
		if err := c.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("create %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	if rights == 0 {
		t.Fatalf("the chart %s has no rights: this looks at nothing", chart)
	}
	cluster.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return cluster
}

// TendNodes does what the controllers of a real cluster do: it takes off the taint that
// the API server gives to a new node, once that is ready.
func (s *Server) TendNodes(t *testing.T) {
	t.Helper()
	c := s.Client(t)
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		n := &nodes.Items[i]
		before := len(n.Spec.Taints)
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeNotReady })
		ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
		if ready && len(n.Spec.Taints) < before {
			if err := c.Update(t.Context(), n); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
	}
}
