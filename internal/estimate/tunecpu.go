package estimate

import "kaito.sh/kaito/internal/model"

// What a training takes of a node's CPU and memory.
const (
	// libraries is what the Python libraries keep before a model is loaded: 540 MB
	// were measured for torch, transformers and PEFT, and 100 more while they run.
	libraries = 640 * 1000 * 1000
	// besideMemory and besideCPU are for the containers that run beside the trainer.
	besideMemory = 64 * model.MiB
	besideCPU    = model.Core / 20
	// mostTrained is the largest model that is trained on a CPU. A token of
	// SmolLM2-135M takes 17 ms of one core forth and back (2.8 s for 162 tokens), and
	// time grows with the size: 100,000 tokens of a model of this size are 3.5 hours
	// on one core, three epochs of a usual data set weeks.
	mostTrained = 1_000_000_000
	// trainedPerCore sets the cores: more than one for each so many parameters are
	// never waited for.
	trainedPerCore = 135_000_000
	// trainerDisk holds logs and what libraries write beside checkpoints.
	trainerDisk = 256 * model.MiB
	// keptCheckpoints are those of the settings' default, and the one that is being written.
	keptCheckpoints = 3
)

// tuneOnCPU plans a training for the CPU of one node.
func tuneOnCPU(m model.Model, load model.TuneLoad, node model.NodeShape) (model.TunePlan, error) {
	if n := parameters(m); n > mostTrained {
		return model.TunePlan{}, &TooSlowError{Model: m.ID, Node: node.Name, Parameters: n, Most: mostTrained}
	}
	cores := model.MilliCPU(min((parameters(m)+trainedPerCore-1)/trainedPerCore, mostCores))
	cpu := min(cores*model.Core, node.CPU-besideCPU)
	if cpu < leastCPU {
		return model.TunePlan{}, &TooLargeError{Model: m.ID, Node: node.Name, CPU: node.CPU, LeastCPU: leastCPU + besideCPU}
	}
	plan := model.TunePlan{Model: m.ID, Load: load, CPU: cpu, Threads: max(1, int(cpu/model.Core)), Disk: diskOf(m, load)}
	if node.Disk > 0 && node.Disk < plan.Disk {
		return model.TunePlan{}, &TooLargeError{Model: m.ID, Node: node.Name, CPU: node.CPU, Disk: node.Disk, LeastDisk: plan.Disk}
	}
	has := node.Memory - besideMemory
	for _, recompute := range choices(load) {
		plan.Recompute, plan.Memory = recompute, onCPU(m, load, recompute)
		if plan.Memory.Total() <= has {
			return plan, nil
		}
	}
	fits := func(l model.TuneLoad) bool { return onCPU(m, l, true).Total() <= has }
	return model.TunePlan{}, noRoom(m, load, node, trainingRoom{need: plan.Memory.Total(), has: has, fits: fits})
}

// onCPU is what a training takes of a node's memory. The files of the model are mapped
// while they are read, and counted as long as they are.
func onCPU(m model.Model, load model.TuneLoad, recompute bool) model.TuneMemory {
	memory := memoryOf(m, load, recompute)
	memory.Overhead = libraries + runnerOverhead + m.Forms[model.FormHF].Size
	return memory
}

// diskOf is what checkpoints and the adapter take: a checkpoint holds the adapter and
// two moments of each weight.
func diskOf(m model.Model, load model.TuneLoad) model.Bytes {
	const adapter, checkpoint = 4, 12
	each := model.Bytes(m.AdapterParameters(load.Rank, load.Targets))
	return (trainerDisk + each*(adapter+checkpoint*keptCheckpoints)).CeilTo(model.MiB)
}

// choices are the ways to keep activations, the faster first.
func choices(load model.TuneLoad) []bool {
	if load.Recompute != nil {
		return []bool{*load.Recompute}
	}
	return []bool{false, true}
}
