package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
)

// nodeLabel gives each fake node, and each Workspace, one of its own.
const nodeLabel = "bench"

// fleet is one run with n Workspaces on n fake nodes.
type fleet struct {
	*plane
	o     options
	tally *tally
	names []string
	nodes []string
	// operator is the one that runs now, if one does, and its metrics stand at address.
	running *process
	address string
	results []result
}

// workspaces measures the operator: n Workspaces from nothing to ready beside n bare
// StatefulSets of the same pods, what it writes, how it takes a change and a restart.
func workspaces(ctx context.Context, o options) (_ []result, err error) {
	p, err := startPlane(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	f := &fleet{plane: p, o: o}
	for i := range o.workspaces {
		f.names = append(f.names, fmt.Sprintf("ws-%04d", i))
		f.nodes = append(f.nodes, fmt.Sprintf("node-%04d", i))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.tally, err = follow(ctx, p.client, o.now); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{f.join, f.race, f.quiet, f.change, f.restart} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for i := range f.results {
		f.results[i].Name = fmt.Sprintf("%d Workspaces, %s", o.workspaces, f.results[i].Name)
		f.results[i].Conditions = map[string]string{
			"cluster": "etcd, API server, controller manager (200 requests/s) and scheduler on the same machine, kwok in the place of kubelets",
			"writes":  "by the operator's own rest_client_requests_total, without leader election",
		}
	}
	return f.results, nil
}

func (f *fleet) add(name string, value float64, unit string) {
	_, _ = fmt.Fprintf(f.o.progress, "  %s: %.2f %s\n", name, value, unit)
	f.results = append(f.results, result{Name: name, Value: value, Unit: unit})
}

// join makes the fake nodes.
func (f *fleet) join(ctx context.Context) error {
	amounts := corev1.ResourceList{"cpu": resource.MustParse("8"), "memory": resource.MustParse("16Gi"), "pods": resource.MustParse("110")}
	return many(f.nodes, func(_ int, name string) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{nodeLabel: name, corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
		}}
		if err := f.client.Create(ctx, node); err != nil {
			return fmt.Errorf("create a node: %w", err)
		}
		bare := node.DeepCopy() // controllers write to it at the same time
		node.Status = corev1.NodeStatus{
			Capacity: amounts, Allocatable: amounts,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.NewTime(f.o.now())}},
			NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.37.2", ContainerRuntimeVersion: "containerd://2.3.4", OperatingSystem: "linux", Architecture: "amd64"},
		}
		if err := f.client.Status().Patch(ctx, node, client.MergeFrom(bare)); err != nil {
			return fmt.Errorf("write the status of a node: %w", err)
		}
		return nil
	})
}

// race is N bare StatefulSets, then N Workspaces, then N bare ones again: what the
// machine does at the time is in both.
func (f *fleet) race(ctx context.Context) error {
	template, err := f.template(ctx)
	if err != nil {
		return err
	}
	before, err := f.bare(ctx, "before", template)
	if err != nil {
		return err
	}
	with, err := f.cold(ctx)
	if err != nil {
		return err
	}
	after, err := f.bare(ctx, "after", template)
	if err != nil {
		return err
	}
	f.add("all Ready against bare StatefulSets", with/((before+after)/2), "x")
	return nil
}

// template is the StatefulSet that the operator makes of a Workspace.
func (f *fleet) template(ctx context.Context) (appsv1.StatefulSetSpec, error) {
	var set appsv1.StatefulSet
	if err := f.start(ctx); err != nil {
		return set.Spec, err
	}
	ws := f.workspace("sample", f.nodes[0])
	if err := f.client.Create(ctx, ws); err != nil {
		return set.Spec, fmt.Errorf("create a sample: %w", err)
	}
	if _, err := f.tally.await(ctx, "answers/sample"); err != nil {
		return set.Spec, err
	}
	if err := f.client.Get(ctx, client.ObjectKeyFromObject(ws), &set); err != nil {
		return set.Spec, fmt.Errorf("read the sample: %w", err)
	}
	if err := f.client.Delete(ctx, ws); err != nil {
		return set.Spec, fmt.Errorf("delete the sample: %w", err)
	}
	return set.Spec, f.running.stop()
}

func (f *fleet) workspace(name, node string) *v1beta1.Workspace {
	return &v1beta1.Workspace{
		ObjectMeta: named(name),
		Resource:   v1beta1.ResourceSpec{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{nodeLabel: node}}},
		Inference:  &v1beta1.InferenceSpec{Preset: &v1beta1.PresetSpec{Name: "smollm2-135m-instruct"}},
	}
}

// bare makes N StatefulSets by hand and returns how long until all are Ready.
func (f *fleet) bare(ctx context.Context, when string, spec appsv1.StatefulSetSpec) (float64, error) {
	var names []string
	for i := range f.names {
		names = append(names, fmt.Sprintf("bare-%s-%04d", when, i))
	}
	used, err := cpuTimes()
	if err != nil {
		return 0, err
	}
	begin := f.o.now()
	err = many(names, func(i int, name string) error {
		set := &appsv1.StatefulSet{ObjectMeta: named(name), Spec: *spec.DeepCopy()}
		of := map[string]string{"bare": name}
		set.Spec.Selector, set.Spec.Template.Labels = &metav1.LabelSelector{MatchLabels: of}, of
		set.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions[0].Values = []string{f.nodes[i]}
		return f.client.Create(ctx, set)
	})
	if err != nil {
		return 0, fmt.Errorf("create bare StatefulSets: %w", err)
	}
	ready, err := f.tally.await(ctx, words("ready", names)...)
	if err != nil {
		return 0, err
	}
	took := ready[len(ready)-1].Sub(begin).Seconds()
	f.add("bare StatefulSets "+when+", all Ready", took, "s")
	if err := f.spent(used, "bare StatefulSets "+when); err != nil {
		return 0, err
	}
	return took, f.clear(ctx, names)
}

// clear deletes StatefulSets and waits until their pods have gone.
func (f *fleet) clear(ctx context.Context, names []string) error {
	err := many(names, func(_ int, name string) error {
		return f.client.Delete(ctx, &appsv1.StatefulSet{ObjectMeta: named(name)})
	})
	if err != nil {
		return fmt.Errorf("delete bare StatefulSets: %w", err)
	}
	return f.until(ctx, "the pods are gone", func() (bool, error) {
		pods := &metav1.PartialObjectMetadataList{}
		pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		err := f.client.List(ctx, pods, client.InNamespace(namespace), client.HasLabels{"bare"})
		return len(pods.Items) == 0, err
	})
}

// cold makes N Workspaces under a fresh operator and returns how long until all answer.
func (f *fleet) cold(ctx context.Context) (float64, error) {
	if err := f.start(ctx); err != nil {
		return 0, err
	}
	used, err := cpuTimes()
	if err != nil {
		return 0, err
	}
	begin := f.o.now()
	err = many(f.names, func(i int, name string) error { return f.client.Create(ctx, f.workspace(name, f.nodes[i])) })
	if err != nil {
		return 0, fmt.Errorf("create Workspaces: %w", err)
	}
	made := f.o.now().Sub(begin).Seconds()
	sets, err := f.tally.await(ctx, words("set", f.names)...)
	if err != nil {
		return 0, err
	}
	answers, err := f.tally.await(ctx, words("answers", f.names)...)
	if err != nil {
		return 0, err
	}
	n := float64(len(f.names))
	last := func(at []time.Time) float64 { return at[len(at)-1].Sub(begin).Seconds() }
	f.add("created by the benchmark", made, "s")
	f.add("StatefulSets made", n/last(sets), "/s")
	f.add("all Ready", last(answers), "s")
	if err := f.spent(used, "Workspaces"); err != nil {
		return 0, err
	}
	writes, err := f.settle(ctx)
	if err != nil {
		return 0, err
	}
	f.add("writes a Workspace", writes/n, "")
	passes, err := f.counter(ctx, "controller_runtime_reconcile_total", func(map[string]string) bool { return true })
	if err != nil {
		return 0, err
	}
	f.add("passes a Workspace", passes/n, "")
	return last(answers), f.cost("from cold")
}

// spent adds the CPU time since before of all that takes part, from the database to this program.
func (f *fleet) spent(before map[string]float64, by string) error {
	programs, all, err := cpuSince(before)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(f.o.progress, "  CPU seconds, %s: %v\n", by, programs)
	f.add("CPU time of all programs, "+by, all, "s")
	return nil
}

// cost is the memory and CPU time that the operator has needed so far.
func (f *fleet) cost(when string) error {
	peak, err := f.running.peak()
	if err != nil {
		return err
	}
	cpu, err := f.running.cpu()
	if err != nil {
		return err
	}
	f.add("operator's most memory "+when, peak, "MiB")
	f.add("operator's CPU time "+when, cpu, "s")
	return nil
}

// quiet counts writes while nothing happens.
func (f *fleet) quiet(ctx context.Context) error {
	before, err := f.writes(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, f.o.quiet); err != nil {
		return err
	}
	after, err := f.writes(ctx)
	f.add(fmt.Sprintf("writes in %v of quiet", f.o.quiet), after-before, "")
	return err
}

// change edits Workspaces one by one and takes the time until the StatefulSet has followed.
func (f *fleet) change(ctx context.Context) error {
	config := &corev1.ConfigMap{ObjectMeta: named("settings"), Data: map[string]string{"inference_config.yaml": "llamacpp: {seed: 7}\n"}}
	if err := f.client.Create(ctx, config); err != nil {
		return fmt.Errorf("create settings: %w", err)
	}
	var took []float64
	for _, name := range f.names[:min(20, len(f.names))] {
		ws, set := &v1beta1.Workspace{ObjectMeta: named(name)}, &appsv1.StatefulSet{ObjectMeta: named(name)}
		if err := f.client.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
			return fmt.Errorf("read a StatefulSet: %w", err)
		}
		begin := f.o.now()
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"inference":{"config":"settings"}}`))
		if err := f.client.Patch(ctx, ws, patch); err != nil {
			return fmt.Errorf("edit a Workspace: %w", err)
		}
		at, err := f.tally.await(ctx, fmt.Sprintf("set/%s@%d", name, set.Generation+1))
		if err != nil {
			return err
		}
		took = append(took, at[0].Sub(begin).Seconds())
		// Until it answers again: the next change meets a quiet machine.
		err = f.until(ctx, "the Workspace answers again", func() (bool, error) {
			err := f.client.Get(ctx, client.ObjectKeyFromObject(ws), ws)
			done := meta.FindStatusCondition(ws.Status.Conditions, v1beta1.ConditionWorkspaceSucceeded)
			return err == nil && done != nil && done.Status == metav1.ConditionTrue && done.ObservedGeneration == ws.Generation, err
		})
		if err != nil {
			return err
		}
	}
	slices.Sort(took)
	f.add("a change of the spec reaches its StatefulSet, median", took[len(took)/2], "s")
	f.add("a change of the spec reaches its StatefulSet, slowest", took[len(took)-1], "s")
	return nil
}

// restart ends the operator and starts another, which finds everything ready.
func (f *fleet) restart(ctx context.Context) error {
	if err := f.running.stop(); err != nil {
		return err
	}
	if err := f.start(ctx); err != nil {
		return err
	}
	writes, err := f.settle(ctx)
	if err != nil {
		return err
	}
	f.add("writes at a restart", writes, "")
	if err := f.cost("after a restart"); err != nil {
		return err
	}
	return f.running.stop()
}
