package workspace_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// device gives a node devices and what their labeller says of them, as key=value.
func device(name corev1.ResourceName, count string, labels ...string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Allocatable[name] = resource.MustParse(count)
		if n.Status.Capacity == nil {
			n.Status.Capacity = corev1.ResourceList{}
		}
		n.Status.Capacity[name] = resource.MustParse(count)
		for _, l := range labels {
			key, value, _ := strings.Cut(l, "=")
			metav1.SetMetaDataLabel(&n.ObjectMeta, key, value)
		}
	}
}

// runs makes the pod that the StatefulSet of a Workspace asks for, which no controller makes here.
func runs(t *testing.T, c client.Client, ws *v1beta1.Workspace) *corev1.Pod {
	t.Helper()
	var set appsv1.StatefulSet
	eventually(t, "the StatefulSet of "+ws.Name+" is there", func() bool { return c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set) == nil })
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: ws.Namespace, Name: ws.Name + "-0", Labels: set.Spec.Template.Labels, Annotations: set.Spec.Template.Annotations,
	}, Spec: set.Spec.Template.Spec}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// placed waits until the scheduler has put a pod on a node.
func placed(t *testing.T, c client.Client, pod *corev1.Pod, node string) {
	t.Helper()
	defer func() {
		if pod.Spec.NodeName == "" {
			t.Logf("%s: %+v", pod.Name, pod.Status.Conditions)
		}
	}()
	eventually(t, "the scheduler puts "+pod.Name+" on "+node, func() bool {
		return c.Get(t.Context(), client.ObjectKeyFromObject(pod), pod) == nil && pod.Spec.NodeName == node
	})
}

// Kubernetes' own scheduler is asked: what a plan asks for is on the node that it was made for,
// and nothing is planned onto GPUs that others have.
func TestTheSchedulerPutsPodsOntoPartsOfNodes(t *testing.T) {
	api.Schedule(t)
	cfg := options()
	cfg.VLLMImage, cfg.VLLMROCmImage, cfg.AMDGroups = "vllm/vllm-openai:v0.33.0", "vllm/vllm-openai-rocm:v0.33.0", []int64{44, 109}
	start(t, cfg)
	c, namespace := api.Client(t), api.Namespace(t)
	large := testkit.Allocatable("96", "1800Gi")
	const slice = "nvidia.com/mig-3g.40gb"
	a100 := []string{"nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory=81920", "nvidia.com/gpu.compute.major=8", "nvidia.com/gpu.compute.minor=0"}
	t4 := []string{"nvidia.com/gpu.product=Tesla-T4", "nvidia.com/gpu.memory=15360", "nvidia.com/gpu.compute.major=7", "nvidia.com/gpu.compute.minor=5"}
	for name, edits := range map[string][]func(*corev1.Node){
		"amd": {device("amd.com/gpu", "8", "amd.com/gpu.product-name=AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram=192G", "amd.com/gpu.device-id=74a1"), testkit.Taint("amd.com/gpu", "present")},
		"mig": {device("nvidia.com/gpu", "1", a100...), device(slice, "2", slice+".product=NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", slice+".memory=40192"), testkit.Taint(slice, "present")},
		"t4":  {device("nvidia.com/gpu", "6", t4...)},
	} {
		node := namespace + "-" + name
		edits = append([]func(*corev1.Node){testkit.NodeLabel("apps", node), large, device(corev1.ResourceEphemeralStorage, "2000Gi")}, edits...)
		api.Join(t, testkit.Node(node, edits...))
	}
	ask := func(name, node, preset string, part *v1beta1.PartitionSpec) *v1beta1.Workspace {
		ws := testkit.Workspace(namespace, name, testkit.OnNodes("apps", namespace+"-"+node), testkit.Preset(preset))
		ws.Resource.Partition = part
		if err := c.Create(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
		return ws
	}
	on := func(name, node, preset string, part *v1beta1.PartitionSpec, device corev1.ResourceName, count int64) *corev1.Pod {
		t.Helper()
		pod := runs(t, c, ask(name, node, preset, part))
		placed(t, c, pod, namespace+"-"+node)
		if got := pod.Spec.Containers[0].Resources.Limits[device]; got.Value() != count {
			t.Errorf("%s has %d of %s, want %d", name, got.Value(), device, count)
		}
		return pod
	}
	amd := on("amd", "amd", "llama-3.3-70b-instruct", nil, "amd.com/gpu", 2)
	if image, groups := amd.Spec.Containers[0].Image, amd.Spec.SecurityContext.SupplementalGroups; image != cfg.VLLMROCmImage || len(groups) != 2 {
		t.Errorf("AMD's GPU runs %s with the groups %v", image, groups)
	}
	on("sliced", "mig", "phi-4-mini-instruct", &v1beta1.PartitionSpec{Mode: v1beta1.PartitionMIG, Profile: "3g.40gb"}, slice, 1)
	// Four T4 hold its whole context, and two of it what is left.
	first := on("first", "t4", "llama-3.1-8b-instruct", nil, "nvidia.com/gpu", 4)
	on("second", "t4", "llama-3.1-8b-instruct", nil, "nvidia.com/gpu", 2)
	third := ask("third", "t4", "llama-3.1-8b-instruct", nil)
	waits := "it waits for 4 x Tesla T4: pods of others have 6 of the 6 of a node"
	eventually(t, "the third says that it waits", func() bool { return strings.Contains(condition(t, c, third, v1beta1.ConditionAccepted).Message, waits) })
	pod := runs(t, c, third)
	eventually(t, "the scheduler says so as well", func() bool {
		is := condition(t, c, third, v1beta1.ConditionInferenceReady)
		return is.Reason == v1beta1.ReasonUnschedulable && strings.Contains(is.Message, "Insufficient nvidia.com/gpu")
	})
	// Who leaves is noticed: the plan waits no more, and the scheduler has room.
	if err := c.Delete(t.Context(), first, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	placed(t, c, pod, namespace+"-t4")
	eventually(t, "the third waits no more", func() bool {
		return !strings.Contains(condition(t, c, third, v1beta1.ConditionAccepted).Message, "waits")
	})
}
