package render

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// Volumes of a check and of a tuning pod.
const (
	dataVolume        = "data"
	resultsVolume     = "results"
	checkpointsVolume = "checkpoints"
	inputVolume       = "input"
	outputVolume      = "output"
	pushVolume        = "push-secret"

	// cacheDir is where the libraries of the trainer write.
	cacheDir = "/cache"
	// checkpointsFolder holds the checkpoints of each run on a user's volume.
	checkpointsFolder = "checkpoints"
)

// Room on the node's disk.
const (
	// tokenizerRoom holds the files of the model that tokenize.
	tokenizerRoom = 512 * model.MiB
	// unknownData is the room for data that nobody has measured yet.
	unknownData = 10 * model.GiB
	// copiesOfData are the files as they were fetched, and the rows: a token of four
	// letters becomes a number of up to six digits and a comma.
	copiesOfData = 3
)

// volumesOf are the volumes that a pod mounts, each once, in the order of their list.
func volumesOf(t Tuning, spec *corev1ac.PodSpecApplyConfiguration) []*corev1ac.VolumeApplyConfiguration {
	used := map[string]bool{}
	note := func(containers []corev1ac.ContainerApplyConfiguration) {
		for _, c := range containers {
			for _, m := range c.VolumeMounts {
				used[*m.Name] = true
			}
		}
	}
	note(spec.InitContainers)
	note(spec.Containers)
	var all []*corev1ac.VolumeApplyConfiguration
	for _, v := range everyVolume(t, used[resultsVolume]) {
		if used[*v.Name] {
			all = append(all, v)
		}
	}
	return all
}

// everyVolume lists all that a check or a training may mount.
func everyVolume(t Tuning, training bool) []*corev1ac.VolumeApplyConfiguration {
	volume := corev1ac.Volume
	all := []*corev1ac.VolumeApplyConfiguration{
		scratch(binaryVolume, 256*model.MiB),
		volume().WithName(configVolume).WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(TuneConfigName(t.Workspace))),
		tuneWeights(t, training),
		scratch(tempVolume, 2*model.GiB),
		scratch(dataVolume, dataRoom(t)),
		scratch(resultsVolume, t.Plan.Disk),
		scratch(checkpointsVolume, t.Plan.Disk),
		scratch(cacheVolume, cacheRoom(t)),
		scratch(sharedVolume, t.Plan.Memory.Shared),
	}
	all[len(all)-1].EmptyDir.WithMedium(corev1.StorageMediumMemory)
	for i, name := range inputSecrets(t) {
		all = append(all, secret(fmt.Sprintf("%s-%d", pullVolume, i), name, contract.PullSecretKey))
	}
	if t.TokenSecret != "" {
		all = append(all, secret(tokenVolume, t.TokenSecret, path.Base(contract.HubTokenFile)))
	}
	if name := t.Workspace.Tuning.Output.ImagePushSecret; name != "" {
		all = append(all, secret(pushVolume, name, path.Base(contract.PushSecretFile)))
	}
	if t.InputVolume != nil {
		all = append(all, theirs(inputVolume, t.InputVolume))
	}
	if t.OutputVolume != nil {
		all = append(all, theirs(outputVolume, t.OutputVolume))
	}
	return all
}

// scratch is an empty folder of at most so much.
func scratch(name string, most model.Bytes) *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName(name).WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(quantity(most)))
}

// theirs is a volume that the user names.
func theirs(name string, source *corev1ac.VolumeSourceApplyConfiguration) *corev1ac.VolumeApplyConfiguration {
	v := corev1ac.Volume().WithName(name)
	v.VolumeSourceApplyConfiguration = *source
	return v
}

func dataRoom(t Tuning) model.Bytes {
	if t.DataBytes == 0 {
		return unknownData
	}
	return (model.GiB + t.DataBytes*copiesOfData).CeilTo(model.MiB)
}

// cacheRoom is what the libraries write: little on a CPU, kernels for a GPU.
func cacheRoom(t Tuning) model.Bytes {
	if t.Plan.GPU == nil {
		return model.GiB
	}
	return 4 * model.GiB
}

// tuneWeights is the image that the nodes mount, or an empty folder. A check needs of
// the model only what tokenizes.
func tuneWeights(t Tuning, training bool) *corev1ac.VolumeApplyConfiguration {
	switch {
	case !training:
		return scratch(weightsVolume, tokenizerRoom)
	case t.Mount == "":
		return scratch(weightsVolume, fetchedForTuning(t))
	}
	return corev1ac.Volume().WithName(weightsVolume).
		WithImage(corev1ac.ImageVolumeSource().WithReference(t.Mount).WithPullPolicy(corev1.PullIfNotPresent))
}

// fetchedForTuning is the room for weights that prepare fetches: the files, and a tenth
// more for what stands beside them meanwhile.
func fetchedForTuning(t Tuning) model.Bytes {
	if t.Mount != "" {
		return 0
	}
	size := t.Model.Forms[model.FormHF].Size
	return (size + size/10).CeilTo(model.MiB)
}

// tuneWeightsMount can be written to only by who fetches.
func tuneWeightsMount(t Tuning, fetches bool) *corev1ac.VolumeMountApplyConfiguration {
	if fetches && t.Mount == "" {
		return mount(weightsVolume, contract.WeightsDir)
	}
	return readOnly(weightsVolume, contract.WeightsDir)
}

// checkpoints outlive the pod on the user's volume, and otherwise in the registry.
func checkpoints(t Tuning) *corev1ac.VolumeMountApplyConfiguration {
	if t.OutputVolume != nil {
		return mount(outputVolume, contract.CheckpointsDir).WithSubPath(checkpointsFolder + "/" + t.RunID)
	}
	return mount(checkpointsVolume, contract.CheckpointsDir)
}

// inputMounts are what brings data and weights in: secrets of registries and of the
// hub, and the user's volume.
func inputMounts(t Tuning) []*corev1ac.VolumeMountApplyConfiguration {
	var all []*corev1ac.VolumeMountApplyConfiguration
	for i, name := range inputSecrets(t) {
		all = append(all, readOnly(fmt.Sprintf("%s-%d", pullVolume, i), path.Dir(contract.PullSecretFile(name))))
	}
	if t.TokenSecret != "" {
		all = append(all, readOnly(tokenVolume, path.Dir(contract.HubTokenFile)))
	}
	if t.InputVolume != nil {
		all = append(all, readOnly(inputVolume, contract.InputDir))
	}
	return all
}

// outputMounts are the volume that the adapter is written to.
func outputMounts(t Tuning) []*corev1ac.VolumeMountApplyConfiguration {
	if t.OutputVolume == nil {
		return nil
	}
	return []*corev1ac.VolumeMountApplyConfiguration{mount(outputVolume, contract.OutputDir)}
}

// pushSecretMounts are what opens the output's registry.
func pushSecretMounts(t Tuning) []*corev1ac.VolumeMountApplyConfiguration {
	if t.Workspace.Tuning.Output.ImagePushSecret == "" {
		return nil
	}
	return []*corev1ac.VolumeMountApplyConfiguration{readOnly(pushVolume, path.Dir(contract.PushSecretFile))}
}
