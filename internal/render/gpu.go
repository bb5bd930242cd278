package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/internal/model"
)

// Volumes that only some engines need.
const (
	cacheVolume  = "cache"
	sharedVolume = "shared-memory"
)

// gpuResource is what a pod asks for to get GPUs of a plan: NVIDIA's where it names none.
func gpuResource(planned string) corev1.ResourceName {
	return corev1.ResourceName(model.ResourceOf(planned))
}

// needs are the resources of the engine's container.
//
// On a CPU it is limited to what it asks for: a thread more than the cores that it
// really gets makes every token wait. On GPUs the CPU only feeds them, so a limit
// would slow the start and save nothing; and the weights pass through the page
// cache, which counts as the pod's memory and may be dropped at any time.
func needs(s Serving) *corev1ac.ResourceRequirementsApplyConfiguration {
	requests := amounts(s.Plan.CPU, s.Plan.Memory.Total())
	if disk := s.Plan.Disk + fetched(s) + adaptersRoom(s); disk > 0 {
		requests[corev1.ResourceEphemeralStorage] = quantity(disk)
	}
	if s.Plan.GPU == nil {
		return corev1ac.ResourceRequirements().WithRequests(requests).WithLimits(amounts(s.Plan.CPU, s.Plan.Memory.Total()))
	}
	gpus := *resource.NewQuantity(int64(s.Plan.GPU.Count), resource.DecimalSI)
	named := gpuResource(s.Plan.GPU.Resource)
	requests[named] = gpus
	return corev1ac.ResourceRequirements().WithRequests(requests).WithLimits(corev1.ResourceList{
		named:                 gpus,
		corev1.ResourceMemory: quantity((s.Plan.Memory.Total() + size(s)).CeilTo(model.MiB)),
	})
}

// engineVolumes are what an engine writes to beside /tmp.
func engineVolumes(s Serving) []*corev1ac.VolumeApplyConfiguration {
	var all []*corev1ac.VolumeApplyConfiguration
	if s.Command.CacheDir != "" {
		all = append(all, corev1ac.Volume().WithName(cacheVolume).
			WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(quantity(s.Plan.Disk))))
	}
	if s.Plan.Memory.Shared > 0 {
		all = append(all, corev1ac.Volume().WithName(sharedVolume).
			WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithMedium(corev1.StorageMediumMemory).WithSizeLimit(quantity(s.Plan.Memory.Shared))))
	}
	return all
}

func engineMounts(s Serving) []*corev1ac.VolumeMountApplyConfiguration {
	var all []*corev1ac.VolumeMountApplyConfiguration
	if s.Command.CacheDir != "" {
		all = append(all, corev1ac.VolumeMount().WithName(cacheVolume).WithMountPath(s.Command.CacheDir))
	}
	if s.Plan.Memory.Shared > 0 {
		// The default of 64 MiB ends an engine whose processes share tensors through it.
		all = append(all, corev1ac.VolumeMount().WithName(sharedVolume).WithMountPath("/dev/shm"))
	}
	return all
}
