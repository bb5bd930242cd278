package workspace

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// childNews lets through what changes a decision. A child that appears is none: we have
// made it in the pass before, and whoever finds one at the start has a Workspace to look
// at anyway. Nor is a status that nobody here reads.
func childNews() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !quiet(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return differs(e.ObjectOld, e.ObjectNew) },
	}
}

// podNews lets through a pod that comes, goes, or shows something else of what the cache keeps.
func podNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return differs(e.ObjectOld, e.ObjectNew) }}
}

// quiet is true of the kinds that have nothing to tell by appearing.
func quiet(o client.Object) bool {
	switch o.(type) {
	case *appsv1.StatefulSet, *corev1.Service, *corev1.ConfigMap, *networkingv1.NetworkPolicy, *policyv1.PodDisruptionBudget, *batchv1.Job:
		return true
	}
	return false
}

// differs is true of two objects that are not the same to a decision. What it does not know differs.
func differs(before, after client.Object) bool {
	a, b := read(before), read(after)
	return a == nil || b == nil || !equality.Semantic.DeepEqual(a, b)
}

// read is what decisions read of an object: a shallow copy, or nil for a kind that it does not know.
func read(o client.Object) client.Object {
	switch o := o.(type) {
	case *corev1.Pod:
		c := *o
		c.ResourceVersion = ""
		return &c
	case *corev1.Service:
		c := *o
		c.ResourceVersion, c.Status = "", corev1.ServiceStatus{}
		return &c
	case *networkingv1.NetworkPolicy:
		c := *o
		c.ResourceVersion = ""
		return &c
	case *policyv1.PodDisruptionBudget:
		c := *o
		c.ResourceVersion, c.Status = "", policyv1.PodDisruptionBudgetStatus{}
		return &c
	case *appsv1.StatefulSet:
		c := *o
		c.ResourceVersion = ""
		c.Status = appsv1.StatefulSetStatus{
			ObservedGeneration: o.Status.ObservedGeneration, ReadyReplicas: o.Status.ReadyReplicas, UpdatedReplicas: o.Status.UpdatedReplicas,
		}
		return &c
	case *corev1.ConfigMap:
		c := *o
		c.ResourceVersion = ""
		return &c
	case *batchv1.Job:
		c := *o
		c.ResourceVersion = ""
		c.Status = batchv1.JobStatus{Conditions: o.Status.Conditions, Failed: o.Status.Failed, Active: o.Status.Active, Succeeded: o.Status.Succeeded}
		return &c
	}
	return nil
}
