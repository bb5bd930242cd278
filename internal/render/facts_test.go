package render_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
)

// factsGolden is what is made of a model of the hub that is gated.
var factsGolden = filepath.Join("testdata", "facts.yaml")

func hubWorkspace() *v1beta1.Workspace {
	return &v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: "default", UID: "6f1c1a52-0000-4000-8000-000000000001"}}
}

func pin() render.Pin {
	return render.Pin{Repository: "o/Tiny-Chat", Commit: "0123456789abcdef0123456789abcdef01234567", Pickles: true, Again: "1", Model: "id: tiny-chat\n"}
}

func TestFactsGolden(t *testing.T) {
	t.Parallel()
	ws := hubWorkspace()
	job := render.FactsJob(render.FactsQuestion{
		Workspace: ws, ID: "0123456789ab", Runner: "registry.local:5000/kaito/runner:dev", PullSecrets: []string{"mirror"},
		Endpoint: "https://huggingface.co", Repository: "o/Tiny-Chat", Revision: "main", Pickles: true, Secret: "hub",
	})
	golden(t, factsGolden, []byte(strings.Join([]string{marshal(t, render.FactsConfig(ws, pin())), marshal(t, job)}, "---\n")))
}

func TestAPinIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(pin(), render.ReadPin(&corev1.ConfigMap{Data: render.FactsConfig(hubWorkspace(), pin()).Data})); diff != "" {
		t.Errorf("pin (-written +read):\n%s", diff)
	}
}

func TestTheServerAcceptsTheGoldenOfFacts(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	for _, o := range objects(t, factsGolden, namespace) {
		if err := apply(t, o); err != nil {
			t.Errorf("%s: %v", o.GetKind(), err)
		}
		if o.GetKind() == "Job" {
			if err := api.Client(t).Create(t.Context(), podFrom(t, o), client.DryRunAll); err != nil {
				t.Errorf("a pod of it: %v", err)
			}
		}
	}
}
