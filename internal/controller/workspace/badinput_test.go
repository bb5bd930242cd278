package workspace_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// Each row is a mistake that a user can make, as a manifest, and the answer that they
// get: from the API server at once, or from the operator in a condition. The rows are
// those of the issue that asked for them; requests to a model are the runner's.
func TestBadInput(t *testing.T) {
	start(t, provisioning())
	c := api.Client(t)
	for name, tc := range map[string]struct {
		condition, reason string
	}{
		// Without a condition it is the API server that refuses.
		"both-inference-and-tuning":            {},
		"neither-inference-nor-tuning":         {},
		"name-of-63-characters":                {},
		"unknown-preset":                       {v1beta1.ConditionAccepted, v1beta1.ReasonModelNotFound},
		"selector-without-nodes":               {v1beta1.ConditionNodesReady, v1beta1.ReasonNoMatchingNode},
		"config-missing":                       {v1beta1.ConditionAccepted, v1beta1.ReasonConfigMapNotFound},
		"config-not-yaml":                      {v1beta1.ConditionAccepted, v1beta1.ReasonInvalidSettings},
		"config-unknown-flag":                  {v1beta1.ConditionAccepted, v1beta1.ReasonInvalidSettings},
		"model-larger-than-the-node":           {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"image-that-cannot-be-pulled":          {v1beta1.ConditionInferenceReady, v1beta1.ReasonImagePullError},
		"adapter-strength-above-1":             {},
		"adapters-of-one-name":                 {},
		"adapter-named-as-the-model":           {v1beta1.ConditionAccepted, v1beta1.ReasonInvalidAdapter},
		"adapter-unusable":                     {v1beta1.ConditionInferenceReady, v1beta1.ReasonAdapterUnusable},
		"context-beyond-the-model":             {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"more-gpus-than-any-node-has":          {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"slices-that-no-node-has":              {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"slice-too-small":                      {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"unknown-instance-type":                {v1beta1.ConditionAccepted, v1beta1.ReasonUnknownInstanceType},
		"gpus-that-heads-do-not-divide":        {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"gpu-that-the-engine-cannot-use":       {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"partition-of-a-node-that-is-made":     {v1beta1.ConditionAccepted, v1beta1.ReasonNotYetSupported},
		"quantisation-that-the-gpu-cannot-run": {v1beta1.ConditionAccepted, v1beta1.ReasonDoesNotFit},
		"template-without-containers":          {v1beta1.ConditionAccepted, v1beta1.ReasonInvalidTemplate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join("testdata", "bad-input", name)
			ws, err := submit(t, c, filepath.Join(folder, "manifest.yaml"))
			var got string
			switch {
			case tc.condition == "" && err == nil:
				t.Fatal("the API server takes it")
			case tc.condition == "":
				got = err.Error() + "\n"
			case err != nil:
				t.Fatal(err)
			default:
				play(t, c, ws, filepath.Join(folder, "pod-status.yaml"))
				is(t, c, ws, tc.condition, tc.reason)
				got = tc.condition + " " + tc.reason + ": " + condition(t, c, ws, tc.condition).Message + "\n"
				if ready := condition(t, c, ws, v1beta1.ConditionWorkspaceReady); !strings.HasSuffix(got, ": "+ready.Message+"\n") {
					t.Errorf("WorkspaceReady says %q, not what the cause says", ready.Message)
				}
			}
			golden(t, filepath.Join(folder, "want.txt"), got)
		})
	}
}

// submit creates what a manifest holds, in a namespace of the test's, as kubectl does;
// the error is that of the Workspace.
func submit(t *testing.T, c client.Client, file string) (*v1beta1.Workspace, error) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	namespace, ws := api.Namespace(t), &unstructured.Unstructured{}
	for _, text := range strings.Split(string(data), "---\n") {
		var o unstructured.Unstructured
		if err := yaml.UnmarshalStrict([]byte(text), &o.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch o.GetKind() {
		case "Node":
			var node corev1.Node
			if err := yaml.UnmarshalStrict([]byte(text), &node); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			api.Join(t, &node)
		case v1beta1.WorkspaceKind:
			ws = &o
			ws.SetNamespace(namespace)
		default:
			o.SetNamespace(namespace)
			if err := c.Create(t.Context(), &o); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = c.Create(t.Context(), ws, client.FieldValidation(metav1.FieldValidationStrict))
	return &v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ws.GetName()}}, err
}

// play makes the pod of a server, which no controller makes here, and writes its
// status as a kubelet would, where the case has one.
func play(t *testing.T, c client.Client, ws *v1beta1.Workspace, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var status corev1.PodStatus
	if err := errors.Join(err, yaml.UnmarshalStrict(data, &status)); err != nil {
		t.Fatal(err)
	}
	var set appsv1.StatefulSet
	eventually(t, "the StatefulSet is there", func() bool { return c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set) == nil })
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: ws.Namespace, Name: ws.Name + "-0", Labels: set.Spec.Template.Labels, Annotations: set.Spec.Template.Annotations,
	}, Spec: set.Spec.Template.Spec}
	pod.Spec.NodeName = "bad-" + ws.Name
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	pod.Status = status
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the answer differs from %s; rewrite it with -update (-want +got):\n%s", file, diff)
	}
}
