package estimate

import (
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// What vLLM does on AMD's GPUs, read from platforms/rocm.py and the kernels of the wheel of
// 0.33.0 and from its page on ROCm. None of it was run by us on such a GPU.

// targets are the instruction sets that vLLM's image for ROCm is made for: MI200, MI300, MI350,
// Radeon RX 7900 and 9000, Ryzen AI (docs/getting_started/installation/gpu.rocm.inc.md).
func targets() []string {
	return []string{"gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1101", "gfx1150", "gfx1151", "gfx1200", "gfx1201"}
}

// withFP8 are those that multiply numbers of 8 bits: CDNA 3 and 4, RDNA 4.
func withFP8() []string { return []string{"gfx942", "gfx950", "gfx1200", "gfx1201"} }

// withMXFP4 are those with a kernel for mixtures of experts in MXFP4 (aiter_mxfp4_w4a16_moe.py);
// all others emulate it.
func withMXFP4() []string { return []string{"gfx942", "gfx950"} }

// onROCm are the instruction sets on which weights of a quantisation are computed, or none. The
// names are those of a model's configuration: methods, and formats of compressed-tensors.
func onROCm(quantisation string) []string {
	switch strings.ToLower(quantisation) {
	case "", "awq", "auto_awq", "awq_marlin", "gptq", "auto_gptq", "compressed-tensors", "pack-quantized", "int-quantized", "naive-quantized", "quark", "inc", "torchao":
		return targets()
	case "fp8", "fbgemm_fp8", "float-quantized", "deepseek_v4_fp8", "modelopt", "mxfp8", "modelopt_mxfp8":
		return withFP8()
	case "mxfp4", "gpt_oss_mxfp4":
		return withMXFP4()
	}
	// NVFP4, also as a part of MIXED_PRECISION, is only emulated (EmulationNvFp4LinearKernel);
	// experts_int8, fp_quant, moe_wna16, humming and bitsandbytes are not in the list
	// supported_quantization.
	return nil
}

// usableAMD says why vLLM cannot use the GPUs of a node of AMD's.
func usableAMD(m model.Model, node model.NodeShape) error {
	g := node.GPUs
	switch {
	case g.Memory == 0 || g.Target == "":
		return &UnknownGPUError{Node: node.Name, Vendor: model.AMD, Product: g.Product}
	case !slices.Contains(targets(), g.Target):
		return &TargetError{Model: m.ID, Node: node.Name, Product: g.Product, Has: g.Target, Known: targets()}
	}
	if on := onROCm(m.Quantisation); !slices.Contains(on, g.Target) {
		return &QuantisationError{Model: m.ID, Node: node.Name, Product: g.Product, Target: g.Target, Quantisation: m.Quantisation, Runs: on}
	}
	return nil
}

func (e *UnknownGPUError) amd() string {
	what := ""
	if e.Product != "" {
		what = ", " + e.Product + ","
	}
	return fmt.Sprintf("node %q does not say how much memory its GPUs%s have and what instruction set: let AMD's node labeller write amd.com/gpu.vram, "+
		"amd.com/gpu.product-name and amd.com/gpu.device-id, and use whole GPUs (spx_nps1)", e.Node, what)
}

// TargetError says that vLLM's image is not made for the instruction set of a GPU of AMD's.
type TargetError struct {
	// Model is the id of the model, Node the name of the node, Product what its GPUs are called.
	Model, Node, Product string
	// Has is their instruction set, Known are those that there are kernels for.
	Has   string
	Known []string
}

// Error says what would do.
func (e *TargetError) Error() string {
	return fmt.Sprintf("the GPUs of node %q, %s, are %s, and vLLM's image for ROCm has kernels for %s alone: use such GPUs, or NVIDIA's, for model %q",
		e.Node, e.Product, e.Has, strings.Join(e.Known, ", "), e.Model)
}

// QuantisationError says that a GPU of AMD's cannot compute with the weights of a model as they are quantised.
type QuantisationError struct {
	// Model is the id of the model, Node the name of the node, Product what its GPUs are called.
	Model, Node, Product string
	// Target is their instruction set, Quantisation that of the weights.
	Target, Quantisation string
	// Runs are AMD's instruction sets that can, or none.
	Runs []string
}

// Error says what would do.
func (e *QuantisationError) Error() string {
	other := "use GPUs of NVIDIA's"
	if len(e.Runs) > 0 {
		other = "use GPUs of " + strings.Join(e.Runs, ", ") + " or NVIDIA's"
	}
	if least := leastCapability(e.Quantisation); least != leastCapability("") {
		other += fmt.Sprintf(" with compute capability %v or newer", least)
	}
	return fmt.Sprintf("the weights of model %q are quantised as %s, for which vLLM has no kernels on the GPUs of node %q, %s (%s): %s, or a model that is not quantised so",
		e.Model, e.Quantisation, e.Node, e.Product, e.Target, other)
}
