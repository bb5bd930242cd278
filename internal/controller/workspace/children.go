package workspace

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/render"
)

// child is one object that a Workspace may make.
type child struct {
	// kind and name are its words; name is computed without a plan.
	kind string
	name func(*v1beta1.Workspace) string
	// empty is an object of its kind.
	empty func() client.Object
	// render makes the wanted object; nil where this plan wants none.
	render func(render.Serving) runtime.ApplyConfiguration
	// rare is true of a child that not every plan wants: only to those that do does it
	// matter who holds its name.
	rare bool
}

// children is the one list of what is observed, applied and watched, in the order in
// which it is needed: what a pod mounts comes before it, and the pod before the rest,
// which is there long before its server answers.
func children() []child {
	return []child{
		{
			"ConfigMap", render.RunnerConfigName, func() client.Object { return &corev1.ConfigMap{} },
			func(s render.Serving) runtime.ApplyConfiguration { return orNone(render.RunnerConfig(s)) }, true,
		},
		{
			"StatefulSet", own, func() client.Object { return &appsv1.StatefulSet{} },
			func(s render.Serving) runtime.ApplyConfiguration { return render.StatefulSet(s) }, false,
		},
		{
			"NetworkPolicy", own, func() client.Object { return &networkingv1.NetworkPolicy{} },
			func(s render.Serving) runtime.ApplyConfiguration { return render.NetworkPolicy(s) }, false,
		},
		{
			"Service", own, func() client.Object { return &corev1.Service{} },
			func(s render.Serving) runtime.ApplyConfiguration { return render.Service(s) }, false,
		},
		{
			"Service", render.HeadlessName, func() client.Object { return &corev1.Service{} },
			func(s render.Serving) runtime.ApplyConfiguration { return orNone(render.Headless(s)) }, true,
		},
		{
			"PodDisruptionBudget", own, func() client.Object { return &policyv1.PodDisruptionBudget{} },
			func(s render.Serving) runtime.ApplyConfiguration { return render.DisruptionBudget(s) }, false,
		},
	}
}

// orNone makes nothing of an object that is not wanted: a nil pointer in an interface is something.
func orNone[T any, P interface {
	*T
	runtime.ApplyConfiguration
}](object P) runtime.ApplyConfiguration {
	if object == nil {
		return nil
	}
	return object
}

// own is the name of the children that are called as their Workspace.
func own(ws *v1beta1.Workspace) string { return ws.Name }

// Kinds are the kinds of the children, each once.
func Kinds() []client.Object {
	var kinds []client.Object
	seen := map[string]bool{}
	all := children()
	for _, c := range tuneChildren() {
		all = append(all, c.child)
	}
	for _, c := range factsChildren() {
		all = append(all, c.child)
	}
	for _, c := range all {
		if !seen[c.kind] {
			kinds = append(kinds, c.empty())
		}
		seen[c.kind] = true
	}
	return kinds
}

// wanted pairs what a decision wants with what stands in the cluster.
func wanted(o observed, s render.Serving) []kube.Child {
	var all []kube.Child
	for _, c := range children() {
		name := c.name(o.ws)
		all = append(all, kube.Child{Kind: c.kind, Name: name, Object: c.render(s), Have: o.have[handle{c.kind, name}]})
	}
	return all
}
