package render

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// Names inside the pod.
const (
	// EngineContainer is the container that serves: the engine's image, the runner's binary.
	EngineContainer = "engine"
	// RunnerContainer is the init container that brings the runner.
	RunnerContainer = "runner"

	binaryVolume  = "kaito"
	configVolume  = "runner-config"
	weightsVolume = "weights"
	tempVolume    = "tmp"
)

// The identity of every container: no user of the host, and the group that
// stock images give their writable folders to.
const (
	userID  = 2000
	groupID = 0
)

func pod(s Serving) *corev1ac.PodTemplateSpecApplyConfiguration {
	ws := s.Workspace
	podLabels := labels(ws)
	podLabels[v1beta1.LabelRole] = v1beta1.RoleServe
	return corev1ac.PodTemplateSpec().
		WithLabels(podLabels).
		WithAnnotations(map[string]string{
			v1beta1.AnnotationConfigHash:              hash(runnerJSON(s)),
			"kubectl.kubernetes.io/default-container": EngineContainer,
		}).
		WithSpec(corev1ac.PodSpec().
			WithInitContainers(installRunner(s)).
			WithInitContainers(bringAdapters(s)...).
			WithContainers(serve(s)).
			WithVolumes(volumes(s)...).
			WithVolumes(engineVolumes(s)...).
			WithVolumes(adapterVolumes(s)...).
			WithAffinity(apart(s, nodes(ws, s.Plan.Kind()))).
			WithTolerations(tolerations(ws, s.Plan.Resource())...).
			WithSecurityContext(unprivileged().WithSupplementalGroups(s.Groups...)).
			WithImagePullSecrets(references(s.PullSecrets)...).
			WithAutomountServiceAccountToken(false).
			// A Service called vllm would set VLLM_PORT, which vLLM takes for its own.
			WithEnableServiceLinks(false).
			WithTerminationGracePeriodSeconds(int64(Contract(s).Limits.TerminationGraceSeconds())))
}

// installRunner copies the static runner into the pod, so that any engine's image works as it is.
func installRunner(s Serving) *corev1ac.ContainerApplyConfiguration {
	return install(s.Images.Runner)
}

// install copies the runner out of its image.
func install(image string) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(RunnerContainer).
		WithImage(image).
		WithCommand("/kaito-runner", "install", contract.BinaryDir).
		WithSecurityContext(locked()).
		WithResources(corev1ac.ResourceRequirements().
			WithRequests(amounts(model.Core/20, 32*model.MiB)).
			WithLimits(amounts(model.Core, 128*model.MiB))).
		WithVolumeMounts(corev1ac.VolumeMount().WithName(binaryVolume).WithMountPath(contract.BinaryDir))
}

func serve(s Serving) *corev1ac.ContainerApplyConfiguration {
	mount := corev1ac.VolumeMount
	return corev1ac.Container().
		WithName(EngineContainer).
		WithImage(s.Images.Engine).
		WithCommand(contract.Binary, "serve", "--config", contract.ConfigFile).
		WithEnv(corev1ac.EnvVar().WithName("HOME").WithValue("/tmp")).
		WithEnv(groupEnv(s)...).
		WithPorts(corev1ac.ContainerPort().WithName("http").WithContainerPort(contract.Port).WithProtocol(corev1.ProtocolTCP)).
		WithSecurityContext(locked()).
		WithResources(needs(s)).
		WithStartupProbe(probe("/health").WithPeriodSeconds(2).WithFailureThreshold(startupTries(s))).
		WithReadinessProbe(probe("/ready").WithPeriodSeconds(5).WithFailureThreshold(2)).
		WithVolumeMounts(
			mount().WithName(binaryVolume).WithMountPath(contract.BinaryDir).WithReadOnly(true),
			mount().WithName(configVolume).WithMountPath(contract.ConfigDir).WithReadOnly(true),
			weightsMount(s),
			mount().WithName(tempVolume).WithMountPath("/tmp"),
		).
		WithVolumeMounts(secretMounts(s)...).
		WithVolumeMounts(engineMounts(s)...).
		WithVolumeMounts(adapterMounts(s)...)
}

// startupTries allows 5 minutes and 18 seconds for each GiB, tried every other
// second: what the node mounts has been pulled by then and remains to be read. A
// fetch may take another 2 minutes for each GiB; one that is cut off goes on where it
// was. On GPUs the engine compiles kernels besides, which takes it many minutes.
func startupTries(s Serving) int32 {
	const reading, fetching, period = 18 * time.Second, 2 * time.Minute, 2 * time.Second
	base, perGiB := 5*time.Minute, reading
	if s.Plan.GPU != nil {
		base = 30 * time.Minute
	}
	if s.Weights.Fetch != nil {
		perGiB += fetching
	}
	if s.Plan.Nodes > 1 {
		base *= 2 // the leader waits for the images and weights of all others
	}
	gib := time.Duration(size(s).CeilTo(model.GiB) / model.GiB)
	return int32((base + gib*perGiB) / period)
}

// probe asks the runner. While a pod drains /health says 503 and /ready 200, so that the
// pod stays what Services fall back to when no other is left.
func probe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromInt32(contract.Port))).
		WithTimeoutSeconds(5)
}

func volumes(s Serving) []*corev1ac.VolumeApplyConfiguration {
	volume := corev1ac.Volume
	return append([]*corev1ac.VolumeApplyConfiguration{
		volume().WithName(binaryVolume).WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(quantity(256 * model.MiB))),
		volume().WithName(configVolume).WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(RunnerConfigName(s.Workspace))),
		weights(s),
		volume().WithName(tempVolume).WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(quantity(model.GiB))),
	}, secretVolumes(s)...)
}

// unprivileged is what every pod of ours runs as.
func unprivileged() *corev1ac.PodSecurityContextApplyConfiguration {
	return corev1ac.PodSecurityContext().
		WithRunAsNonRoot(true).
		WithRunAsUser(userID).
		WithRunAsGroup(groupID).
		WithFSGroup(groupID).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
}

// locked is what Pod Security "restricted" asks for, and a read-only root besides.
func locked() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).
		WithReadOnlyRootFilesystem(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))
}

func amounts(cpu model.MilliCPU, memory model.Bytes) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(cpu), resource.DecimalSI),
		corev1.ResourceMemory: quantity(memory),
	}
}

func quantity(b model.Bytes) resource.Quantity {
	return *resource.NewQuantity(int64(b), resource.BinarySI)
}
