package vllm_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

var lines = flag.String("lines", "", "write every command line there, for hack/verify-vllm.sh")

func command(t *testing.T, in engine.Input) engine.Command {
	t.Helper()
	in.Weights, in.Port = "/weights/model", 5001
	c, err := vllm.Command(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func settings(t *testing.T, file string) engine.Settings {
	t.Helper()
	s, err := engine.ParseSettings([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func plan(capability model.Capability) model.Plan {
	return model.Plan{Nodes: 1, Context: 4096, Slots: 8, GPU: &model.GPUPlan{Count: 2, Tensor: 2, Stages: 1, Copies: 1, Utilisation: 0.92, Capability: capability}}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	p := plan(model.Capability{Major: 8})
	p.GPU.Experts = true
	got := command(t, engine.Input{
		Model: model.Model{ID: "tiny", HubID: "Owner/Tiny-Chat", VLLM: map[string]string{"tool-call-parser": "hermes", "enable-expert-parallel": "true"}},
		Plan:  p,
	})
	wantArgs := strings.Fields(`vllm serve /weights/model --enable-auto-tool-choice --enable-expert-parallel --gpu-memory-utilization 0.92
		--host 127.0.0.1 --max-model-len 4096 --max-num-seqs 8 --port 5001 --served-model-name tiny-chat --shutdown-timeout 5
		--tensor-parallel-size 2 --tool-call-parser hermes`)
	if diff := cmp.Diff(wantArgs, got.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if got.Group != nil {
		t.Errorf("one node is a group: %+v", got.Group)
	}
	if got.URL != "http://127.0.0.1:5001" || got.HealthPath != "/health" || got.Files[0] != "/weights/model/config.json" || got.CacheDir != "/cache" {
		t.Errorf("got %+v", got)
	}
	for name, want := range map[string]string{
		"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_PLUGINS": "", "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0", "HOME": "/cache",
	} {
		if value, ok := got.Env[name]; !ok || value != want {
			t.Errorf("%s is %q, %v; want %q", name, value, ok, want)
		}
	}
	for _, name := range []string{"VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_INSECURE_SERIALIZATION", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"} {
		if _, ok := got.Env[name]; ok {
			t.Errorf("%s is set: it opens what nobody guards", name)
		}
	}
}

func TestMistralsOwnFormatHasAnotherConfiguration(t *testing.T) {
	t.Parallel()
	got := command(t, engine.Input{Model: model.Model{ID: "m", HubID: "o/m", VLLM: map[string]string{"config-format": "mistral"}}, Plan: plan(model.Capability{Major: 8})})
	if diff := cmp.Diff([]string{"/weights/model/params.json"}, got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWhatDecidesAFlag(t *testing.T) {
	t.Parallel()
	m := model.Model{ID: "tiny", HubID: "o/tiny", VLLM: map[string]string{"tool-call-parser": "hermes"}}
	for name, tc := range map[string]struct {
		capability model.Capability
		settings   string
		want       string
		lacks      string
	}{
		"cards without bfloat16 compute in float16":      {model.Capability{Major: 7, Minor: 5}, "", "--dtype float16", ""},
		"cards with it leave the choice to the model":    {model.Capability{Major: 8}, "", "", "--dtype"},
		"the user's type wins":                           {model.Capability{Major: 7, Minor: 5}, "vllm: {dtype: float32}", "--dtype float32", "float16"},
		"the user's parser wins":                         {model.Capability{Major: 8}, "vllm: {tool-call-parser: pythonic}", "--tool-call-parser pythonic", "hermes"},
		"the user may turn tools off":                    {model.Capability{Major: 8}, "vllm: {enable-auto-tool-choice: false}", "--disable-auto-tool-choice", "--enable-auto-tool-choice"},
		"auto leaves the context to the plan":            {model.Capability{Major: 8}, "vllm: {max-model-len: auto}", "--max-model-len 4096", "len auto"},
		"a flag that nobody has an opinion on is passed": {model.Capability{Major: 8}, "vllm: {enforce-eager: true, trust-remote-code: true}", "--trust-remote-code", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := strings.Join(command(t, engine.Input{Model: m, Plan: plan(tc.capability), Settings: settings(t, tc.settings)}).Args, " ")
			if !strings.Contains(line, tc.want) || tc.lacks != "" && strings.Contains(line, tc.lacks) {
				t.Errorf("%q, want %q and not %q", line, tc.want, tc.lacks)
			}
		})
	}
	var needs *vllm.NeedsParserError
	_, err := vllm.Command(engine.Input{Model: model.Model{ID: "tiny"}, Plan: plan(model.Capability{Major: 8}), Settings: settings(t, "vllm: {enable-auto-tool-choice: true}")})
	if !errors.As(err, &needs) || needs.Model != "tiny" {
		t.Errorf("got %v, want that a parser is needed", err)
	}
}

// cards are the kinds of GPUs that clouds offer, by memory in MiB.
func cards() []model.GPUs {
	card := func(product string, mib int64, major, minor int) model.GPUs {
		return model.GPUs{Product: product, Memory: model.Bytes(mib) * model.MiB, Capability: model.Capability{Major: major, Minor: minor}}
	}
	return []model.GPUs{
		card("T4", 15360, 7, 5), card("A10", 23028, 8, 6), card("L4", 23034, 8, 9), card("A100-40", 40960, 8, 0),
		card("A100-80", 81920, 8, 0), card("H100", 81559, 9, 0), card("H200", 143771, 9, 0), card("B200", 183359, 10, 0),
	}
}

// files are settings that users write; each is laid over every model.
func files() []string {
	return []string{
		"",
		"max_probe_steps: 6\nvllm: {cpu-offload-gb: 0, gpu-memory-utilization: 0.95, swap-space: 4, max-model-len: 2048}",
		"vllm: {enable-prefix-caching: false, compilation-config: {mode: 3}, kv-cache-dtype: fp8, max-num-seqs: 16}",
		"vllm: {enable-lora: true, max-lora-rank: 64, quantization: fp8, load-format: safetensors, allowed-media-domains: [a.example, b.example]}",
		"vllm: {data-parallel-size: 2, max-num-seqs: 8, max-model-len: 4096}",
		"vllm: {compilation-config.pass_config.fuse_allreduce_rms: false, limit-mm-per-prompt: {image: 2}, reasoning-parser: qwen3, middleware: [a.b, c.d]}",
	}
}

// Every command line that a model of the catalog, the GPUs of a node and a user can
// make must be one that vLLM takes: by its table of flags, and by the names of
// parsers and formats that its own parser does not look at.
func TestVLLMTakesEveryLine(t *testing.T) {
	t.Parallel()
	models, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	table := flags.VLLM()
	var asked []engine.Settings
	for _, file := range files() {
		asked = append(asked, settings(t, file))
	}
	seen := map[string]bool{}
	for _, id := range models.IDs() {
		m, _ := models.Lookup(id)
		planned := 0
		for _, g := range cards() {
			for _, g.Count = range []int{1, 2, 4, 8} {
				for _, s := range asked {
					planned += takes(t, table, m, g, s, seen)
				}
			}
		}
		// The largest, of 800 GiB, fits on eight cards of two kinds only.
		if _, onGPU := m.Forms[model.FormHF]; onGPU && planned < 2*len(asked) {
			t.Errorf("only %d plans for %s", planned, id)
		}
	}
	if *lines != "" {
		write(t, *lines, seen)
	}
}

// takes plans one combination, checks its command line, and says how many plans it made.
func takes(t *testing.T, table flags.Table, m model.Model, g model.GPUs, s engine.Settings, seen map[string]bool) int {
	t.Helper()
	node := model.NodeShape{Name: "n", CPU: 128000, Memory: 1 << 41, GPUs: g}
	p, err := estimate.OnGPU(m, s.Wishes[vllm.Name], node)
	if err != nil {
		return 0
	}
	for _, args := range pods(p, command(t, engine.Input{Model: m, Plan: p, Settings: s})) {
		positional, _, err := table.Read(args)
		if err != nil || len(positional) != 1 {
			t.Errorf("%s on %d x %s: %v in %q", m.ID, g.Count, g.Product, err, args)
		}
		line, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(line)] = true
	}
	return 1
}

// pods are the arguments in the first and the last pod of a plan, as the runner makes them.
func pods(p model.Plan, c engine.Command) [][]string {
	args := c.Args[2:]
	g := c.Group
	if g == nil {
		return [][]string{args}
	}
	at := func(place int) []string {
		return append(slices.Clone(args), g.MasterFlag, "ws-0.ws-headless.default.svc", g.PlaceFlag, strconv.Itoa(place))
	}
	return [][]string{at(0), append(at(p.Nodes-1), g.Followers...)}
}

func TestSeveralNodesAreOneServer(t *testing.T) {
	t.Parallel()
	p := plan(model.Capability{Major: 9})
	p.Nodes, p.GPU.Count, p.GPU.Tensor, p.GPU.Stages = 3, 4, 2, 6
	got := command(t, engine.Input{Model: model.Model{ID: "tiny", HubID: "o/tiny"}, Plan: p})
	line := strings.Join(got.Args, " ")
	for _, want := range []string{"--nnodes 3", "--master-port 29500", "--pipeline-parallel-size 6", "--tensor-parallel-size 2", "--distributed-executor-backend mp", "--distributed-timeout-seconds 1800"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	want := &engine.Group{MasterFlag: "--master-addr", PlaceFlag: "--node-rank", Followers: []string{"--headless"}, AddressVar: "VLLM_HOST_IP"}
	if diff := cmp.Diff(want, got.Group); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
}

func TestCopiesShareTheRequests(t *testing.T) {
	t.Parallel()
	p := plan(model.Capability{Major: 9})
	p.GPU.Count, p.GPU.Copies, p.Slots = 8, 4, 10
	line := strings.Join(command(t, engine.Input{Model: model.Model{ID: "tiny", HubID: "o/tiny"}, Plan: p}).Args, " ")
	for _, want := range []string{"--data-parallel-size 4", "--tensor-parallel-size 2", "--max-num-seqs 3"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
}

func TestAdaptersDoNotGoTogetherWithWholeExperts(t *testing.T) {
	t.Parallel()
	in := engine.Input{Model: model.Model{ID: "m", HubID: "o/m"}, Plan: plan(model.Capability{Major: 9}), Settings: settings(t, "vllm: {enable-expert-parallel: true}"), Adapters: []engine.Adapter{{Name: "a", Path: "/a"}}}
	var no *vllm.AdaptersAndExpertsError
	if _, err := vllm.Command(in); !errors.As(err, &no) || no.Model != "m" {
		t.Errorf("got %v", err)
	}
	in.Adapters = nil
	if _, err := vllm.Command(in); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, file string, seen map[string]bool) {
	t.Helper()
	var all []string
	for line := range seen {
		all = append(all, line)
	}
	slices.Sort(all)
	if err := os.WriteFile(file, []byte(strings.Join(all, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(t.Output(), "%d command lines in %s\n", len(all), file)
}

// The check above must be able to fail.
func TestWhatVLLMDoesNotTakeIsFound(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]map[string]string{
		"a flag that it has not":   {"swap-space": "4"},
		"a parser that it has not": {"tool-call-parser": "llama9"},
		"a format that it has not": {"load-format": "gguf"},
		"a word for a number":      {"max-lora-rank": "many"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := command(t, engine.Input{Model: model.Model{ID: "m", HubID: "o/m", VLLM: spoil}, Plan: plan(model.Capability{Major: 8})})
			if _, _, err := flags.VLLM().Read(c.Args[2:]); err == nil {
				t.Errorf("%q passes", c.Args)
			}
		})
	}
}

func TestAdaptersAreLoadedUnderTheirNames(t *testing.T) {
	t.Parallel()
	p := plan(model.Capability{Major: 8})
	p.Adapters = model.Adapters{Ranks: []int{0, 16}, MaxRank: 64, AtOnce: 1}
	got := command(t, engine.Input{
		Model: model.Model{ID: "m", HubID: "o/m"}, Plan: p, Settings: settings(t, "vllm: {enable-lora: false, max-lora-rank: 8, max-cpu-loras: 1}"),
		Adapters: []engine.Adapter{{Name: "b", Path: "/adapters/b"}, {Name: "a", Path: "/adapters/a"}},
	})
	line := strings.Join(got.Args, " ")
	for _, want := range []string{"--enable-lora --", "--lora-modules b=/adapters/b a=/adapters/a", "--max-lora-rank 64", "--max-loras 1", "--max-cpu-loras 2"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	if _, _, err := flags.VLLM().Read(got.Args[2:]); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"/weights/model/config.json", "/adapters/b/adapter_config.json", "/adapters/a/adapter_config.json"}, got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
