package render

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// What the small containers may take. What they ask for is less than what training
// asks for, and they do not run beside it: they make no pod larger.
const (
	smallCPU, smallMemory = model.Core / 20, 64 * model.MiB
	// mostPush holds the parts of an upload.
	mostPush = 512 * model.MiB
	// Reading takes rows as they come; the tokenizer and one row group of a file are in memory.
	readingCPU, readingMemory = model.Core / 5, 256 * model.MiB
	mostReading               = 2 * model.GiB
)

// installTuner copies the static runner into the pod.
func installTuner(t Tuning) *corev1ac.ContainerApplyConfiguration {
	return install(t.Images.Runner)
}

// step is a container of a check or of a tuning pod: one command of the runner, and
// mounts of nothing but what it needs.
func step(name, image, binary string) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(name).
		WithImage(image).
		WithCommand(binary, name, "--config", contract.TuneFile).
		WithEnv(corev1ac.EnvVar().WithName("HOME").WithValue("/tmp")).
		WithSecurityContext(locked()).
		WithVolumeMounts(
			readOnly(configVolume, contract.ConfigDir),
			// Each has its own folder: what one leaves there is nobody else's to read.
			mount(tempVolume, "/tmp").WithSubPath(name),
		)
}

// small is a step in the runner's own image.
func small(t Tuning, name string) *corev1ac.ContainerApplyConfiguration {
	return step(name, t.Images.Runner, "/kaito-runner").
		WithResources(atMost(smallCPU, smallMemory, model.Core, mostPush)).
		WithVolumeMounts(pushSecretMounts(t)...)
}

// reading is a step in the image that reads and tokenizes data.
func reading(t Tuning, name string) *corev1ac.ContainerApplyConfiguration {
	return step(name, t.Images.Gate, contract.Binary).
		WithResources(atMost(readingCPU, readingMemory, 2*model.Core, mostReading)).
		WithVolumeMounts(readOnly(binaryVolume, contract.BinaryDir), mount(dataVolume, contract.DataDir)).
		WithVolumeMounts(inputMounts(t)...)
}

// pushCheck tries the output; in a tuning pod it brings the newest checkpoint as well.
func pushCheck(t Tuning, resume bool) *corev1ac.ContainerApplyConfiguration {
	c := small(t, PushCheckContainer)
	if resume {
		c.WithVolumeMounts(checkpoints(t)).WithVolumeMounts(outputMounts(t)...)
	}
	return c
}

// checkpoint is a sidecar: it runs beside all that comes after it.
func checkpoint(t Tuning) *corev1ac.ContainerApplyConfiguration {
	return small(t, CheckpointContainer).
		WithRestartPolicy(corev1.ContainerRestartPolicyAlways).
		WithVolumeMounts(checkpoints(t).WithReadOnly(true))
}

// check fetches of the weights only what tokenizes, wherever training has them from.
func check(t Tuning) *corev1ac.ContainerApplyConfiguration {
	return reading(t, CheckContainer).
		WithVolumeMounts(mount(weightsVolume, contract.WeightsDir))
}

func prepare(t Tuning) *corev1ac.ContainerApplyConfiguration {
	return reading(t, PrepareContainer).
		WithVolumeMounts(tuneWeightsMount(t, true))
}

// train sees no secret.
func train(t Tuning) *corev1ac.ContainerApplyConfiguration {
	c := step(TrainContainer, t.Images.Tuner, contract.Binary).
		WithPorts(progress()).
		WithResources(trainNeeds(t)).
		WithVolumeMounts(
			readOnly(binaryVolume, contract.BinaryDir),
			readOnly(dataVolume, contract.DataDir),
			tuneWeightsMount(t, false),
			mount(resultsVolume, contract.ResultsDir),
			checkpoints(t),
			mount(cacheVolume, cacheDir),
		).
		// Nothing is fetched here, and what libraries compile goes where it may be written.
		WithEnv(
			variable("HF_HUB_OFFLINE", "1"),
			variable("HF_HOME", cacheDir+"/huggingface"),
			variable("TORCHINDUCTOR_CACHE_DIR", cacheDir+"/torchinductor"),
			variable("TRITON_CACHE_DIR", cacheDir+"/triton"),
		)
	if t.Plan.Memory.Shared > 0 {
		c.WithVolumeMounts(mount(sharedVolume, "/dev/shm"))
	}
	return c
}

// publish reads results and the summary of the data, never the data.
func publish(t Tuning) *corev1ac.ContainerApplyConfiguration {
	return small(t, PublishContainer).
		WithVolumeMounts(
			readOnly(resultsVolume, contract.ResultsDir),
			readOnly(dataVolume, contract.SummaryFile).WithSubPath(path.Base(contract.SummaryFile)),
		).
		WithVolumeMounts(outputMounts(t)...)
}

// trainNeeds limits a CPU to what it asks for: a thread more than the cores that it
// really gets makes every step wait. Memory is limited to what was planned.
func trainNeeds(t Tuning) *corev1ac.ResourceRequirementsApplyConfiguration {
	p := t.Plan
	requests, limits := amounts(p.CPU, p.Memory.Total()), amounts(p.CPU, p.Memory.Total())
	requests[corev1.ResourceEphemeralStorage] = quantity(p.Disk + dataRoom(t) + fetchedForTuning(t))
	if p.GPU != nil {
		gpus := *resource.NewQuantity(int64(p.GPU.Count), resource.DecimalSI)
		delete(limits, corev1.ResourceCPU) // it only feeds the GPU
		named := gpuResource(p.GPU.Resource)
		requests[named], limits[named] = gpus, gpus
	}
	return corev1ac.ResourceRequirements().WithRequests(requests).WithLimits(limits)
}

func atMost(cpu model.MilliCPU, memory model.Bytes, mostCPU model.MilliCPU, mostMemory model.Bytes) *corev1ac.ResourceRequirementsApplyConfiguration {
	return corev1ac.ResourceRequirements().WithRequests(amounts(cpu, memory)).WithLimits(amounts(mostCPU, mostMemory))
}

func variable(name, value string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValue(value)
}

func mount(volume, at string) *corev1ac.VolumeMountApplyConfiguration {
	return corev1ac.VolumeMount().WithName(volume).WithMountPath(at)
}

func readOnly(volume, at string) *corev1ac.VolumeMountApplyConfiguration {
	return mount(volume, at).WithReadOnly(true)
}
