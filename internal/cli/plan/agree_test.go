package plan

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/operator"
	"kaito.sh/kaito/internal/sizing"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// operate runs the operator on the API server of the tests until this one ends.
func operate(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	mgr, err := operator.New(ctx, api.Config(t), config.Operator{
		RunnerImage: "registry.local:5000/kaito/runner:dev", LlamacppImage: "registry.local:5000/kaito/llamacpp:dev",
		GateImage: "registry.local:5000/kaito/gate:dev", TunerImage: "registry.local:5000/kaito/tuner:dev", TunerGPUImage: "registry.local:5000/kaito/tuner-gpu:dev",
		VLLMImage: "vllm/vllm-openai:v0", Models: "registry.local:5000/kaito/models", HubEndpoint: "https://hub.example",
		MetricsAddress: "0", HealthAddress: "0", NodeProvisioning: true,
	}, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the operator ended with: %v", err)
		}
	})
}

// A Workspace of the table: its manifest, in which APPS is a label that no other has, and
// the type of the one node of the user's own that has it, or none.
type agreement struct {
	text string
	node string
	// refused is the reason of a refusal, or empty.
	refused string
}

func agreements() map[string]agreement {
	on := func(instanceType, rest string) string {
		return "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: w ANNOTATIONS}\nresource: {instanceType: " + instanceType +
			", labelSelector: {matchLabels: {apps: APPS}}}\n" + rest
	}
	with := func(text string, annotations ...string) string {
		return strings.Replace(text, " ANNOTATIONS", ", annotations: {"+strings.Join(annotations, ", ")+"}", 1)
	}
	preset := func(name string) string { return "inference: {preset: {name: " + name + "}}\n" }
	settings := func(instanceType, name, yaml string) string {
		return on(instanceType, "inference: {preset: {name: "+name+"}, config: settings}\n") +
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {inference_config.yaml: '" + yaml + "'}\n"
	}
	tunes := func(name, instanceType, method, more string) string {
		return on(instanceType, "tuning: {preset: {name: "+name+"}, method: "+method+", input: {urls: ['https://data.example.com/a.parquet']}, output: {image: 'registry.example.com/a:1'}"+more+"}\n")
	}
	const own, context, concurrency = `""`, "kaito.sh/context", "kaito.sh/concurrency"
	return map[string]agreement{
		"a server on a GPU":                    {on(own, preset("phi-4-mini-instruct")), "Standard_NC24ads_A100_v4", ""},
		"a context that is what fits":          {on(own, preset("phi-4-mini-instruct")), "Standard_NV36ads_A10_v5", ""},
		"a model over several GPUs":            {on(own, preset("qwen2.5-coder-32b-instruct")), "g5.48xlarge", ""},
		"a server on a CPU":                    {on(own, preset("smollm2-135m-instruct")), "Standard_D4s_v5", ""},
		"facts that were bounded":              {on(own, preset("gemma-3-27b-it")), "Standard_NC80adis_H100_v5", ""},
		"an annotated context":                 {with(on(own, preset("phi-4-mini-instruct")), context+": '8192'"), "Standard_NC24ads_A100_v4", ""},
		"room for requests, on more GPUs":      {with(on(own, preset("llama-3.1-8b-instruct")), context+": '8192'", concurrency+": '64'"), "g5.48xlarge", ""},
		"annotations on a CPU":                 {with(on(own, preset("smollm2-135m-instruct")), context+": '1024'", concurrency+": '4'"), "Standard_D4s_v5", ""},
		"flags of an engine":                   {settings(own, "phi-4-mini-instruct", "vllm: {max-model-len: 4096, max-num-seqs: 8, gpu-memory-utilization: 0.8}"), "Standard_NC24ads_A100_v4", ""},
		"a retired type is asked for":          {on("Standard_NC12s_v3", preset("phi-4-mini-instruct")), "", ""},
		"and is not judged":                    {on("Standard_NC6s_v3", preset("qwen2.5-coder-32b-instruct")), "", ""},
		"an unknown model":                     {on("Standard_D4s_v5", preset("phi-4-mini-instrukt")), "", v1beta1.ReasonModelNotFound},
		"an unknown type":                      {on("Standard_D4s_v55", preset("smollm2-135m-instruct")), "", v1beta1.ReasonUnknownInstanceType},
		"both, of which the model comes first": {on("Standard_D4s_v55", preset("phi-4-mini-instrukt")), "", v1beta1.ReasonModelNotFound},
		"a selector that takes all":            {strings.Replace(on(own, preset("smollm2-135m-instruct")), "{matchLabels: {apps: APPS}}", "{}", 1), "", v1beta1.ReasonInvalidSelector},
		"a selector that no made node has":     {strings.Replace(on("Standard_D4s_v5", preset("smollm2-135m-instruct")), "{apps: APPS}", "{apps: APPS, kubernetes.io/arch: arm64}", 1), "", v1beta1.ReasonInvalidSelector},
		"a ConfigMap that is not there":        {on("Standard_D4s_v5", "inference: {preset: {name: smollm2-135m-instruct}, config: nowhere}\n"), "", v1beta1.ReasonConfigMapNotFound},
		"a flag that does not exist":           {settings("Standard_NC24ads_A100_v4", "phi-4-mini-instruct", "vllm: {max-model-length: 5}"), "", v1beta1.ReasonInvalidSettings},
		"a flag that needs another":            {settings("Standard_NC24ads_A100_v4", "phi-3-mini-4k-instruct", "vllm: {enable-auto-tool-choice: true}"), "", v1beta1.ReasonInvalidSettings},
		"a context beyond the model's":         {with(on("Standard_NC24ads_A100_v4", preset("phi-4")), context+": '16385'"), "", v1beta1.ReasonInvalidAnnotation},
		"a context that is a word":             {with(on("Standard_D4s_v5", preset("smollm2-135m-instruct")), context+": long"), "", v1beta1.ReasonInvalidAnnotation},
		"a flag that contradicts":              {with(settings("Standard_NC24ads_A100_v4", "phi-4", "vllm: {max-model-len: 4096}"), context+": '8192'"), "", v1beta1.ReasonInvalidAnnotation},
		"requests that do not fit":             {with(on("g5.xlarge", preset("phi-4-mini-instruct")), concurrency+": '16000'"), "", v1beta1.ReasonDoesNotFit},
		"a flag's context beyond the model's":  {settings("Standard_NC24ads_A100_v4", "phi-4", "vllm: {max-model-len: 99999}"), "", v1beta1.ReasonDoesNotFit},
		"a model that does not fit":            {on("g5.xlarge", preset("deepseek-r1-0528")), "", v1beta1.ReasonDoesNotFit},
		"a GPU that is too old":                {on("Standard_NC4as_T4_v3", preset("gpt-oss-20b")), "", v1beta1.ReasonDoesNotFit},
		"a model without a form for a CPU":     {on("Standard_D4s_v5", preset("phi-4")), "", v1beta1.ReasonDoesNotFit},
		"a wrong capacity type":                {with(on("Standard_D4s_v5", preset("smollm2-135m-instruct")), "kaito.sh/capacity-type: cheap"), "", v1beta1.ReasonInvalidAnnotation},
		"an image that is none":                {on("Standard_D4s_v5", "inference: {preset: {name: smollm2-135m-instruct, presetOptions: {image: 'A b'}}}\n"), "", v1beta1.ReasonInvalidImage},
		"an adapter with the model's name":     {on("Standard_NC24ads_A100_v4", "inference: {preset: {name: phi-4-mini-instruct}, adapters: [{source: {name: phi-4-mini-instruct, image: 'r.example/a:1'}}]}\n"), "", v1beta1.ReasonInvalidAdapter},
		"an adapter's volume with a typo":      {on("Standard_NC24ads_A100_v4", "inference: {preset: {name: phi-4-mini-instruct}, adapters: [{source: {name: a, volumeSource: {persistentVolumeClaim: {claim: x}}}}]}\n"), "", v1beta1.ReasonInvalidAdapter},
		"a tuning of an unknown model":         {tunes("phi-5", "Standard_NC24ads_A100_v4", "lora", ""), "", v1beta1.ReasonModelNotFound},
		"a model that is not tuned":            {tunes("deepseek-v3.2", "Standard_NC24ads_A100_v4", "lora", ""), "", v1beta1.ReasonNotTunable},
		"a training that does not fit":         {tunes("qwen2.5-coder-32b-instruct", "g5.xlarge", "lora", ""), "", v1beta1.ReasonDoesNotFit},
		"a training on a CPU that is too slow": {tunes("phi-4-mini-instruct", "Standard_D4s_v5", "lora", ""), "", v1beta1.ReasonDoesNotFit},
		"a tuning's context that is a word":    {with(tunes("phi-4-mini-instruct", "Standard_NC24ads_A100_v4", "lora", ""), context+": long"), "", v1beta1.ReasonInvalidAnnotation},
		"a training config that is missing":    {tunes("phi-4-mini-instruct", "Standard_NC24ads_A100_v4", "lora", ", config: nowhere"), "", v1beta1.ReasonConfigMapNotFound},
	}
}

// What `kaito plan -f` says of a Workspace before there is one is what the operator does
// with it: the plan is that of its status, and a refusal has the same reason and the same words.
func TestAPlanOfAManifestIsTheOperators(t *testing.T) { //nolint:paralleltest // it runs an operator
	operate(t)
	for name, tc := range agreements() {
		t.Run(name, func(t *testing.T) {
			namespace := api.Namespace(t)
			text := strings.ReplaceAll(strings.ReplaceAll(tc.text, " ANNOTATIONS", ""), "APPS", namespace)
			args := []string{"-f", file(t, "w.yaml", text), "-o", "json"}
			if tc.node != "" {
				args = append(args, "--instance-types", tc.node)
				join(t, namespace, tc.node)
			}
			out, _, err := run(args...)
			ws := submit(t, namespace, text)
			accepted := settled(t, ws, tc.node != "")
			var refused *RefusedError
			switch {
			case tc.refused != "":
				if !errors.As(err, &refused) {
					t.Fatalf("kaito plan ends with %v; the operator says %s: %s", err, accepted.Reason, accepted.Message)
				}
				if diff := cmp.Diff([]string{accepted.Reason, accepted.Message}, []string{refused.Reason, refused.Message}); diff != "" || accepted.Status == metav1.ConditionTrue || refused.Reason != tc.refused {
					t.Errorf("want %s; refusals (-operator +kaito plan):\n%s", tc.refused, diff)
				}
			case err != nil || accepted.Status != metav1.ConditionTrue:
				t.Errorf("kaito plan ends with %v; the operator says %s: %s", err, accepted.Reason, accepted.Message)
			case tc.node != "":
				samePlan(t, out, ws.Status.Plan)
			case ws.Status.Plan != nil || !strings.Contains(accepted.Message, "is retired and may be refused"):
				t.Errorf("the operator says %s, with the plan %+v", accepted.Message, ws.Status.Plan)
			}
		})
	}
}

// join makes a node of the user's own that offers what a type does by what is published.
func join(t *testing.T, label, name string) {
	t.Helper()
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	of, ok := types.Lookup(name)
	if !ok {
		t.Fatalf("no type is called %q", name)
	}
	shape := sizing.TypeShape(of)
	api.Join(t, testkit.Node(label, testkit.NodeLabel("apps", label), testkit.NodeLabel(corev1.LabelInstanceTypeStable, of.Name), func(n *corev1.Node) {
		n.Status.Allocatable[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(shape.CPU), resource.DecimalSI)
		n.Status.Allocatable[corev1.ResourceMemory] = *resource.NewQuantity(int64(shape.Memory), resource.BinarySI)
		if of.GPUs > 0 {
			n.Status.Allocatable["nvidia.com/gpu"] = *resource.NewQuantity(int64(of.GPUs), resource.DecimalSI)
		}
		n.Status.Capacity = n.Status.Allocatable.DeepCopy()
	}))
}

// submit makes the objects of a manifest.
func submit(t *testing.T, namespace, text string) *v1beta1.Workspace {
	t.Helper()
	m, err := readManifest("w.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range m.configs {
		one.Namespace = namespace
		if err := api.Client(t).Create(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	m.workspace.Namespace = namespace
	if err := api.Client(t).Create(t.Context(), m.workspace); err != nil {
		t.Fatal(err)
	}
	return m.workspace
}

// settled is the condition Accepted once the operator has judged, and planned where there is a node.
func settled(t *testing.T, ws *v1beta1.Workspace, planned bool) metav1.Condition {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err := api.Client(t).Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
			t.Fatal(err)
		}
		if c := meta.FindStatusCondition(ws.Status.Conditions, v1beta1.ConditionAccepted); c != nil && (!planned || c.Status == metav1.ConditionFalse || ws.Status.Plan != nil) {
			return *c
		}
	}
	t.Fatalf("not within a minute: the operator judges; it says %+v", ws.Status.Conditions)
	return metav1.Condition{}
}

// samePlan compares what is printed with what stands in the status, figure by figure.
func samePlan(t *testing.T, out string, status *v1beta1.PlanStatus) {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Plans) != 1 {
		t.Fatalf("%d plans: %s", len(d.Plans), out)
	}
	p := d.Plans[0]
	mib := func(bytes int64) string {
		if bytes == 0 {
			return ""
		}
		return resource.NewQuantity(int64(model.Bytes(bytes).CeilTo(model.MiB)), resource.BinarySI).String()
	}
	said := func(q *resource.Quantity) string {
		if q == nil || q.IsZero() {
			return ""
		}
		return q.String()
	}
	printed := map[string]any{
		"engine": p.Engine, "nodes": p.Nodes, "gpus": p.GPUs, "context": p.Context, "concurrency": p.Concurrency,
		"cacheTokens": p.CacheTokens, "cacheRequests": p.CacheRequests, "limit": p.Limit, "confidence": p.Confidence, "assumed": slices.Clip(p.Assumed),
		"weights": mib(p.Memory.WeightsBytes), "kvCache": mib(p.Memory.KVCacheBytes), "adapters": mib(p.Memory.AdaptersBytes),
		"promptCache": mib(p.Memory.PromptCacheBytes), "overhead": mib(p.Memory.OverheadBytes), "total": mib(p.Memory.TotalBytes), "headroom": mib(p.HeadroomBytes),
	}
	tensor := 1
	if status.Parallelism != nil {
		tensor = int(status.Parallelism.Tensor)
	}
	stands := map[string]any{
		"engine": status.Engine, "nodes": int(status.Nodes), "gpus": int(*status.GPUs), "context": int(status.Context), "concurrency": int(status.Concurrency),
		"cacheTokens": int(status.CacheTokens), "cacheRequests": int(status.CacheRequests), "limit": status.Limit, "confidence": status.Confidence, "assumed": status.Assumed,
		"weights": said(status.Memory.Weights), "kvCache": said(status.Memory.KVCache), "adapters": said(status.Memory.Adapters),
		"promptCache": said(status.Memory.PromptCache), "overhead": said(status.Memory.Overhead), "total": said(status.Memory.Total), "headroom": said(status.Headroom),
	}
	if diff := cmp.Diff(stands, printed); diff != "" || tensor != p.Parallelism.Tensor {
		t.Errorf("a tensor-parallel size of %d and %d; plans (-operator +kaito plan):\n%s", tensor, p.Parallelism.Tensor, diff)
	}
	if cut := strings.TrimSuffix(status.Note, "..."); !strings.HasPrefix(p.Note, cut) {
		t.Errorf("notes: the operator's %q, kaito plan's %q", status.Note, p.Note)
	}
}

// What --manifest prints is what a user applies.
func TestTheServerTakesEveryManifest(t *testing.T) {
	t.Parallel()
	known, err := load()
	if err != nil {
		t.Fatal(err)
	}
	namespace := api.Namespace(t)
	taken := 0
	for _, id := range known.models.IDs() {
		for _, asked := range [][]string{nil, {"--context", "2048", "--concurrency", "2"}} {
			text, _, err := run(append([]string{id, "--manifest"}, asked...)...)
			if err != nil {
				continue // no type holds it
			}
			var fields map[string]any
			if err := yaml.UnmarshalStrict([]byte(text), &fields); err != nil {
				t.Fatal(err)
			}
			o := &unstructured.Unstructured{Object: fields}
			o.SetNamespace(namespace)
			if err := client.WithFieldValidation(api.Client(t), metav1.FieldValidationStrict).Create(t.Context(), o, client.DryRunAll); err != nil {
				t.Errorf("%s: %v in\n%s", id, err, text)
			}
			taken++
		}
	}
	t.Logf("%d manifests", taken)
	if taken < 100 {
		t.Errorf("only %d manifests were looked at", taken)
	}
}
