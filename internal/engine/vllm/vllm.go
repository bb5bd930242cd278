// Package vllm writes the command of `vllm serve`, which serves safetensors on GPUs.
// The flags are those of the version in internal/engine/flags.
package vllm

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// Name is the engine's name in plans, metrics and messages.
const Name = "vllm"

// cacheDir is where vLLM and its libraries keep what they compile, and the home
// folder, below which others write without asking.
const cacheDir = "/cache"

// stopSeconds is how long vLLM lets requests end after SIGTERM. The runner has let
// them end before, so this is for the last words only; vLLM's default of 0 cuts them.
const stopSeconds = 5

// NeedsParserError says that a setting needs another that nobody made.
type NeedsParserError struct {
	// Model is the id of the model.
	Model string
}

// Error says what to set.
func (e *NeedsParserError) Error() string {
	return fmt.Sprintf("vllm.enable-auto-tool-choice needs a parser for the tool calls of model %q, and the catalog names none: set vllm.tool-call-parser", e.Model)
}

// Command is the command for a plan that reads safetensors. What the user set wins
// over what is known of the model, the plan wins over both: it has heard the user.
func Command(in engine.Input) (engine.Command, error) {
	arguments := flags.Merge(known(in.Model, in.Plan), in.Settings.Arguments[Name], planned(in), adapters(in))
	if err := complete(in.Model, arguments); err != nil {
		return engine.Command{}, err
	}
	files := []string{path.Join(in.Weights, configFile(arguments))}
	for _, a := range in.Adapters {
		files = append(files, path.Join(a.Path, "adapter_config.json"))
	}
	return engine.Command{
		Name:       Name,
		Args:       append([]string{"vllm", "serve", in.Weights}, flags.Line(arguments)...),
		Env:        environment(),
		URL:        fmt.Sprintf("http://127.0.0.1:%d", in.Port),
		HealthPath: "/health",
		CacheDir:   cacheDir,
		Files:      files,
	}, nil
}

// configFile is the file that says what the model is: Mistral's own format has another.
func configFile(arguments []flags.Argument) string {
	for _, a := range arguments {
		if a.Flag.Name == "config-format" && slices.Equal(a.Values, []string{"mistral"}) {
			return "params.json"
		}
	}
	return "config.json"
}

// known are the flags by which vLLM serves this model well on these GPUs.
func known(m model.Model, p model.Plan) []flags.Argument {
	var all []flags.Argument
	for _, name := range slices.Sorted(maps.Keys(m.VLLM)) {
		switch value := m.VLLM[name]; value {
		case "true":
			all = append(all, flags.On(name))
		default:
			all = append(all, flags.Set(name, value))
		}
	}
	if m.VLLM["tool-call-parser"] != "" {
		// Without it vLLM answers 400 to a request that leaves the choice to the model.
		all = append(all, flags.On("enable-auto-tool-choice"))
	}
	if !hasBfloat16(p) && m.Quantisation == "" {
		all = append(all, flags.Set("dtype", "float16"))
	}
	return all
}

// hasBfloat16 is false for NVIDIA's GPUs before compute capability 8.0: vLLM ends at once when
// a model asks for bfloat16 there, as nearly all do. All of AMD's that vLLM runs on have it.
func hasBfloat16(p model.Plan) bool {
	return p.GPU == nil || p.Vendor() == model.AMD || p.GPU.Capability.AtLeast(model.Capability{Major: 8})
}

// planned are the flags that no user sets, and those whose wishes the plan has heard.
func planned(in engine.Input) []flags.Argument {
	gpu := in.Plan.GPU
	if gpu == nil {
		gpu = &model.GPUPlan{Count: 1}
	}
	var code []flags.Argument
	if in.Settings.RemoteCode {
		code = []flags.Argument{flags.On("trust-remote-code")}
	}
	return append(code,
		flags.Set("served-model-name", engine.ServedID(in.Model)),
		// Loopback: the runner stands in front, and most of vLLM's paths ask for no key.
		flags.Set("host", "127.0.0.1"),
		flags.Set("port", strconv.Itoa(in.Port)),
		flags.Set("tensor-parallel-size", strconv.Itoa(gpu.Count)),
		flags.Set("max-model-len", strconv.Itoa(in.Plan.Context)),
		flags.Set("max-num-seqs", strconv.Itoa(in.Plan.Slots)),
		flags.Set("gpu-memory-utilization", strconv.FormatFloat(gpu.Utilisation, 'f', -1, 64)),
		flags.Set("shutdown-timeout", strconv.Itoa(stopSeconds)),
	)
}

// adapters are loaded into the memory of the GPUs that the plan has reserved for them, and
// answer under their names.
func adapters(in engine.Input) []flags.Argument {
	if len(in.Adapters) == 0 {
		return nil
	}
	modules := flags.Argument{Flag: flags.Flag{Name: "lora-modules", Many: flags.List}}
	for _, a := range in.Adapters {
		modules.Values = append(modules.Values, a.Name+"="+a.Path)
	}
	return []flags.Argument{
		flags.On("enable-lora"),
		modules,
		flags.Set("max-lora-rank", strconv.Itoa(in.Plan.Adapters.MaxRank)),
		flags.Set("max-loras", strconv.Itoa(in.Plan.Adapters.AtOnce)),
		flags.Set("max-cpu-loras", strconv.Itoa(max(len(in.Adapters), in.Plan.Adapters.AtOnce))),
	}
}

// complete finds what each flag alone cannot say of itself and vLLM says only when it starts.
func complete(m model.Model, arguments []flags.Argument) error {
	auto, parser := false, false
	for _, a := range arguments {
		switch a.Flag.Name {
		case "enable-auto-tool-choice":
			auto = !a.Off
		case "tool-call-parser":
			parser = true
		}
	}
	if auto && !parser {
		return &NeedsParserError{Model: m.ID}
	}
	return nil
}

// environment keeps vLLM to itself: it reaches no hub, reports to nobody, loads no
// plug-in, follows no redirect, and writes only below cacheDir.
func environment() map[string]string {
	return map[string]string{
		"HOME":                           cacheDir,
		"USER":                           "kaito", // nobody looks the user id up in /etc/passwd
		"XDG_CACHE_HOME":                 cacheDir + "/xdg",
		"VLLM_CACHE_ROOT":                cacheDir + "/vllm",
		"VLLM_CONFIG_ROOT":               cacheDir + "/config",
		"TORCHINDUCTOR_CACHE_DIR":        cacheDir + "/inductor",
		"TRITON_CACHE_DIR":               cacheDir + "/triton",
		"HF_HOME":                        cacheDir + "/hf",
		"HF_HUB_OFFLINE":                 "1",
		"TRANSFORMERS_OFFLINE":           "1",
		"VLLM_NO_USAGE_STATS":            "1",
		"DO_NOT_TRACK":                   "1",
		"VLLM_PLUGINS":                   "",
		"VLLM_LOGGING_COLOR":             "0",
		"VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
		// Reading large weights and compiling take longer than its 10 minutes; the startup probe bounds both.
		"VLLM_ENGINE_READY_TIMEOUT_S": "3600",
	}
}
