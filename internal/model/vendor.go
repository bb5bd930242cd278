package model

import (
	"regexp"
	"strconv"
)

// Vendor is who makes a GPU.
type Vendor string

// The vendors whose GPUs are planned for.
const (
	NVIDIA Vendor = "nvidia"
	AMD    Vendor = "amd"
)

// What pods ask for to get a GPU, as the vendors' device plugins call it.
const (
	ResourceNVIDIA = "nvidia.com/gpu"
	ResourceAMD    = "amd.com/gpu"
	// ResourceSlice is followed by the profile of the slices: nvidia.com/mig-1g.10gb.
	ResourceSlice = "nvidia.com/mig-"
)

// VendorOf is the vendor of a resource; empty is NVIDIA's.
func VendorOf(resource string) Vendor {
	if resource == ResourceAMD {
		return AMD
	}
	return NVIDIA
}

// ResourceOf is what pods ask for: a resource, or NVIDIA's where none is named.
func ResourceOf(resource string) string {
	if resource == "" {
		return ResourceNVIDIA
	}
	return resource
}

// profileMemory finds the nominal memory in a profile of slices, in GB.
var profileMemory = regexp.MustCompile(`^[0-9]+g\.([0-9]{1,4})gb`)

// SliceMemory is what a slice of a profile such as 1g.10gb has at the least; 0 is no profile.
func SliceMemory(profile string) Bytes {
	found := profileMemory.FindStringSubmatch(profile)
	if found == nil {
		return 0
	}
	gb, err := strconv.Atoi(found[1])
	if err != nil {
		return 0
	}
	return Nominal(float64(gb))
}

// What of a GPU a plan counts.
const (
	wholeGPU = "GPU"
	sliceGPU = "slice"
)

// Vendor is who makes these GPUs.
func (g GPUs) Vendor() Vendor { return VendorOf(g.Resource) }

// Free is how many of them no other pod has taken, as far as that is known.
func (g GPUs) Free() int { return max(0, g.Count-g.Taken) }

// Vendor is who makes the GPUs of the plan; a plan without has none.
func (p Plan) Vendor() Vendor {
	if p.GPU == nil {
		return ""
	}
	return VendorOf(p.GPU.Resource)
}

// Resource is what a pod of the plan asks for to get GPUs, or empty: NVIDIA's, or none.
func (p Plan) Resource() string {
	if p.GPU == nil {
		return ""
	}
	return p.GPU.Resource
}

// Resource is what a pod of the plan asks for to get GPUs, or empty: NVIDIA's, or none.
func (p TunePlan) Resource() string {
	if p.GPU == nil {
		return ""
	}
	return p.GPU.Resource
}

// What names one GPU of the plan: a slice where GPUs are cut.
func (g GPUPlan) What() string {
	if g.Slice != "" {
		return sliceGPU
	}
	return wholeGPU
}
