package render

import (
	"path"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// FactsContainer is the container that reads what a model of the hub is.
const FactsContainer = "facts"

// How long a Job of facts may take, how often it is tried, and how long it stays: once it
// is gone, what had failed is tried again.
const (
	factsSeconds = 300
	mostFacts    = 3
	factsStay    = 600
)

// Keys of the ConfigMap that holds a Pin.
const (
	pinRepository = "repository"
	pinCommit     = "commit"
	pinPickles    = "allow-pickle"
	pinAgain      = "retry"
	pinModel      = "model.yaml"
)

// Pin is what a model of the hub was found to be. It is kept in a ConfigMap beside its
// Workspace, so that neither a restart of the operator nor a hub that is down or has moved
// on changes what runs.
type Pin struct {
	// Repository is owner/name, as it was asked for.
	Repository string
	// Commit is the revision of the files.
	Commit string
	// Pickles is true where weights that can run code were allowed.
	Pickles bool
	// Again is the value of the annotation kaito.sh/retry that was acted on.
	Again string
	// Model is the model as a file of the catalog.
	Model string
}

// FactsName is the name of the ConfigMap that holds the Pin, and of the Job that reads it.
func FactsName(ws *v1beta1.Workspace) string { return ws.Name + "-facts" }

// FactsConfig is the ConfigMap that keeps a Pin.
func FactsConfig(ws *v1beta1.Workspace, p Pin) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(FactsName(ws), ws.Namespace).
		WithLabels(labels(ws)).
		WithOwnerReferences(owner(ws)).
		WithData(map[string]string{
			pinRepository: p.Repository, pinCommit: p.Commit, pinPickles: strconv.FormatBool(p.Pickles), pinAgain: p.Again, pinModel: p.Model,
		})
}

// ReadPin is what FactsConfig has written.
func ReadPin(m *corev1.ConfigMap) Pin {
	return Pin{
		Repository: m.Data[pinRepository], Commit: m.Data[pinCommit], Pickles: m.Data[pinPickles] == strconv.FormatBool(true),
		Again: m.Data[pinAgain], Model: m.Data[pinModel],
	}
}

// FactsQuestion is what a Job reads with the token of a Secret.
type FactsQuestion struct {
	// Workspace owns the Job.
	Workspace *v1beta1.Workspace
	// ID is that of the question: a Job of another one is of no use.
	ID string
	// Runner is the image of the runner, PullSecrets open its registry.
	Runner      string
	PullSecrets []string
	// Endpoint is the hub, Repository owner/name, Revision a commit, a tag or a branch.
	Endpoint, Repository, Revision string
	// Pickles allows weights that can run code when they are loaded.
	Pickles bool
	// Secret is the name of the Secret with the token. Where it is missing, the Job says so.
	Secret string
}

// FactsJob is the Job that reads what a gated model is. The operator reads no Secret: a pod
// of the Workspace's namespace mounts it, on any node, and leaves the facts as its
// termination message. A Job's template cannot be changed: it is made once for a question.
func FactsJob(q FactsQuestion) *batchv1ac.JobApplyConfiguration {
	ws := q.Workspace
	with := labels(ws)
	with[v1beta1.LabelRole] = v1beta1.RoleFacts
	spec := corev1ac.PodSpec().
		WithRestartPolicy(corev1.RestartPolicyNever).
		WithSecurityContext(unprivileged()).
		WithImagePullSecrets(references(q.PullSecrets)...).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(checkGrace).
		WithContainers(factsContainer(q)).
		WithVolumes(secret(tokenVolume, q.Secret, path.Base(contract.HubTokenFile)))
	return batchv1ac.Job(FactsName(ws), ws.Namespace).
		WithLabels(with).
		WithAnnotations(map[string]string{v1beta1.AnnotationRunID: q.ID}).
		WithOwnerReferences(owner(ws)).
		WithSpec(batchv1ac.JobSpec().
			WithCompletions(1).
			WithParallelism(1).
			WithBackoffLimit(mostFacts).
			WithActiveDeadlineSeconds(factsSeconds).
			WithTTLSecondsAfterFinished(factsStay).
			WithPodReplacementPolicy(batchv1.Failed).
			WithPodFailurePolicy(failures()).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(with).
				WithAnnotations(map[string]string{v1beta1.AnnotationRunID: q.ID}).
				WithSpec(spec)))
}

func factsContainer(q FactsQuestion) *corev1ac.ContainerApplyConfiguration {
	command := []string{
		"/kaito-runner", FactsContainer, "--endpoint", q.Endpoint, "--repository", q.Repository, "--revision", q.Revision,
		"--token-file", contract.HubTokenFile,
	}
	if q.Pickles {
		command = append(command, "--allow-pickle")
	}
	return corev1ac.Container().
		WithName(FactsContainer).
		WithImage(q.Runner).
		WithCommand(command...).
		WithSecurityContext(locked()).
		WithResources(corev1ac.ResourceRequirements().
			WithRequests(amounts(model.Core/20, 64*model.MiB)).
			WithLimits(amounts(model.Core, 256*model.MiB))).
		WithVolumeMounts(corev1ac.VolumeMount().WithName(tokenVolume).WithMountPath(path.Dir(contract.HubTokenFile)).WithReadOnly(true))
}
