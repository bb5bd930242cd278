package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// back waits until the children are what they were.
func (w workspace) back(t *testing.T, want map[string]any) {
	t.Helper()
	eventually(t, 30*time.Second, "the children are as declared", func() (string, bool) {
		diff := cmp.Diff(want, w.declared(t))
		return "(-want +got)\n" + diff, diff == ""
	})
}

// answers waits until the one pod is another than before, and answers.
func (w workspace) answers(t *testing.T, notUID string) {
	t.Helper()
	eventually(t, 2*time.Minute, "a new pod is ready", func() (string, bool) {
		out := w.field(t, "pod/"+w.name+"-0", `.metadata.uid} {.status.conditions[?(@.type=="Ready")].status`)
		uid, ready, _ := strings.Cut(out, " ")
		return out, uid != notUID && ready == "True"
	})
	w.wait(t)
	w.chats(t)
}

func (w workspace) podUID(t *testing.T) string {
	t.Helper()
	return w.field(t, "pod/"+w.name+"-0", ".metadata.uid")
}

func TestWhatIsDeletedByHandComesBackAsDeclared(t *testing.T) {
	w := serve(t, "deleted")
	want := w.declared(t)
	kinds := slices.Sorted(maps.Keys(want))
	for _, must := range []string{"configmap/deleted-runner", "poddisruptionbudget/deleted", "service/deleted", "statefulset/deleted"} {
		if !slices.Contains(kinds, must) {
			t.Fatalf("the Workspace has no %s, only %v", must, kinds)
		}
	}
	for _, child := range kinds {
		if strings.HasPrefix(child, "statefulset/") {
			continue // takes the pod with it: below
		}
		t.Run(child, func(t *testing.T) {
			before := w.field(t, child, ".metadata.uid")
			w.kubectl(t, "delete", child)
			w.back(t, want)
			if before == w.field(t, child, ".metadata.uid") {
				t.Errorf("%s has not been deleted", child)
			}
		})
	}
	w.chats(t)
	t.Run("the pod", func(t *testing.T) {
		before := w.podUID(t)
		w.kubectl(t, "delete", "pod", w.name+"-0")
		w.answers(t, before)
	})
	t.Run("all at once", func(t *testing.T) {
		before := w.podUID(t)
		w.kubectl(t, append([]string{"delete", "pod/" + w.name + "-0"}, kinds...)...)
		w.back(t, want)
		w.answers(t, before)
	})
	t.Run("with the Workspace all goes and nothing is left", func(t *testing.T) {
		if all := w.everything(t); len(all) < len(kinds)+2 {
			t.Fatalf("there is too little to find: %v", all)
		}
		w.kubectl(t, "delete", "workspace", w.name)
		eventually(t, 90*time.Second, "the namespace is as empty as a new one", func() (string, bool) {
			left := w.everything(t)
			return strings.Join(left, "\n"), len(left) == 0
		})
	})
}

func TestWhatIsEditedByHandIsSetBack(t *testing.T) {
	w := serve(t, "edited")
	want := w.declared(t)
	for _, edit := range []struct {
		what    string
		command []string
	}{
		{"the port of the Service", []string{"patch", "service/edited", "--type=json", "-p", `[{"op":"replace","path":"/spec/ports/0/port","value":81}]`}},
		{"the selector of the Service", []string{"patch", "service/edited", "-p", `{"spec":{"selector":{"kaito.sh/role":"none"}}}`}},
		{"a label of the Service", []string{"label", "service/edited", "kaito.sh/workspace-"}},
		{"the contract in the ConfigMap", []string{"patch", "configmap/edited-runner", "-p", `{"data":{"runner.json":"{}"}}`}},
		{"the ConfigMap's label", []string{"label", "configmap/edited-runner", "--overwrite", "kaito.sh/workspace=other"}},
		{"the number of pods that may go", []string{"patch", "poddisruptionbudget/edited", "-p", `{"spec":{"maxUnavailable":0}}`}},
		{"the number of replicas", []string{"scale", "statefulset/edited", "--replicas=0"}},
		{"a setting of the pod's template", []string{"set", "env", "statefulset/edited", "-c", "engine", "HOME=/nowhere"}},
		{"the image in the pod's template", []string{"set", "image", "statefulset/edited", "engine=registry.local:5000/kaito/toolbox:dev"}},
		{"the security of the pods", []string{"patch", "statefulset/edited", "-p", `{"spec":{"template":{"spec":{"securityContext":{"runAsUser":4000}}}}}`}},
		{"the memory that the engine may use", []string{"set", "resources", "statefulset/edited", "-c", "engine", "--limits=memory=3Gi"}},
	} {
		ok := t.Run(edit.what, func(t *testing.T) {
			if out := w.kubectl(t, edit.command...); strings.Contains(out, "no change") || strings.Contains(out, "not labeled") {
				t.Fatalf("nothing was edited: %s", out)
			}
			w.back(t, want)
		})
		if !ok {
			t.FailNow() // what is not set back would be found again after every other edit
		}
	}
	eventually(t, 2*time.Minute, "the pod is that of the template", func() (string, bool) {
		out := w.field(t, "statefulset/edited", ".status.currentRevision} {.status.updateRevision} {.status.readyReplicas")
		f := strings.Fields(out)
		return out, len(f) == 3 && f[0] == f[1] && f[2] == "1"
	})
	w.wait(t)
	w.chats(t)
}
