package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
	"kaito.sh/kaito/internal/cli/cluster"
)

// steps are the next steps by the reason of the cause. Words in capitals are filled in.
func steps() map[string]string {
	const config = "`kubectl get workspace NAME ON -o jsonpath='{.inference.config}'`"
	all := map[string]string{
		chain.ReasonDeleting:                   "Wait until its nodes and children are gone; if it stays, see what holds it: `PROGRAM nodes ON`, `kubectl get workspace NAME ON -o jsonpath='{.metadata.finalizers}'`",
		v1beta1.ReasonModelNotFound:            "Correct inference.preset.name: EDIT",
		v1beta1.ReasonNotYetSupported:          "Remove the fields that the condition names: EDIT",
		v1beta1.ReasonInvalidSelector:          "Create the Workspace anew with a resource.labelSelector that names a label, because it cannot be changed: `kubectl delete workspace NAME ON`, edit the manifest, apply it",
		v1beta1.ReasonInvalidTemplate:          "Correct inference.template: EDIT",
		v1beta1.ReasonInvalidImage:             "Correct the image that the condition names: EDIT",
		v1beta1.ReasonInvalidAdapter:           "Correct inference.adapters at the place that the condition names: EDIT",
		v1beta1.ReasonAdapterUnusable:          "Name an adapter of this model in inference.adapters, or leave it out: EDIT",
		v1beta1.ReasonAdapterUnreachable:       "Check that pods of the namespace reach the adapter's registry; it is tried again by itself: LOGS",
		v1beta1.ReasonImageIgnored:             "Name an image that `kaito model push` has made in inference.preset.presetOptions.image, or leave it out: EDIT",
		v1beta1.ReasonInvalidSettings:          "Correct the ConfigMap at the place that the condition names; it is read again at once. Its name: " + config,
		v1beta1.ReasonConfigMapNotFound:        "Create the ConfigMap; it is picked up at once. Its name: " + config,
		v1beta1.ReasonDoesNotFit:               "Label nodes as the message names them with `LABEL`, or choose another model: EDIT",
		v1beta1.ReasonNameTaken:                "Remove the object that the condition names, or create the Workspace under another name",
		v1beta1.ReasonNoMatchingNode:           "Label a node; it is picked up at once: `LABEL`",
		v1beta1.ReasonUnknownInstanceType:      "Create the Workspace anew with a resource.instanceType that the condition names, because it cannot be changed: ANEW",
		v1beta1.ReasonNodeProvisioningDisabled: "Create the Workspace anew without resource.instanceType and label a node: ANEW, `LABEL`",
		v1beta1.ReasonInvalidAnnotation:        "Set the annotation to a value that the condition names; it is read again at once: `kubectl annotate workspace NAME ON --overwrite KEY=VALUE`",
		v1beta1.ReasonNoProvisioner:            "Install the provisioner, it is picked up by itself: `helm install gpu-provisioner charts/gpu-provisioner --namespace gpu-provisioner --create-namespace`",
		v1beta1.ReasonNodeClaimPending:         "See that a provisioner runs: `kubectl get pods -A -l app.kubernetes.io/name=gpu-provisioner`",
		v1beta1.ReasonNodeClaimRefused:         "Change the policy that the condition names, or give the operator the right; it tries again by itself",
		v1beta1.ReasonCreating:                 "Wait, the cloud is making the node: `PROGRAM nodes ON`",
		v1beta1.ReasonNodeNotJoined:            "Wait, the machine is there and its node joins: `PROGRAM nodes ON`",
		v1beta1.ReasonGPUNotReady:              "See why the node shows no GPUs, if that lasts: `kubectl describe nodes -l 'SELECTOR'`",
		v1beta1.ReasonCapacityExhausted:        "Wait, it is asked for again by itself; or create the Workspace anew with another resource.instanceType: ANEW",
		v1beta1.ReasonQuotaExceeded:            "Ask the cloud for the quota that the condition names; it is tried again by itself: `PROGRAM nodes ON`",
		v1beta1.ReasonSKUUnavailable:           "Create the Workspace anew with a type that the condition names, because resource.instanceType cannot be changed: ANEW",
		v1beta1.ReasonAuthFailed:               "Give the provisioner's identity the rights that its installation page lists; it is tried again by itself",
		v1beta1.ReasonThrottled:                "Wait, the cloud wants fewer calls: `PROGRAM nodes ON`",
		v1beta1.ReasonCloudUnreachable:         "See that the provisioner reaches the cloud; it is tried again by itself: `PROGRAM nodes ON`",
		v1beta1.ReasonInvalidRequest:           "Create the Workspace anew without what the condition names: ANEW",
		v1beta1.ReasonLimitReached:             "Raise the limit of the provisioner that the condition names, or release other nodes: `PROGRAM nodes -A`",
		v1beta1.ReasonCloudBusy:                "Wait, the cloud does something else first: `PROGRAM nodes ON`",
		v1beta1.ReasonLaunchTimeout:            "Wait, another machine is asked for: `PROGRAM nodes ON`",
		v1beta1.ReasonMachineGone:              "Wait, another machine is asked for: `PROGRAM nodes ON`",
		v1beta1.ReasonResourceNotRegistered:    "See why the node does not show the device, if that lasts: `kubectl describe nodes -l 'SELECTOR'`",
		v1beta1.ReasonStartupTaints:            "Wait until whoever prepares the node takes its taint off: `kubectl describe nodes -l 'SELECTOR'`",
		v1beta1.ReasonManyNodes:                "Remove the node that is left over: `kubectl get nodes -l 'SELECTOR'`",
		v1beta1.ReasonReleased:                 "Do what the condition says, and the nodes are asked for again",
		v1beta1.ReasonTooFewNodes:              "Label more nodes like those that match with `LABEL`, as many as the message says are missing; or one larger node",
		v1beta1.ReasonNodeNotReady:             "Make a node that matches ready: `kubectl describe nodes -l 'SELECTOR'`; a cordoned one: `kubectl uncordon NODE`",
		v1beta1.ReasonNodeLost:                 "Bring the node back; where it is gone for good, remove it, and the pod starts on another: `kubectl get nodes -l 'SELECTOR'`",
		v1beta1.ReasonUnschedulable:            "Free room on a node that matches, or label another one: `LABEL`",
		v1beta1.ReasonImagePullError:           "Check that the registry holds the image that the condition names and answers from the node: DESCRIBE",
		v1beta1.ReasonWeightsUnreachable:       "Check that the registry or hub that the condition names answers from the node; the runner tries again by itself: LOGS",
		v1beta1.ReasonWeightsRefused:           "Correct the token or the pull Secret of inference.preset.presetOptions: EDIT",
		v1beta1.ReasonWeightsNotFound:          "Correct the model or image that the condition names: EDIT",
		v1beta1.ReasonWeightsCorrupt:           "Push the model image anew, or report the hub's repository; what arrived is not what was promised: LOGS",
		v1beta1.ReasonWeightsUnusable:          "Choose a model whose weights are safetensors or GGUF: EDIT",
		v1beta1.ReasonDiskFull:                 "Free or add disk on the node, or use another node: DESCRIBE",
		v1beta1.ReasonGroupRestarting:          "See in the logs of each of its pods which was lost first: LOGS",
		v1beta1.ReasonContainerCrashLoop:       "Read the last words of the container: LOGS",
		v1beta1.ReasonContainerOOMKilled:       "Choose a smaller model or context: EDIT",
		v1beta1.ReasonContainerStartError:      "See why the node refuses: DESCRIBE",
		v1beta1.ReasonPodEvicted:               "Give the node more room, or use another one: DESCRIBE",
		v1beta1.ReasonPodRejected:              "Change the quota or the policy that the condition names; the operator tries again by itself",
		v1beta1.ReasonCheckingDataset:          "Wait, data set and push are being checked: `PROGRAM get NAME ON --watch`",
		v1beta1.ReasonStoppingRun:              "Wait until the run before has stopped: `PROGRAM get NAME ON --watch`",
		v1beta1.ReasonNotTunable:               "Create the Workspace anew with a preset that the condition names: `kubectl delete workspace NAME ON`, edit the manifest, apply it",
		v1beta1.ReasonInvalidInput:             "Correct tuning.input: EDIT",
		v1beta1.ReasonInvalidOutput:            "Correct tuning.output: EDIT",
		v1beta1.ReasonDataUnreachable:          "Check that pods of the namespace reach the data's host; the check is made again by itself: LOGS",
		v1beta1.ReasonJobPending:               "Wait, the training is being started: `PROGRAM get NAME ON --watch`",
		v1beta1.ReasonStarting:                 "Wait, it is on its way: `PROGRAM get NAME ON --watch`",
		v1beta1.ReasonInferencePending:         "Wait, it is on its way: `PROGRAM get NAME ON --watch`",
	}
	maps.Copy(all, modelSteps())
	maps.Copy(all, tuningSteps())
	return all
}

// modelSteps are those for models that are not shipped.
func modelSteps() map[string]string {
	return map[string]string{
		v1beta1.ReasonResolvingModel: "Wait, the hub is asked what the model is: `PROGRAM get NAME ON --watch`",
		v1beta1.ReasonModelGated:     "Accept the model's terms at the hub, then `kubectl create secret generic hub ON --from-literal=HF_TOKEN=…` and name it in inference.preset.presetOptions.modelAccessSecret: EDIT; read it again at once: RETRY",
		v1beta1.ReasonHubUnreachable: "See that the operator reaches the hub (hub.endpoint and hub.mirrors of the chart); it is asked again by itself",
		v1beta1.ReasonHubRateLimited: "Wait, the hub wants fewer requests; it is asked again by itself",
		v1beta1.ReasonModelUnusable:  "Do what the condition says, or name another model: EDIT; read it again at once: RETRY",
		v1beta1.ReasonRemoteCode:     "Read the model's code, and where you trust it: `kubectl annotate workspace NAME ON kaito.sh/trust-remote-code=true`; or name another model: EDIT",
		v1beta1.ReasonInvalidCatalog: "Correct the catalog at the place that the condition names; it is read again at once: `kubectl get configmaps ON -l kaito.sh/catalog=true`",
	}
}

// tuningSteps are those for trainings.
func tuningSteps() map[string]string {
	return map[string]string{
		v1beta1.ReasonPushUnreachable:    "Check that pods of the namespace reach the output's registry; it is tried again by itself: LOGS",
		v1beta1.ReasonDataRefused:        "Publish the data, or let an administrator allow its range with fetch.allowCIDRs of the chart; then RETRY",
		v1beta1.ReasonDataNotFound:       "Correct the address in tuning.input: EDIT",
		v1beta1.ReasonDataInvalid:        "Correct the data at the file and row that the condition names, see `PROGRAM dataset check FILE`; then RETRY",
		v1beta1.ReasonPushRefused:        "Give the account of the push Secret the right to push; then RETRY",
		v1beta1.ReasonPushSecretUnusable: "Create the push Secret with `kubectl create secret docker-registry`; then RETRY",
		v1beta1.ReasonCheckFailed:        "Do what the condition says; then RETRY",
		v1beta1.ReasonTrainingFailed:     "Correct what the condition names; then RETRY",
		v1beta1.ReasonAttemptsExhausted:  "See why the node loses pods, `kubectl describe nodes -l 'SELECTOR'`; then RETRY",
		v1beta1.ReasonTuning:             "Wait, the training runs: `PROGRAM tune watch NAME ON`",
	}
}

// advise is the next step, by the cause and not by what follows from it.
func advise(s seen, r Report, program string) string {
	on := "-n " + r.Namespace
	switch {
	case r.Cause == nil && deaf(s, r):
		return fmt.Sprintf("See why no endpoint of the Service is ready: `kubectl describe service %s %s`", r.Name, on)
	case r.Cause == nil:
		return fmt.Sprintf("Ask it: `%s chat %s %s`", program, r.Name, on)
	case r.Cause.Reason == chain.ReasonUnobserved, r.Cause.Reason == chain.ReasonNotYetObserved:
		return adviseOperator(s)
	}
	step, known := steps()[r.Cause.Reason]
	if !known {
		return "Do what the condition " + r.Cause.Type + " says"
	}
	pod, container := culprit(r.Pods)
	describe := fmt.Sprintf("`kubectl describe pod %s %s`", pod, on)
	if pod == "" {
		describe = fmt.Sprintf("`kubectl describe statefulset %s %s`", r.Name, on)
	}
	return strings.NewReplacer(
		"RETRY", fmt.Sprintf("`kubectl annotate workspace %s %s %s=\"$(date +%%s)\" --overwrite`", r.Name, on, v1beta1.AnnotationRetry),
		"ANEW", fmt.Sprintf("`kubectl delete workspace %s %s`, edit the manifest, apply it", r.Name, on),
		"EDIT", fmt.Sprintf("`kubectl edit workspace %s %s`", r.Name, on),
		"DESCRIBE", describe,
		"LOGS", fmt.Sprintf("`kubectl logs --previous %s -c %s %s`", pod, container, on),
		"LABEL", "kubectl label node NODE "+labels(&s.workspace),
		"SELECTOR", metav1.FormatLabelSelector(s.workspace.Resource.LabelSelector),
		"PROGRAM", program, "NAME", r.Name, "ON", on,
	).Replace(step)
}

// deaf is true where all is ready and the Service leads nowhere.
func deaf(s seen, r Report) bool {
	return r.Service != nil && len(r.Service.Ready) == 0 && !unread(s.unseen, unseenEndpoints) && s.workspace.Tuning == nil
}

// adviseOperator is for a Workspace that nobody looks at.
func adviseOperator(s seen) string {
	const install = "install the chart: `helm install kaito charts/kaito --namespace kaito-system --create-namespace`"
	found := s.operators
	switch {
	case s.operatorUnseen:
		return "Ask an administrator of the cluster whether the operator runs: no Deployment of another namespace is open to you"
	case len(found) == 0:
		return "No operator runs in this cluster: " + install
	}
	for _, o := range found {
		if o.Ready > 0 {
			return fmt.Sprintf("Read the operator's log: `kubectl logs -n %s deployment/%s`", o.Namespace, o.Name)
		}
	}
	o := found[0]
	if o.Wants == 0 {
		return fmt.Sprintf("The operator is switched off: `kubectl scale deployment %s -n %s --replicas 1`", o.Name, o.Namespace)
	}
	return fmt.Sprintf("The operator is there and not ready: `kubectl describe pods -n %s -l %s`", o.Namespace, cluster.OperatorLabels)
}

// culprit is the container that keeps its pod from running: the first that ended
// badly, else the first of a pod.
func culprit(all []Pod) (pod, container string) {
	for _, p := range all {
		for _, c := range p.Containers {
			if c.State != "ready" && c.LastEnd != nil {
				return p.Name, c.Name
			}
		}
	}
	for _, p := range all {
		for _, c := range p.Containers {
			if c.State == "waiting" {
				return p.Name, c.Name
			}
		}
	}
	if len(all) > 0 {
		return all[0].Name, ""
	}
	return "", ""
}

// labels are what makes a node match, as far as labels say it.
func labels(ws *v1beta1.Workspace) string {
	var all []string
	if ws.Resource.LabelSelector != nil {
		for k, v := range ws.Resource.LabelSelector.MatchLabels {
			all = append(all, k+"="+v)
		}
	}
	if len(all) == 0 {
		return "KEY=VALUE"
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
