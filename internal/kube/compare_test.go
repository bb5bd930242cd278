package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// goldens are all objects that the renderers make.
func goldens(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "render", "testdata", "*", "want.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	all := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(data), "\n---\n") {
			o := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
				t.Fatal(err)
			}
			if len(o.Object) > 0 {
				all[filepath.Base(filepath.Dir(file))+" "+o.GetKind()+" "+o.GetName()] = o
			}
		}
	}
	return all
}

func mustWant(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	want, err := wanted(data)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// asRead is the object as a typed client reads it.
func asRead(t *testing.T, scheme *runtime.Scheme, o *unstructured.Unstructured) client.Object {
	t.Helper()
	typed, err := scheme.New(o.GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.DeepCopy().Object, typed); err != nil {
		t.Fatal(err)
	}
	object, ok := typed.(client.Object)
	if !ok {
		t.Fatalf("%T is no object", typed)
	}
	return object
}

// Every field that we name, edited or taken away one at a time, is noticed; and what
// stands as we want it is left alone.
func TestEveryFieldOfOursIsCompared(t *testing.T) {
	t.Parallel()
	c := newConverter(clientgoscheme.Scheme)
	for name, golden := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := mustWant(t, golden)
			if same, err := c.holds(asRead(t, c.scheme, want), want); err != nil || !same {
				t.Fatalf("an object does not hold itself: %v", err)
			}
			seen := newPairs(1)
			seen.add(asRead(t, c.scheme, want), []byte("wanted"))
			leaves := leaves(want.Object, nil)
			if len(leaves) < 8 {
				t.Fatalf("only %d fields: the test looks at nothing", len(leaves))
			}
			for _, path := range leaves {
				for _, how := range []func(any) (any, bool){edited, gone} {
					there := want.DeepCopy()
					if !change(there.Object, path, how) {
						continue
					}
					if same, err := c.holds(asRead(t, c.scheme, there), want); err != nil || same {
						t.Errorf("a change of %v is not noticed (%v)", path, err)
					}
					if seen.same(asRead(t, c.scheme, there), []byte("wanted")) {
						t.Errorf("an object whose %v was changed is taken for the one that was compared", path)
					}
				}
			}
		})
	}
}

// leaves are the paths of all values that hold no others, but for what names an object.
func leaves(value any, at []any) [][]any {
	var all [][]any
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			path := append(slices.Clone(at), key)
			if p := fmt.Sprint(path); p == "[kind]" || p == "[apiVersion]" {
				continue
			}
			all = append(all, leaves(v[key], path)...)
		}
	case []any:
		for i := range v {
			all = append(all, leaves(v[i], append(slices.Clone(at), i))...)
		}
	default:
		all = append(all, at)
	}
	return all
}

// edited is another value of the same type; quantities and percentages stay such.
func edited(value any) (any, bool) {
	switch v := value.(type) {
	case string:
		if v != "" && strings.Trim(v, "0123456789KMGTimn") == "" {
			return "7" + v, true
		}
		return v + "x", true
	case int64:
		return v + 1, true
	case float64:
		return int64(v) + 1, true
	case bool:
		return !v, true
	}
	return nil, true
}

func gone(any) (any, bool) { return nil, false }

// change replaces or removes the value at a path; false where a value cannot go alone.
func change(value any, path []any, how func(any) (any, bool)) bool {
	for len(path) > 1 {
		switch step := path[0].(type) {
		case string:
			value = value.(map[string]any)[step]
		case int:
			value = value.([]any)[step]
		}
		path = path[1:]
	}
	switch step := path[0].(type) {
	case string:
		parent := value.(map[string]any)
		next, stays := how(parent[step])
		parent[step] = next
		if !stays {
			delete(parent, step)
		}
	case int:
		parent := value.([]any)
		next, stays := how(parent[step])
		if !stays {
			return false // the item before it would move up
		}
		parent[step] = next
	}
	return true
}

func TestWhatIsOfOthersIsLeftAlone(t *testing.T) {
	t.Parallel()
	const service = `
apiVersion: v1
kind: Service
metadata: {name: chat, namespace: apps, labels: {a: b}}
spec:
  selector: {app: chat}
  ports: [{name: http, port: 80, protocol: TCP, targetPort: 5000}]
`
	const set = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: chat, namespace: apps}
spec:
  selector: {matchLabels: {app: chat}}
  template:
    spec:
      containers:
        - name: engine
          args: [a, b]
          env:
            - {name: EMPTY, value: ""}
            - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
          resources: {limits: {cpu: "1", memory: 1Gi}}
          securityContext: {runAsNonRoot: false}
`
	c := newConverter(clientgoscheme.Scheme)
	for name, tc := range map[string]struct {
		base, old, with string
		same            bool
	}{
		"what the server fills in":               {service, "selector:", "clusterIP: 10.0.0.1, ipFamilies: [IPv4], sessionAffinity: None, selector:", true},
		"a label of others":                      {service, "labels: {a: b}", "labels: {a: b, c: d}", true},
		"a port of others":                       {service, "ports: [", "ports: [{name: debug, port: 9000, protocol: TCP}, ", true},
		"a port that is renumbered":              {service, "port: 80", "port: 8080", false},
		"a selector is one piece":                {service, "{app: chat}", "{app: chat, tier: gold}", false},
		"a number that became a name":            {service, "targetPort: 5000", "targetPort: http", false},
		"a sidecar of others":                    {set, "containers:", "containers:\n        - {name: mesh, image: mesh}", true},
		"an environment variable of others":      {set, "env:", "env:\n            - {name: OTHER, value: x}", true},
		"an argument more":                       {set, "args: [a, b]", "args: [a, b, c]", false},
		"arguments in another order":             {set, "args: [a, b]", "args: [b, a]", false},
		"a default inside one piece":             {set, "fieldPath: status", "apiVersion: v1, fieldPath: status", true},
		"an empty value that the server drops":   {set, "name: EMPTY, value: \"\"", "name: EMPTY", true},
		"an empty value that somebody filled":    {set, "value: \"\"", "value: full", false},
		"an amount in other words":               {set, "memory: 1Gi", "memory: 1024Mi", true},
		"another amount":                         {set, "memory: 1Gi", "memory: 1025Mi", false},
		"a false that is not the same as absent": {set, "runAsNonRoot: false", "privileged: false", false},
		"an environment variable twice":          {set, "env:", "env:\n            - {name: OTHER, value: x}\n            - {name: OTHER, value: z}", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := mustWant(t, parse(t, tc.base))
			if strings.Count(tc.base, tc.old) != 1 {
				t.Fatalf("%q is not in the object once", tc.old)
			}
			there := parse(t, flow(strings.Replace(tc.base, tc.old, tc.with, 1)))
			sayDefaults(there.Object) // as the server does
			there.SetAnnotations(want.GetAnnotations())
			same, err := c.holds(asRead(t, c.scheme, there), want)
			if err != nil || same != tc.same {
				t.Errorf("holds is %v, %v; want %v", same, err, tc.same)
			}
		})
	}
}

// flow keeps the cases short: fields of a block may stand on one line.
func flow(text string) string {
	return strings.Replace(text, "  clusterIP: 10.0.0.1, ipFamilies: [IPv4], sessionAffinity: None, ",
		"  clusterIP: 10.0.0.1\n  ipFamilies: [IPv4]\n  sessionAffinity: None\n  ", 1)
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAFieldThatIsNamedNoMoreIsNoticed(t *testing.T) {
	t.Parallel()
	c := newConverter(clientgoscheme.Scheme)
	before := parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}, data: {one: '1', two: '2'}}")
	after := parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}, data: {one: '1'}}")
	same, err := c.holds(asRead(t, c.scheme, mustWant(t, before)), mustWant(t, after))
	if err != nil || same {
		t.Errorf("holds is %v, %v; want the field that we dropped noticed", same, err)
	}
}
