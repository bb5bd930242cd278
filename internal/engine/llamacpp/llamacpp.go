// Package llamacpp writes the command of llama.cpp's llama-server, which serves
// GGUF files on CPUs. The flags are those of the version in runtimes/llamacpp.
package llamacpp

import (
	"fmt"
	"path"
	"slices"
	"strconv"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// Name is the engine's name in plans, metrics and messages.
const Name = "llamacpp"

// Command is the command for a plan that reads a GGUF. What the user set wins over
// our defaults, the plan wins over both: it has heard the user already.
func Command(in engine.Input) (engine.Command, error) {
	file := path.Join(in.Weights, in.Model.Forms[model.FormGGUF].File)
	arguments := flags.Merge(defaults(in.Model.Chat), in.Settings.Arguments[Name], planned(in, file), adapters(in.Adapters))
	files := []string{file}
	for _, a := range in.Adapters {
		files = append(files, a.Path)
	}
	return engine.Command{
		Name: Name,
		Args: append([]string{"llama-server"}, flags.Line(arguments)...),
		Env: map[string]string{
			// OpenMP threads sleep at barriers instead of burning the pod's CPU.
			"GOMP_SPINCOUNT":  "0",
			"OMP_WAIT_POLICY": "passive",
		},
		URL:        fmt.Sprintf("http://127.0.0.1:%d", in.Port),
		HealthPath: "/health",
		Files:      files,
	}, nil
}

// planned are the flags that no user sets, and those whose wishes the plan has heard.
func planned(in engine.Input, file string) []flags.Argument {
	threads := strconv.Itoa(in.Plan.Threads)
	return []flags.Argument{
		flags.Set("model", file),
		flags.Set("alias", engine.ServedID(in.Model)),
		// Its default is loopback, but 9931: both are said, so that neither may drift.
		flags.Set("host", "127.0.0.1"),
		flags.Set("port", strconv.Itoa(in.Port)),
		// The size of the context is the total, shared out evenly over the slots.
		flags.Set("ctx-size", strconv.Itoa(in.Plan.Context*in.Plan.Slots)),
		flags.Set("parallel", strconv.Itoa(in.Plan.Slots)),
		// The default is all CPUs of the host. One thread more than the pod has
		// cores makes each token wait at a barrier: 25 times slower.
		flags.Set("threads", threads),
		flags.Set("threads-batch", threads),
		// The default is 8 GiB.
		flags.Set("cache-ram", strconv.FormatInt(int64(in.Plan.Memory.PromptCache/model.MiB), 10)),
		flags.On("metrics"),
		flags.Off("ui", "no-ui"),
		// What others ask is nobody's business.
		flags.Off("slots", "no-slots"),
		flags.On("offline"),
	}
}

// adapters are loaded with the scale 0, which leaves the model as it is; a request gives one
// of them its scale by its place in this list. The flag lora-init-without-apply would be
// for that, but applies them to every request (llama-server 0.7.0).
func adapters(all []engine.Adapter) []flags.Argument {
	if len(all) == 0 {
		return nil
	}
	scaled := flags.Argument{Flag: flags.Flag{Name: "lora-scaled", Many: flags.Commas}}
	for _, a := range all {
		scaled.Values = append(scaled.Values, a.Path+":0")
	}
	// What the server keeps of finished conversations does not say with which adapter they
	// were computed, and would be given to requests for another.
	return []flags.Argument{scaled, flags.Set("cache-ram", "0")}
}

// AdapterArchitectures are the classes of models whose adapters can be converted for
// llama.cpp; internal/adapter/loragguf does it, and a test compares the two.
func AdapterArchitectures() []string { return []string{"LlamaForCausalLM"} }

// TakesAdapters says whether adapters of a model can be served.
func TakesAdapters(m model.Model) bool {
	return slices.ContainsFunc(m.Architectures, func(a string) bool { return slices.Contains(AdapterArchitectures(), a) })
}

// defaults are for a model whose files say badly how to talk to it. A request may
// ask for other sampling, not for another template.
func defaults(c model.Chat) []flags.Argument {
	var all []flags.Argument
	if c.Template != "" {
		all = append(all, flags.Set("chat-template", c.Template))
	}
	if c.Temperature != nil {
		all = append(all, flags.Set("temp", number(*c.Temperature)))
	}
	if c.TopP != nil {
		all = append(all, flags.Set("top-p", number(*c.TopP)))
	}
	return all
}

// number is the shortest way to write f.
func number(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}
