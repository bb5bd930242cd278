// Package llamacpp writes the command of llama.cpp's llama-server, which serves
// GGUF files on CPUs. The flags are those of the version in runtimes/llamacpp.
package llamacpp

import (
	"fmt"
	"path"
	"strconv"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
)

// Name is the engine's name in plans, metrics and messages.
const Name = "llamacpp"

// Command is the command for a plan that reads a GGUF.
func Command(in engine.Input) engine.Command {
	file := path.Join(in.Weights, in.Model.Forms[model.FormGGUF].File)
	threads := strconv.Itoa(in.Plan.Threads)
	return engine.Command{
		Name: Name,
		Args: append([]string{
			"llama-server",
			"--model", file,
			"--alias", engine.ServedID(in.Model),
			// Its default is loopback, but 9931: both are said, so that neither may drift.
			"--host", "127.0.0.1",
			"--port", strconv.Itoa(in.Port),
			// The size of the context is the total, shared out evenly over the slots.
			"--ctx-size", strconv.Itoa(in.Plan.Context * in.Plan.Slots),
			"--parallel", strconv.Itoa(in.Plan.Slots),
			// The default is all CPUs of the host. One thread more than the pod has
			// cores makes each token wait at a barrier: 25 times slower.
			"--threads", threads,
			"--threads-batch", threads,
			// The default is 8 GiB.
			"--cache-ram", strconv.FormatInt(int64(in.Plan.Memory.PromptCache/model.MiB), 10),
			"--metrics",
			"--no-ui",
			// What others ask is nobody's business.
			"--no-slots",
			"--offline",
		}, chat(in.Model.Chat)...),
		Env: map[string]string{
			// OpenMP threads sleep at barriers instead of burning the pod's CPU.
			"GOMP_SPINCOUNT":  "0",
			"OMP_WAIT_POLICY": "passive",
		},
		URL:        fmt.Sprintf("http://127.0.0.1:%d", in.Port),
		HealthPath: "/health",
		Files:      []string{file},
	}
}

// chat are the flags for a model whose files say badly how to talk to it. A
// request may ask for other sampling, not for another template.
func chat(c model.Chat) []string {
	var flags []string
	if c.Template != "" {
		flags = append(flags, "--chat-template", c.Template)
	}
	if c.Temperature != nil {
		flags = append(flags, "--temp", number(*c.Temperature))
	}
	if c.TopP != nil {
		flags = append(flags, "--top-p", number(*c.TopP))
	}
	return flags
}

// number is the shortest way to write f.
func number(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}
