package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// A golden cannot be wrong and pleasing at once: the server is asked.
func TestTheServerAcceptsEveryGolden(t *testing.T) {
	t.Parallel()
	for _, file := range goldens(t) {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			namespace := api.Namespace(t)
			kinds := map[string]bool{}
			for _, o := range objects(t, file, namespace) {
				kinds[o.GetKind()] = true
				if err := apply(t, o); err != nil {
					t.Errorf("%s: %v", o.GetKind(), err)
				}
			}
			for _, kind := range []string{"NetworkPolicy", "Service", "PodDisruptionBudget", "StatefulSet"} {
				if !kinds[kind] {
					t.Errorf("%s has no %s", file, kind)
				}
			}
		})
	}
}

func TestTheServerAcceptsEveryGoldenOfATuning(t *testing.T) {
	t.Parallel()
	for _, file := range tuneCases(t) {
		file = filepath.Join(filepath.Dir(file), "want.yaml")
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			namespace := api.Namespace(t)
			jobs := 0
			for _, o := range objects(t, file, namespace) {
				if err := apply(t, o); err != nil {
					t.Errorf("%s: %v", o.GetKind(), err)
				}
				if o.GetKind() != "Job" {
					continue
				}
				jobs++
				if err := api.Client(t).Create(t.Context(), podFrom(t, o), client.DryRunAll); err != nil {
					t.Errorf("a pod of Job %s: %v", o.GetName(), err)
				}
			}
			if jobs != 2 {
				t.Errorf("%s has %d Jobs, want 2", file, jobs)
			}
		})
	}
}

// Namespaces of tests enforce the strictest level of Pod Security; it judges pods, not StatefulSets.
func TestPodsPassPodSecurityRestricted(t *testing.T) {
	t.Parallel()
	for _, file := range goldens(t) {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			pod := podOf(t, file, api.Namespace(t))
			if err := api.Client(t).Create(t.Context(), pod, client.DryRunAll); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a pod that is allowed more is refused", func(t *testing.T) {
		t.Parallel()
		pod := podOf(t, goldens(t)[0], api.Namespace(t))
		pod.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
		err := api.Client(t).Create(t.Context(), pod, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
			t.Errorf("got %v, want an answer of Pod Security", err)
		}
	})
}

// The check above must be able to fail.
func TestTheServerRefusesWrongObjects(t *testing.T) {
	t.Parallel()
	file := filepath.Join("testdata", "smollm2", "want.yaml")
	for name, tc := range map[string]struct{ kind, old, with, want string }{
		"a name in capitals":                {"Service", "name: smollm2", "name: Smollm2", "RFC 1123"},
		"a port that is no port":            {"Service", "port: 80\n", "port: 80000\n", "must be between 1 and 65535"},
		"a port's name that is too long":    {"StatefulSet", "name: http", "name: hypertexttransfer", "must be no more than 15 characters"},
		"a field that does not exist":       {"StatefulSet", "podManagementPolicy:", "podManagement:", "podManagement"},
		"a selector of other pods":          {"StatefulSet", "matchLabels:\n      kaito.sh/workspace: smollm2", "matchLabels:\n      kaito.sh/workspace: other", "selector"},
		"a volume that is not there":        {"StatefulSet", "name: weights\n          readOnly", "name: wait\n          readOnly", "Not found"},
		"a request above its limit":         {"StatefulSet", "requests:\n            cpu: \"1\"", "requests:\n            cpu: \"2\"", "must be less than or equal to cpu limit"},
		"a label's value that is no value":  {"ConfigMap", "kaito.sh/workspace: smollm2", "kaito.sh/workspace: a b", "a valid label must be"},
		"a budget that is no number":        {"PodDisruptionBudget", "maxUnavailable: 1", "maxUnavailable: many", "maxUnavailable"},
		"a key that is no name of a file":   {"ConfigMap", "runner.json:", "runner/json:", "a valid config key must"},
		"an owner without an identity":      {"ConfigMap", "    uid: ", "    uid: '' # ", "uid"},
		"a template that never starts anew": {"StatefulSet", "terminationGracePeriodSeconds: ", "restartPolicy: Never # ", "restartPolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			namespace := api.Namespace(t)
			for _, text := range strings.Split(string(data), "---\n") {
				if !strings.Contains(text, "\nkind: "+tc.kind+"\n") {
					continue
				}
				spoiled := strings.Replace(text, tc.old, tc.with, 1)
				if spoiled == text {
					t.Fatalf("%s does not hold %q", tc.kind, tc.old)
				}
				err := apply(t, object(t, spoiled, namespace))
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want an answer that says %q", err, tc.want)
				}
				return
			}
			t.Fatalf("%s has no %s", file, tc.kind)
		})
	}
}

// apply asks the server as the operator does, and changes nothing.
func apply(t *testing.T, o *unstructured.Unstructured) error {
	t.Helper()
	return api.Client(t).Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o),
		client.FieldOwner(v1beta1.FieldOwner), client.ForceOwnership, client.DryRunAll)
}

func goldens(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*", "want.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens in testdata: %v", err)
	}
	return files
}

// objects are those of a golden, in a namespace of the test's.
func objects(t *testing.T, file, namespace string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []*unstructured.Unstructured
	for _, text := range strings.Split(string(data), "---\n") {
		out = append(out, object(t, text, namespace))
	}
	return out
}

func object(t *testing.T, text, namespace string) *unstructured.Unstructured {
	t.Helper()
	var fields map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &fields); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	o := &unstructured.Unstructured{Object: fields}
	o.SetNamespace(namespace)
	return o
}

// podOf is a pod as the StatefulSet of a golden would make it.
func podOf(t *testing.T, file, namespace string) *corev1.Pod {
	t.Helper()
	for _, o := range objects(t, file, namespace) {
		if o.GetKind() != "StatefulSet" {
			continue
		}
		return podFrom(t, o)
	}
	t.Fatalf("%s has no StatefulSet", file)
	return nil
}

// podFrom is a pod as the controller of an object would make it.
func podFrom(t *testing.T, o *unstructured.Unstructured) *corev1.Pod {
	t.Helper()
	template, _, err := unstructured.NestedMap(o.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(data, &pod); err != nil {
		t.Fatal(err)
	}
	pod.ObjectMeta = metav1.ObjectMeta{Name: o.GetName() + "-0", Namespace: o.GetNamespace(), Labels: pod.Labels, Annotations: pod.Annotations}
	return &pod
}
