package workspace_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1alpha1"
	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/testkit"
)

func tuningOptions() config.Operator {
	o := options()
	o.NodeProvisioning = true
	o.GateImage, o.TunerImage, o.TunerGPUImage = "registry.local:5000/kaito/gate:dev", "registry.local:5000/kaito/tuner:dev", "registry.local:5000/kaito/tuner-gpu:dev"
	return o
}

func child[T client.Object](t *testing.T, c client.Client, namespace, name string, object T) T {
	t.Helper()
	eventually(t, name+" is there", func() bool {
		return c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object) == nil
	})
	return object
}

// podOf is what the Job's controller and a kubelet would have made of a Job: a pod whose
// container has left its last words.
func podOf(t *testing.T, c client.Client, j *batchv1.Job, container string, code int32, words any) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: j.Namespace, GenerateName: j.Name + "-", Labels: j.Spec.Template.Labels}, Spec: j.Spec.Template.Spec}
	pod.Spec.Affinity = nil
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		pod.Status.Phase = corev1.PodFailed
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: string(text)}}}}
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// end gives a Job the conditions of one that has ended.
func end(t *testing.T, c client.Client, j *batchv1.Job, well bool) {
	t.Helper()
	now := metav1.Now()
	j.Status.StartTime = &now
	if well {
		j.Status.CompletionTime, j.Status.Succeeded = &now, 1
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue}, {Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	} else {
		j.Status.Failed = 1
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue}, {Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	}
	if err := c.Status().Update(t.Context(), j); err != nil {
		t.Fatal(err)
	}
}

func TestATuningOnARealAPIServer(t *testing.T) {
	start(t, tuningOptions())
	c := api.Client(t)
	namespace := api.Namespace(t)
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	ws := testkit.Workspace(namespace, "tuned", testkit.OnNodes("apps", namespace), testkit.Tuning)
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonCheckingDataset)

	check := child(t, c, namespace, "tuned-check", &batchv1.Job{})
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "tuned"}, &batchv1.Job{}); !apierrors.IsNotFound(err) {
		t.Fatalf("the training begins before the data is checked: %v", err)
	}
	data := contract.Dataset{Files: 1, Bytes: 10, Digest: "sha256:d", Format: "messages", Rows: 10, Tokens: 100, LongestRow: 20}
	podOf(t, c, check, "check", 0, contract.Result{Reason: contract.Done, Dataset: &data})
	end(t, c, check, true)

	train := child(t, c, namespace, "tuned", &batchv1.Job{})
	is(t, c, ws, v1beta1.ConditionJobStarted, v1beta1.ReasonJobPending)
	eventually(t, "the check's Job goes", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(check), check)) || check.DeletionTimestamp != nil
	})
	service := child(t, c, namespace, "tuned", &corev1.Service{})
	if role := service.Spec.Selector[v1beta1.LabelRole]; role != v1beta1.RoleServe {
		t.Errorf("the Service selects the role %q while a training runs", role)
	}
	pod := podOf(t, c, train, "publish", 0, contract.Result{
		Reason: contract.Done, Published: &contract.Published{Image: ws.Tuning.Output.Image, Digest: "sha256:a"}, Training: &contract.Training{Steps: 3, LastLoss: 0.5},
	})
	end(t, c, train, true)
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonStarting)
	if !meta.IsStatusConditionTrue(ws.Status.Conditions, v1beta1.ConditionWorkspaceSucceeded) || ws.Status.Tuning.OutputDigest != "sha256:a" {
		t.Errorf("published: %+v", ws.Status)
	}
	server := child(t, c, namespace, "tuned", &appsv1.StatefulSet{})

	// Deleting the finished Job and its pod by hand trains nothing again.
	for _, o := range []client.Object{pod, train} {
		if err := c.Delete(t.Context(), o, client.PropagationPolicy(metav1.DeletePropagationBackground), client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	before := server.ResourceVersion
	time.Sleep(time.Second)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(train), &batchv1.Job{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Job is made again: %v", err)
	}
	if again := child(t, c, namespace, "tuned", &appsv1.StatefulSet{}); again.ResourceVersion != before {
		t.Error("the server was written again")
	}
}

// The manifest that the project was asked for, as it stands: both placeholders are named at once.
func TestTheTargetsPlaceholdersAreNamed(t *testing.T) {
	start(t, tuningOptions())
	c := api.Client(t)
	namespace := api.Namespace(t)
	text, err := os.ReadFile("../../../examples/fine-tuning/target.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var old v1alpha1.Workspace
	if err := yaml.UnmarshalStrict(text, &old); err != nil {
		t.Fatal(err)
	}
	old.Namespace = namespace
	if err := c.Create(t.Context(), &old); err != nil {
		t.Fatal(err)
	}
	ws := &v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: old.Name}}
	is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonInvalidOutput)
	want := `Tuning.output.image "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1" is no name of an image: write REGISTRY/REPOSITORY:TAG, the repository in lower case; ` +
		`tuning.output.imagePushSecret "ACR_REGISTRY_SECRET_HERE" can be the name of no Secret, because names are lower-case letters, digits, '-' and '.': ` +
		"make one with `kubectl create secret docker-registry` and name it"
	if diff := cmp.Diff(want, condition(t, c, ws, v1beta1.ConditionAccepted).Message); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}

	// With both filled in, the data is looked at before a node is asked for.
	ws.Tuning.Output.Image, ws.Tuning.Output.ImagePushSecret = "demo.azurecr.io/adapters/phi:0.0.1", "acr"
	if err := c.Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	check := child(t, c, namespace, old.Name+"-check", &batchv1.Job{})
	if all := claimsOf(t, c, ws); len(all) > 0 {
		t.Errorf("%d nodes are asked for before the data is checked", len(all))
	}
	data := contract.Dataset{Files: 1, Bytes: 10, Digest: "sha256:d", Format: "messages", Rows: 10, Tokens: 100, LongestRow: 20}
	podOf(t, c, check, "check", 0, contract.Result{Reason: contract.Done, Dataset: &data})
	end(t, c, check, true)
	claim := claims(t, c, ws, 1)[0]
	if got := claim.Spec.Requirements[0].Values; !slices.Equal(got, []string{"Standard_NC6s_v3"}) || claim.Labels["app"] != "tuning-phi-3" {
		t.Errorf("the claim asks for %v with %v", got, claim.Labels)
	}
	if gpus := claim.Spec.Resources.Requests["nvidia.com/gpu"]; gpus.Value() != 1 || len(claim.Spec.Taints) != 1 {
		t.Errorf("the claim asks for %v and has the taints %v", claim.Spec.Resources.Requests, claim.Spec.Taints)
	}
	// The door of the hardware: the cloud's refusal, and what is sold instead.
	refuse(t, c, &claim, nodeclaim.ReasonSKUUnavailable, "SkuNotAvailable: The requested VM size Standard_NC6s_v3 is not available in location swedencentral.")
	is(t, c, ws, v1beta1.ConditionResourceReady, nodeclaim.ReasonSKUUnavailable)
	message := condition(t, c, ws, v1beta1.ConditionResourceReady).Message
	for _, want := range []string{"SkuNotAvailable: The requested VM size Standard_NC6s_v3 is not available", "create the Workspace anew with Standard_", " or Standard_"} {
		if !strings.Contains(message, want) {
			t.Errorf("ResourceReady says %q, want %q", message, want)
		}
	}
}
