package estimate_test

import (
	"strconv"
	"testing"

	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

func TestAdaptersTakeMemoryByTheirRank(t *testing.T) {
	t.Parallel()
	smollm, llama := preset(t, "smollm2-135m-instruct"), preset(t, "llama-3.1-8b-instruct")
	cpu := model.NodeShape{Name: "n", CPU: 4000, Memory: 8 * model.GiB}
	for name, tc := range map[string]struct {
		adapters model.Adapters
		gpu      bool
		rank     int
		atOnce   int
		each     model.Bytes
	}{
		"a rank that is known":                       {model.Adapters{Ranks: []int{16}}, false, 16, 1, 19_537_920},
		"the largest of several":                     {model.Adapters{Ranks: []int{16, 24}}, false, 24, 2, 29_306_880},
		"one that nobody has looked into":            {model.Adapters{Ranks: []int{16, 0}}, false, 64, 2, 78_151_680},
		"a known one above what is reserved":         {model.Adapters{Ranks: []int{100, 0}}, false, 100, 2, 122_112_000},
		"vLLM can be started for certain ranks only": {model.Adapters{Ranks: []int{17}}, true, 32, 1, 360_710_144},
		"the user's rank and number":                 {model.Adapters{Ranks: []int{0, 0, 0}, MaxRank: 8, AtOnce: 2}, true, 8, 2, 90_177_536},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p model.Plan
			var err error
			if tc.gpu {
				p, err = estimate.OnGPU(llama, model.Wish{Adapters: tc.adapters}, gpuNode(1, "A100", 81920, 8, 0))
			} else {
				p, err = estimate.OnCPU(smollm, model.Wish{Adapters: tc.adapters}, cpu)
			}
			if err != nil {
				t.Fatal(err)
			}
			if a := p.Adapters; a.MaxRank != tc.rank || a.AtOnce != tc.atOnce || a.Each != tc.each {
				t.Errorf("rank %d, %d at once, %d bytes each; want %d, %d, %d", a.MaxRank, a.AtOnce, a.Each, tc.rank, tc.atOnce, tc.each)
			}
			all := tc.each * model.Bytes(len(tc.adapters.Ranks))
			if tc.gpu {
				all /= 2
				if got, want := p.GPU.Memory.Adapters, tc.each/2*model.Bytes(tc.atOnce); got != want {
					t.Errorf("%d bytes of the GPU, want %d", got, want)
				}
			} else if p.Memory.PromptCache != 0 {
				t.Error("the prompt cache does not know adapters apart")
			}
			if p.Memory.Adapters != all {
				t.Errorf("%d bytes of the node, want %d", p.Memory.Adapters, all)
			}
		})
	}
}

func TestAdaptersLeaveLessRoomForTheContext(t *testing.T) {
	t.Parallel()
	m, node := preset(t, "llama-3.1-8b-instruct"), gpuNode(1, "L4", 23034, 8, 9)
	without, err := estimate.OnGPU(m, model.Wish{}, node)
	if err != nil {
		t.Fatal(err)
	}
	with, err := estimate.OnGPU(m, model.Wish{Adapters: model.Adapters{Ranks: make([]int, 4)}}, node)
	if err != nil {
		t.Fatal(err)
	}
	if with.Context >= without.Context {
		t.Errorf("context %d with adapters, %d without", with.Context, without.Context)
	}
}

func TestRanksAreThoseOfVLLMsTable(t *testing.T) {
	t.Parallel()
	flag, _, ok := flags.VLLM().Find("max-lora-rank")
	if !ok || len(flag.Choices) == 0 {
		t.Fatal("vLLM's table has no ranks")
	}
	m, node := preset(t, "llama-3.1-8b-instruct"), gpuNode(1, "H200", 143771, 9, 0)
	for i, choice := range flag.Choices {
		rank, err := strconv.Atoi(choice)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{rank, rank + 1} {
			p, err := estimate.OnGPU(m, model.Wish{Adapters: model.Adapters{Ranks: []int{want}}}, node)
			if err != nil {
				t.Fatal(err)
			}
			next := choice
			if want > rank && i+1 < len(flag.Choices) {
				next = flag.Choices[i+1]
			}
			if got := strconv.Itoa(p.Adapters.MaxRank); got != next && want <= 512 {
				t.Errorf("rank %d is served with %s, want %s", want, got, next)
			}
		}
	}
}
