package workspace

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/render"
)

// tuneChild is one object that a tuning makes beside those of its server.
type tuneChild struct {
	child
	// fate says what becomes of it, object makes the wanted one.
	fate   func(*tuned) fate
	object func(render.Tuning) runtime.ApplyConfiguration
	// once is true of what cannot be changed: it is made, or removed, and never applied again.
	once bool
}

// tuneChildren is the one list of what a tuning makes, in the order in which it is
// needed: what a pod mounts comes before its Job.
func tuneChildren() []tuneChild {
	return []tuneChild{
		{
			child{kind: "ConfigMap", name: render.TuneConfigName, empty: func() client.Object { return &corev1.ConfigMap{} }},
			// What a running pod was told stays as it was: a plan that changes meanwhile is for the next Job.
			(*tuned).anyJob, func(t render.Tuning) runtime.ApplyConfiguration { return render.TuneConfig(t) }, false,
		},
		{
			child{kind: "NetworkPolicy", name: render.TuneNetworkPolicyName, empty: func() client.Object { return &networkingv1.NetworkPolicy{} }},
			func(d *tuned) fate { return known(d) }, func(t render.Tuning) runtime.ApplyConfiguration { return render.TuneNetworkPolicy(t) }, false,
		},
		{
			child{kind: "Job", name: render.CheckJobName, empty: func() client.Object { return &batchv1.Job{} }},
			func(d *tuned) fate { return d.check }, func(t render.Tuning) runtime.ApplyConfiguration { return render.CheckJob(t) }, true,
		},
		{
			child{kind: "Job", name: own, empty: func() client.Object { return &batchv1.Job{} }},
			func(d *tuned) fate { return d.train }, func(t render.Tuning) runtime.ApplyConfiguration { return render.TuneJob(t) }, true,
		},
		{
			child{kind: "Service", name: own, empty: func() client.Object { return &corev1.Service{} }},
			func(d *tuned) fate {
				if d.service {
					return known(d)
				}
				return leave
			},
			func(t render.Tuning) runtime.ApplyConfiguration {
				return render.Service(render.Serving{Workspace: t.Workspace})
			}, false,
		},
	}
}

// known is false until the run has a name: there is nothing to render from before.
func known(d *tuned) fate {
	if d.wants.Workspace == nil {
		return leave
	}
	return create
}

// anyJob makes what pods of a Job read together with the Job.
func (d *tuned) anyJob() fate {
	if d.check == create || d.train == create {
		return create
	}
	return leave
}

// wantedByTuning pairs what a decision wants of a tuning with what stands in the cluster.
func wantedByTuning(o observed, d decision) []kube.Child {
	var all []kube.Child
	for _, c := range tuneChildren() {
		name, have := c.name(o.ws), o.have[handle{c.kind, c.name(o.ws)}]
		switch c.fate(d.tuned) {
		case create:
			if have == nil || !c.once {
				all = append(all, kube.Child{Kind: c.kind, Name: name, Object: c.object(d.tuned.wants), Have: have})
			}
		case remove:
			all = append(all, kube.Child{Kind: c.kind, Name: name, Have: have})
		case leave:
		}
	}
	if d.tuned.stop {
		for _, c := range children() {
			if c.kind == "StatefulSet" || c.kind == "PodDisruptionBudget" {
				all = append(all, kube.Child{Kind: c.kind, Name: c.name(o.ws), Have: o.have[handle{c.kind, c.name(o.ws)}]})
			}
		}
	}
	return all
}
