package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"kaito.sh/kaito/internal/nodeclaim"
)

// How long a simulated machine takes to be made, its node to join after that, and it to go.
const (
	simCreate = 2 * time.Second
	simJoin   = time.Second
	simRemove = 2 * time.Second
	// look is how often all objects are counted; a count of a thousand costs the API server a tenth of a second.
	look = 2 * time.Second
)

// claims measures the provisioner: N NodeClaims on the simulator and a real API server,
// from nothing to Ready, a quiet time, and gone again.
func claims(ctx context.Context, o options) (_ []result, err error) {
	p, err := startPlane(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	f := &fleet{plane: p, o: o}
	for i := range o.workspaces {
		f.names = append(f.names, fmt.Sprintf("ws%09x", i))
	}
	if err := f.provisioner(ctx); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{f.claimed, f.stillness, f.released} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for i := range f.results {
		f.results[i].Name = fmt.Sprintf("%d NodeClaims, %s", o.workspaces, f.results[i].Name)
		f.results[i].Conditions = map[string]string{
			"cluster":  "etcd, API server, controller manager and scheduler on the same machine",
			"machines": fmt.Sprintf("simulated: %v to be made, %v to join, %v to go; their nodes are real objects, without leases", simCreate, simJoin, simRemove),
			"requests": "the provisioner's own rest_client_requests_total, kubelets of the simulator included",
		}
	}
	return f.results, nil
}

// provisioner starts gpu-provisioner with the chart's rights, and waits until its cache is filled.
func (f *fleet) provisioner(ctx context.Context) error {
	config, err := f.kubeconfig("provisioner", envtest.User{
		Name:   "system:serviceaccount:kaito-system:kaito-gpu-provisioner",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kaito-system", "system:authenticated"},
	})
	if err != nil {
		return err
	}
	binary, err := filepath.Abs(filepath.Join(filepath.Dir(f.o.runner), "gpu-provisioner"))
	if err != nil {
		return err
	}
	return f.begin(ctx, "gpu-provisioner", "KUBECONFIG="+config, binary, "--provider=sim",
		"--sim-create="+simCreate.String(), "--sim-join="+simJoin.String(), "--sim-remove="+simRemove.String(),
		"--sim-lease=0", "--cluster-nodes=0", "--cluster-attempts=0", "--namespace-nodes=0", "--namespace-attempts=0")
}

// claim asks for one node without a GPU.
func claim(name string) *nodeclaim.NodeClaim {
	c := &nodeclaim.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		nodeclaim.LabelNodePool: nodeclaim.PoolName, nodeclaim.LabelWorkspace: name, nodeclaim.LabelNamespace: namespace,
	}}}
	c.Spec.NodeClassRef = &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName}
	c.Spec.Requirements = []nodeclaim.Requirement{
		{Key: corev1.LabelInstanceTypeStable, Operator: corev1.NodeSelectorOpIn, Values: []string{"Standard_D2s_v5"}},
		{Key: corev1.LabelOSStable, Operator: corev1.NodeSelectorOpIn, Values: []string{"linux"}},
	}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("128Gi")}
	return c
}

// claimed makes all claims and takes the time until each is Ready.
func (f *fleet) claimed(ctx context.Context) error {
	used, err := cpuTimes()
	if err != nil {
		return err
	}
	begin := f.o.now()
	if err := many(f.names, func(_ int, name string) error { return f.client.Create(ctx, claim(name)) }); err != nil {
		return fmt.Errorf("create NodeClaims: %w", err)
	}
	err = f.until(ctx, "all NodeClaims are Ready", func() (bool, error) {
		var all nodeclaim.NodeClaimList
		err := f.client.List(ctx, &all)
		ready := 0
		for i := range all.Items {
			if nodeclaim.IsTrue(&all.Items[i], nodeclaim.ConditionReady) {
				ready++
			}
		}
		return ready == len(f.names), errors.Join(err, pause(ctx, look))
	})
	if err != nil {
		return err
	}
	f.add("all Ready", f.o.now().Sub(begin).Seconds(), "s")
	if err := f.spent(used, "to Ready"); err != nil {
		return err
	}
	return f.toll(ctx, "to Ready")
}

// toll is what the provisioner has needed so far.
func (f *fleet) toll(ctx context.Context, when string) error {
	asked, err := f.requests(ctx)
	if err != nil {
		return err
	}
	f.add("requests a claim "+when, asked/float64(len(f.names)), "")
	peak, err := f.running.peak()
	if err != nil {
		return err
	}
	cpu, err := f.running.cpu()
	f.add("provisioner's most memory "+when, peak, "MiB")
	f.add("provisioner's CPU time "+when, cpu, "s")
	return err
}

// requests is how many requests the provisioner has sent.
func (f *fleet) requests(ctx context.Context) (float64, error) {
	return f.counter(ctx, "rest_client_requests_total", func(map[string]string) bool { return true })
}

// stillness counts what is asked of the API server and of the cloud while nothing happens.
func (f *fleet) stillness(ctx context.Context) error {
	if err := pause(ctx, 10*time.Second); err != nil { // the last events
		return err
	}
	figures := []struct {
		name string
		of   func(context.Context) (float64, error)
	}{
		{"calls of the lifecycle to the cloud", func(ctx context.Context) (float64, error) {
			return f.counter(ctx, "kaito_cloud_calls_total", func(map[string]string) bool { return true })
		}},
		{"reads of the API server", func(ctx context.Context) (float64, error) {
			return f.counter(ctx, "rest_client_requests_total", func(labels map[string]string) bool { return labels["method"] == http.MethodGet })
		}},
		{"changes of objects", f.patches},
	}
	var before []float64
	for _, one := range figures {
		value, err := one.of(ctx)
		if err != nil {
			return err
		}
		before = append(before, value)
	}
	if err := pause(ctx, f.o.quiet); err != nil {
		return err
	}
	for i, one := range figures {
		value, err := one.of(ctx)
		if err != nil {
			return err
		}
		f.add(one.name+" in 15 s of quiet", (value-before[i])/f.o.quiet.Seconds()*15, "")
	}
	return nil
}

// patches is how often the provisioner has changed an object; its own lease, an update, is not counted.
func (f *fleet) patches(ctx context.Context) (float64, error) {
	return f.counter(ctx, "rest_client_requests_total", func(labels map[string]string) bool { return labels["method"] == http.MethodPatch })
}

// released deletes all claims and takes the time until claims and nodes are gone.
func (f *fleet) released(ctx context.Context) error {
	used, err := cpuTimes()
	if err != nil {
		return err
	}
	begin := f.o.now()
	err = many(f.names, func(_ int, name string) error {
		return f.client.Delete(ctx, &nodeclaim.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
	})
	if err != nil {
		return fmt.Errorf("delete NodeClaims: %w", err)
	}
	err = f.until(ctx, "all NodeClaims and their nodes are gone", func() (bool, error) {
		left := 0
		for _, kind := range []string{"NodeClaimList", "NodeList"} {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
			if kind == "NodeClaimList" {
				list.APIVersion = "karpenter.sh/v1"
			}
			if err := f.client.List(ctx, list, client.MatchingLabels{nodeclaim.LabelNodePool: nodeclaim.PoolName}); err != nil {
				return false, fmt.Errorf("count what is left: %w", err)
			}
			left += len(list.Items)
		}
		return left == 0, pause(ctx, look)
	})
	if err != nil {
		return err
	}
	f.add("all gone", f.o.now().Sub(begin).Seconds(), "s")
	if err := f.spent(used, "to gone"); err != nil {
		return err
	}
	if err := f.toll(ctx, "to gone"); err != nil {
		return err
	}
	return f.running.stop()
}
