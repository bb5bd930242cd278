package estimate

import "kaito.sh/kaito/internal/model"

// What a training takes of a GPU and of the node around it. None of these was measured
// by us, because no GPU was there to measure on; all err on the safe side.
const (
	// trainingOverhead is the CUDA context, the libraries' workspaces and the buffers
	// in which 4-bit weights are widened, one layer at a time.
	trainingOverhead = 1536 * model.MiB
	// trainingPercent is the part of what a program sees that is planned with: the
	// allocator leaves the rest between blocks.
	trainingPercent = 95
	// The node feeds the GPU: a core reads rows, one launches kernels, and the
	// libraries of CUDA take memory of the host.
	trainingCores  = 4
	trainingMemory = 6 * model.GiB
	trainingCaches = 4 * model.GiB
)

// leastTrainingCapability is the oldest GPU for which the tuner's torch has kernels:
// sm_75 in PyPI's wheels of 2.14 and 2.15 for CUDA 13.
func leastTrainingCapability() model.Capability { return model.Capability{Major: 7, Minor: 5} }

// tuneOnGPU plans a training for one GPU of a node.
func tuneOnGPU(m model.Model, load model.TuneLoad, node model.NodeShape) (model.TunePlan, error) {
	g := node.GPUs
	switch {
	case g.Vendor() != model.NVIDIA:
		return model.TunePlan{}, &TuneVendorError{Model: m.ID, Node: node.Name, Product: g.Product}
	case g.Memory == 0 || !g.Capability.Known():
		return model.TunePlan{}, &UnknownGPUError{Node: node.Name}
	case g.Free() == 0:
		return model.TunePlan{}, &TakenError{Node: node.Name, Product: g.Product, GPUs: g.Count}
	}
	if least := leastTrainingCapability(); !g.Capability.AtLeast(least) {
		return model.TunePlan{}, &TuneCapabilityError{Model: m.ID, Node: node.Name, Product: g.Product, Has: g.Capability, Least: least}
	}
	// Its part of the node, and the least with which a training goes on where GPUs are more than cores.
	share := max(node.CPU/model.MilliCPU(g.Count), leastHostCores*model.Core) - besideCPU
	plan := model.TunePlan{
		Model: m.ID, Load: load,
		CPU:    min(trainingCores*model.Core, share),
		Memory: model.TuneMemory{Overhead: trainingMemory + runnerOverhead, Shared: sharedPerGPU},
		Disk:   trainingCaches + diskOf(m, load),
		GPU:    &model.TuneGPU{Count: 1, Resource: g.Resource, Kind: g.Kind, Product: g.Product, Capability: g.Capability, Each: g.Memory},
	}
	plan.Threads = max(1, int(plan.CPU/model.Core))
	if plan.Memory.Total()+besideMemory > node.Memory || node.CPU < leastHostCores*model.Core || node.Disk > 0 && node.Disk < plan.Disk {
		return model.TunePlan{}, &TooLargeError{
			Model: m.ID, Node: node.Name, Need: plan.Memory.Total() + besideMemory, Has: node.Memory, CPU: node.CPU, LeastCPU: leastHostCores * model.Core,
			Disk: node.Disk, LeastDisk: plan.Disk,
		}
	}
	has := g.Memory * visiblePercent / 100 * trainingPercent / 100
	for _, recompute := range choices(load) {
		plan.Recompute, plan.GPU.Memory = recompute, onGPU(m, load, recompute)
		if plan.GPU.Memory.Total() <= has {
			return plan, nil
		}
	}
	fits := func(l model.TuneLoad) bool { return onGPU(m, l, true).Total() <= has }
	return model.TunePlan{}, noRoom(m, load, node, trainingRoom{need: plan.GPU.Memory.Total(), has: has, gpu: true, fits: fits})
}

// onGPU is what a training takes of a GPU's memory.
func onGPU(m model.Model, load model.TuneLoad, recompute bool) model.TuneMemory {
	memory := memoryOf(m, load, recompute)
	memory.Overhead = trainingOverhead
	return memory
}
