package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestOnlyTheSameContentsAreTheSame(t *testing.T) {
	t.Parallel()
	set := func(version string, replicas, ready int32) client.Object {
		return &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{UID: "1", ResourceVersion: version},
			Spec:       appsv1.StatefulSetSpec{Replicas: ptr.To(replicas)}, Status: appsv1.StatefulSetStatus{ReadyReplicas: ready},
		}
	}
	service := func(version string) client.Object {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{UID: "1", ResourceVersion: version}}
	}
	for name, tc := range map[string]struct {
		compared, now client.Object
		want          string
		same          bool
	}{
		"nothing stands there":                 {set("1", 1, 0), nil, "a", false},
		"it stands as it stood":                {set("1", 1, 0), set("1", 1, 0), "a", true},
		"a pod has turned ready":               {set("1", 1, 0), set("2", 1, 1), "a", true},
		"somebody has edited it":               {set("1", 1, 0), set("2", 2, 0), "a", false},
		"something else is wanted":             {set("1", 1, 0), set("1", 1, 0), "b", false},
		"another kind has another version":     {service("1"), service("2"), "a", false},
		"another kind is as it was":            {service("1"), service("1"), "a", true},
		"it was made anew under the same name": {set("1", 1, 0), &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{UID: "2"}}, "a", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPairs(8)
			p.add(tc.compared, []byte("a"))
			if got := p.same(tc.now, []byte(tc.want)); got != tc.same {
				t.Errorf("same is %v, want %v", got, tc.same)
			}
		})
	}
}
