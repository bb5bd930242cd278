package render

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

// Names of the containers of a check and of a tuning pod, beside RunnerContainer.
const (
	// PushCheckContainer tries the output, and brings the newest checkpoint.
	PushCheckContainer = "push-check"
	// CheckContainer checks the data.
	CheckContainer = "check"
	// CheckpointContainer pushes checkpoints while others run.
	CheckpointContainer = "checkpoint"
	// PrepareContainer fetches and tokenizes the data, and fetches the weights.
	PrepareContainer = "prepare"
	// TrainContainer trains.
	TrainContainer = "train"
	// PublishContainer pushes the adapter.
	PublishContainer = "publish"
)

// How often pods are tried again, and how long they may take to stop.
const (
	// mostResumes is how often a run goes on in another pod after one was lost.
	mostResumes = 3
	// MostPods is how many pods a run may have.
	MostPods = mostResumes + 1
	// mostChecks waits out a data host that does not answer for some ten minutes,
	// because the Job doubles its wait from 10 seconds on.
	mostChecks = 6
	// tuneGrace is for the step that is being computed, the checkpoint behind it, and its push.
	tuneGrace = 300
	// checkGrace is for what can be dropped at any time.
	checkGrace = 10
)

// CheckJob is the Job that checks data and the push before a node is asked for. It runs
// on any node; with data on a volume it runs where the training will, because the first
// pod that mounts a volume may decide where the volume is. Nodes that are made on demand
// are not there yet: then it runs on any node, volume or not.
//
// A Job's template cannot be changed: both Jobs are applied once for a run.
func CheckJob(t Tuning) *batchv1ac.JobApplyConfiguration {
	spec := podSpec(t, checkGrace).
		WithInitContainers(installTuner(t)).
		WithContainers(checks(t)...)
	if t.InputVolume != nil && t.Workspace.Resource.InstanceType == "" {
		spec.WithAffinity(nodes(t.Workspace, t.Plan.Kind())).WithTolerations(tolerations(t.Workspace, t.Plan.Resource())...)
	}
	return job(t, CheckJobName(t.Workspace), v1beta1.RoleCheck, CheckContainer, mostChecks, spec.WithVolumes(volumesOf(t, spec)...))
}

// TuneJob is the Job that trains and publishes.
func TuneJob(t Tuning) *batchv1ac.JobApplyConfiguration {
	spec := podSpec(t, tuneGrace).
		WithInitContainers(installTuner(t), pushCheck(t, true))
	if t.OutputVolume == nil {
		spec.WithInitContainers(checkpoint(t))
	}
	spec.WithInitContainers(prepare(t), train(t)).
		WithContainers(publish(t)).
		WithAffinity(nodes(t.Workspace, t.Plan.Kind())).
		WithTolerations(tolerations(t.Workspace, t.Plan.Resource())...)
	return job(t, t.Workspace.Name, v1beta1.RoleTune, TrainContainer, mostResumes, spec.WithVolumes(volumesOf(t, spec)...))
}

func job(t Tuning, name, role, main string, tries int32, spec *corev1ac.PodSpecApplyConfiguration) *batchv1ac.JobApplyConfiguration {
	ws := t.Workspace
	podLabels := labels(ws)
	podLabels[v1beta1.LabelRole] = role
	jobLabels := labels(ws)
	jobLabels[v1beta1.LabelRole] = role
	return batchv1ac.Job(name, ws.Namespace).
		WithLabels(jobLabels).
		WithAnnotations(map[string]string{v1beta1.AnnotationRunID: t.RunID}).
		WithOwnerReferences(owner(ws)).
		WithSpec(batchv1ac.JobSpec().
			WithCompletions(1).
			WithParallelism(1).
			WithBackoffLimit(tries).
			WithPodReplacementPolicy(batchv1.Failed).
			WithPodFailurePolicy(failures()).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(podLabels).
				WithAnnotations(map[string]string{
					v1beta1.AnnotationRunID:                   t.RunID,
					"kubectl.kubernetes.io/default-container": main,
				}).
				WithSpec(spec)))
}

// failures tells what comes again from what may pass. The first rule that matches
// decides: a pod that is put out counts as one try, whatever its containers said on
// the way; then an end that only a user can change is final at once. All else, a
// signal or a lost node, counts as one try too.
func failures() *batchv1ac.PodFailurePolicyApplyConfiguration {
	return batchv1ac.PodFailurePolicy().WithRules(
		batchv1ac.PodFailurePolicyRule().
			WithAction(batchv1.PodFailurePolicyActionCount).
			WithOnPodConditions(batchv1ac.PodFailurePolicyOnPodConditionsPattern().
				WithType(corev1.DisruptionTarget).WithStatus(corev1.ConditionTrue)),
		batchv1ac.PodFailurePolicyRule().
			WithAction(batchv1.PodFailurePolicyActionFailJob).
			WithOnExitCodes(batchv1ac.PodFailurePolicyOnExitCodesRequirement().
				WithOperator(batchv1.PodFailurePolicyOnExitCodesOpIn).WithValues(ending.CodeConfig)),
	)
}

// podSpec is what both pods have in common.
func podSpec(t Tuning, grace int64) *corev1ac.PodSpecApplyConfiguration {
	return corev1ac.PodSpec().
		WithRestartPolicy(corev1.RestartPolicyNever).
		WithSecurityContext(unprivileged()).
		WithImagePullSecrets(references(t.PullSecrets)...).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(grace)
}

// checks are the containers of a check. With a volume there is nothing to push.
func checks(t Tuning) []*corev1ac.ContainerApplyConfiguration {
	all := []*corev1ac.ContainerApplyConfiguration{check(t)}
	if t.OutputVolume == nil {
		all = append([]*corev1ac.ContainerApplyConfiguration{pushCheck(t, false)}, all...)
	}
	return all
}

// progress is where a container tells how far it is. Three of them do, one after the
// other; the API server warns where a pod names a port twice.
func progress() *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName("progress").WithContainerPort(contract.Port).WithProtocol(corev1.ProtocolTCP)
}
