package render

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// Volumes with what opens registries and the hub.
const (
	pullVolume  = "pull-secret"
	tokenVolume = "hub-token"
)

// secretMode lets the group read, which is that of the container, and nobody else.
const secretMode = 0o440

// fetched is the room on the node's disk that a fetch takes: the files, and a tenth
// more for what stands beside them meanwhile. What the node mounts takes none of the pod's.
func fetched(s Serving) model.Bytes {
	if s.Weights.Fetch == nil {
		return 0
	}
	return (size(s) + size(s)/10).CeilTo(model.MiB)
}

// size is that of the files which the engine reads.
func size(s Serving) model.Bytes {
	return s.Model.Forms[s.Plan.Form].Size
}

// weights is the volume with the files of the model: an image, or an empty folder for the runner to fill.
func weights(s Serving) *corev1ac.VolumeApplyConfiguration {
	volume := corev1ac.Volume().WithName(weightsVolume)
	if s.Weights.Fetch != nil {
		return volume.WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(quantity(fetched(s))))
	}
	return volume.WithImage(corev1ac.ImageVolumeSource().WithReference(s.Weights.Image).WithPullPolicy(corev1.PullIfNotPresent))
}

// weightsMount can be written to only where there is something to write: a field that
// is set to its default would differ from what the API server stores.
func weightsMount(s Serving) *corev1ac.VolumeMountApplyConfiguration {
	mount := corev1ac.VolumeMount().WithName(weightsVolume).WithMountPath(contract.WeightsDir)
	if s.Weights.Fetch == nil {
		mount.WithReadOnly(true)
	}
	return mount
}

// references are Secrets for the node, which pulls images and image volumes.
func references(names []string) []*corev1ac.LocalObjectReferenceApplyConfiguration {
	var all []*corev1ac.LocalObjectReferenceApplyConfiguration
	for _, name := range names {
		all = append(all, corev1ac.LocalObjectReference().WithName(name))
	}
	return all
}

// secretVolumes are for the runner, which fetches. A Secret that is not there is
// passed over, as the node does; the runner says what is missing where it is needed.
func secretVolumes(s Serving) []*corev1ac.VolumeApplyConfiguration {
	var all []*corev1ac.VolumeApplyConfiguration
	for i, name := range fetchSecrets(s) {
		all = append(all, secret(fmt.Sprintf("%s-%d", pullVolume, i), name, contract.PullSecretKey))
	}
	if s.Weights.TokenSecret != "" {
		all = append(all, secret(tokenVolume, s.Weights.TokenSecret, path.Base(contract.HubTokenFile)))
	}
	return all
}

func secretMounts(s Serving) []*corev1ac.VolumeMountApplyConfiguration {
	var all []*corev1ac.VolumeMountApplyConfiguration
	for i, name := range fetchSecrets(s) {
		all = append(all, corev1ac.VolumeMount().WithName(fmt.Sprintf("%s-%d", pullVolume, i)).
			WithMountPath(path.Dir(contract.PullSecretFile(name))).WithReadOnly(true))
	}
	if s.Weights.TokenSecret != "" {
		all = append(all, corev1ac.VolumeMount().WithName(tokenVolume).WithMountPath(path.Dir(contract.HubTokenFile)).WithReadOnly(true))
	}
	return all
}

// fetchSecrets are the pull Secrets that the runner itself needs.
func fetchSecrets(s Serving) []string {
	if s.Weights.Fetch == nil || s.Weights.Fetch.Image == nil {
		return nil
	}
	return s.PullSecrets
}

// secret is a volume with one key of a Secret that may be missing.
func secret(volume, name, key string) *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName(volume).WithSecret(corev1ac.SecretVolumeSource().
		WithSecretName(name).
		WithItems(corev1ac.KeyToPath().WithKey(key).WithPath(key)).
		WithDefaultMode(secretMode).
		WithOptional(true))
}
