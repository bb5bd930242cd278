package kube_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/kube"
)

// serverOf is the StatefulSet of a Workspace as a watch delivers it: no byte of it is shared.
func serverOf(t *testing.T, name string, env int) *appsv1.StatefulSet {
	t.Helper()
	container := corev1.Container{Name: "engine", Image: "registry.example.com/engine:1"}
	for i := range env {
		container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("NAME_%d", i), Value: fmt.Sprintf("value %d", i)})
	}
	made := appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kaito.sh/workspace": name}}}
	made.Spec.Template.Spec = corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "runner", Image: "registry.example.com/runner:1"}},
		Containers:     []corev1.Container{container},
		Affinity:       &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
		Volumes:        []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}
	raw, err := made.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	read := &appsv1.StatefulSet{}
	if err := read.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestSharingChangesNoByteOfAnObject(t *testing.T) {
	t.Parallel()
	sharing := kube.NewSharing()
	for _, name := range []string{"one", "two"} {
		for _, env := range []int{3, 4} {
			got, err := sharing.Shrink(serverOf(t, name, env))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(serverOf(t, name, env), got); diff != "" {
				t.Errorf("with %d variables (-as it came +as it is kept):\n%s", env, diff)
			}
		}
	}
}

// Not parallel: it looks at the memory of the whole process.
func TestEqualPartsOfManyObjectsTakeTheMemoryOfOne(t *testing.T) { //nolint:paralleltest // see above
	const objects, env = 200, 100
	held := func(keep func(any) (any, error)) uint64 {
		all := make([]any, 0, objects)
		before := live()
		for i := range objects {
			kept, err := keep(serverOf(t, fmt.Sprintf("ws-%d", i), env))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, kept)
		}
		after := live()
		runtime.KeepAlive(all)
		return max(after, before) - before
	}
	apart, together := held(kube.Shrink), held(kube.NewSharing().Shrink)
	if together > apart/2 {
		t.Errorf("%d equal servers take %d bytes when their parts are shared, and %d when they are not: want half at the most", objects, together, apart)
	}
}

// live is what a collection leaves of the heap.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
