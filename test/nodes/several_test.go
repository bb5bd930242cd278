package nodes

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// A model larger than a node: a node is made for each ordinal, and the pods are one server.
func TestAModelThatNeedsTwoNodesGetsThem(t *testing.T) {
	c := api.Client(t)
	runOperator(t)
	runProvisioner(t)
	home := api.Namespace(t)
	ws := testkit.Workspace(home, "wide", testkit.OnNodes("apps", home), testkit.InstanceType("Standard_NC4as_T4_v3"), testkit.Preset("llama-3.1-8b-instruct"))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	message(t, ws, v1beta1.ConditionResourceReady, v1beta1.ReasonResourceReady)
	if all, made := claims(t, ws), nodesOf(t, ws); len(all) != 2 || len(made) != 2 {
		t.Errorf("%d claims and %d nodes, want 2", len(all), len(made))
	}
	p := ws.Status.Plan
	if p == nil || p.Nodes != 2 || p.Parallelism == nil || p.Parallelism.Pipeline != 2 || *ws.Status.TargetNodeCount != 2 {
		t.Errorf("status.plan is %+v", p)
	}
	var set appsv1.StatefulSet
	eventually(t, "the StatefulSet is there", func() bool { return c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set) == nil })
	if *set.Spec.Replicas != 2 || set.Spec.ServiceName != "wide-headless" || set.Spec.Template.Spec.Affinity.PodAntiAffinity == nil {
		t.Errorf("%d pods of Service %q with %+v", *set.Spec.Replicas, set.Spec.ServiceName, set.Spec.Template.Spec.Affinity)
	}
	var front, headless corev1.Service
	for name, into := range map[string]*corev1.Service{"wide": &front, "wide-headless": &headless} {
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: home, Name: name}, into); err != nil {
			t.Fatal(err)
		}
	}
	if front.Spec.Selector[appsv1.PodIndexLabel] != "0" || !headless.Spec.PublishNotReadyAddresses {
		t.Errorf("requests go to %v, and the pods find each other unready: %v", front.Spec.Selector, headless.Spec.PublishNotReadyAddresses)
	}
	if err := c.Delete(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all nodes are given back", func() bool { return len(claims(t, ws)) == 0 && len(nodesOf(t, ws)) == 0 })
}
