package adapter_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/adaptertest"
)

const first = "base_model.model.model.layers.0.self_attn.q_proj."

// made is an adapter before it is written.
type made struct {
	config  map[string]any
	tensors map[string]adaptertest.Tensor
}

func sound() made { return made{adaptertest.Config(4), adaptertest.Tensors(2, 16, 4)} }

func TestCheckSaysWhatAnAdapterIs(t *testing.T) {
	t.Parallel()
	plain := adapter.Facts{
		Base: adaptertest.Base, Rank: 4, Alpha: 8, TargetModules: []string{"q_proj", "v_proj"},
		Tensors: 8, Parameters: 8 * 64, Bytes: 4 * 8 * 64,
	}
	for name, tc := range map[string]struct {
		change func(made)
		want   func(*adapter.Facts)
	}{
		"a plain one": {func(made) {}, func(*adapter.Facts) {}},
		"one that scales by the root of its rank": {
			func(m made) { m.config["use_rslora"], m.config["revision"] = true, "abc" },
			func(f *adapter.Facts) { f.RankStabilized, f.Revision = true, "abc" },
		},
		"one with several ranks": {
			func(m made) {
				m.config["rank_pattern"] = map[string]any{"layers.0.self_attn.q_proj": 8}
				m.tensors[first+"lora_A.weight"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{8, 16}}
				m.tensors[first+"lora_B.weight"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{16, 8}}
			},
			func(f *adapter.Facts) { f.Rank, f.Patterned, f.Parameters, f.Bytes = 8, true, 10*64, 40*64 },
		},
		"one that changes magnitudes too": {
			func(m made) {
				m.config["use_dora"] = true
				m.tensors[first+"lora_magnitude_vector"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{16}}
			},
			func(f *adapter.Facts) { f.DoRA, f.Tensors, f.Parameters, f.Bytes = true, 9, 8*64+16, 4*(8*64+16) },
		},
		"one that holds a whole module": {
			func(m made) {
				m.config["modules_to_save"] = []string{"score"}
				m.tensors["base_model.model.score.weight"] = adaptertest.Tensor{Dtype: "BF16", Shape: []int{2, 2}}
			},
			func(f *adapter.Facts) {
				f.Other, f.Tensors, f.Parameters, f.Bytes = []string{"base_model.model.score.weight"}, 9, 8*64+4, 4*8*64+8
			},
		},
		"one on embeddings": {
			func(m made) {
				m.tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{4, 10}}
				m.tensors["base_model.model.model.embed_tokens.lora_embedding_B"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{16, 4}}
			},
			func(f *adapter.Facts) {
				f.TargetModules, f.Tensors, f.Parameters, f.Bytes = []string{"embed_tokens", "q_proj", "v_proj"}, 10, 8*64+104, 4*(8*64+104)
			},
		},
		"one that began elsewhere": {
			func(m made) { m.config["init_lora_weights"] = "pissa" },
			func(f *adapter.Facts) { f.Init = "pissa" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, want, dir := sound(), plain, t.TempDir()
			tc.change(m)
			tc.want(&want)
			adaptertest.Write(t, dir, m.config, m.tensors)
			got, err := adapter.Check(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.Digest, "sha256:") || len(got.Digest) != 71 {
				t.Errorf("digest %q", got.Digest)
			}
			got.Digest = ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(made)
		want   string
	}{
		"another kind of adapter":  {func(m made) { m.config["peft_type"] = "IA3" }, `peft_type is "IA3", only LORA`},
		"a classifier":             {func(m made) { m.config["task_type"] = "SEQ_CLS" }, `task_type is "SEQ_CLS"`},
		"a rank of zero":           {func(m made) { m.config["r"] = 0 }, "r is 0"},
		"a rank in other letters":  {func(m made) { delete(m.config, "r"); m.config["R"] = 4 }, "r is 0"},
		"an absurd rank":           {func(m made) { m.config["r"] = 1 << 40 }, "r is 1099511627776"},
		"a rank that is a word":    {func(m made) { m.config["r"] = "four" }, "is not the configuration of an adapter"},
		"no alpha":                 {func(m made) { m.config["lora_alpha"] = nil }, "lora_alpha is missing"},
		"a pattern of zero":        {func(m made) { m.config["rank_pattern"] = map[string]any{"q": 0} }, `rank_pattern of "q" is 0`},
		"repeated layers":          {func(m made) { m.config["layer_replication"] = [][]int{{0, 1}} }, "layer_replication"},
		"weights of another rank":  {func(m made) { m.config["r"] = 8 }, "have the rank 4, adapter_config.json says [8]"},
		"no weights":               {func(m made) { clear(m.tensors) }, "holds no LoRA weights"},
		"half a pair":              {func(m made) { delete(m.tensors, first+"lora_A.weight") }, "holds only one half of the weights for"},
		"a pair that does not fit": {func(m made) { m.tensors[first+"lora_A.weight"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{8, 16}} }, "have the ranks 8 and 4"},
		"a pair that is flat":      {func(m made) { m.tensors[first+"lora_A.weight"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{4}} }, "not those of a pair"},
		"whole numbers":            {func(m made) { m.tensors[first+"lora_A.weight"] = adaptertest.Tensor{Dtype: "I64", Shape: []int{4, 16}} }, "is of type I64"},
		"a tensor nobody announced": {func(m made) {
			m.tensors["base_model.model.score.weight"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{4}}
		}, "does not announce"},
		"magnitudes nobody announced": {func(m made) {
			m.tensors[first+"lora_magnitude_vector"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{16}}
		}, "does not announce"},
		"a bias nobody announced": {func(m made) {
			m.tensors["base_model.model.q_proj.bias"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{16}}
		}, "does not announce"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, dir := sound(), t.TempDir()
			tc.change(m)
			adaptertest.Write(t, dir, m.config, m.tensors)
			refused(t, dir, tc.want)
		})
	}
}

func refused(t *testing.T, dir, want string) {
	t.Helper()
	facts, err := adapter.Check(dir)
	var wrong *adapter.UnusableError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %+v, %v, want a refusal that says %q", facts, err, want)
	}
}

func TestCheckTakesPlainFilesOnly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"no configuration": {func(dir string) error { return os.Remove(filepath.Join(dir, adapter.ConfigFile)) }, `"adapter_config.json": is not there`},
		"no weights":       {func(dir string) error { return os.Remove(filepath.Join(dir, adapter.WeightsFile)) }, `"adapter_model.safetensors": is not there`},
		"no folder":        {func(dir string) error { return os.RemoveAll(dir) }, "there is no folder"},
		"a link, even to a sound file": {func(dir string) error {
			file := filepath.Join(dir, adapter.WeightsFile)
			return errors.Join(os.Rename(file, file+".x"), os.Symlink(adapter.WeightsFile+".x", file))
		}, "is a link"},
		"a folder instead of a file": {func(dir string) error {
			file := filepath.Join(dir, adapter.ConfigFile)
			return errors.Join(os.Remove(file), os.Mkdir(file, 0o755))
		}, "is a link, a folder or a device"},
		"weights that are cut off":              {func(dir string) error { return os.Truncate(filepath.Join(dir, adapter.WeightsFile), 2000) }, "the file is cut off"},
		"a configuration that goes on for ever": {func(dir string) error { return os.Truncate(filepath.Join(dir, adapter.ConfigFile), 1<<30) }, "at most 4194304 make sense"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := adaptertest.Sound(t)
			if err := tc.change(dir); err != nil {
				t.Fatal(err)
			}
			refused(t, dir, tc.want)
		})
	}
}

// FuzzCheck: whatever the two files hold, an adapter that is taken has sane numbers.
func FuzzCheck(f *testing.F) {
	dir := adaptertest.Sound(f)
	config, err := os.ReadFile(filepath.Join(dir, adapter.ConfigFile))
	if err != nil {
		f.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(dir, adapter.WeightsFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(config, weights)
	f.Add([]byte(`{"peft_type":"LORA","r":1,"lora_alpha":1e308,"rank_pattern":{"x":2},"modules_to_save":["score"]}`), weights)
	f.Fuzz(func(t *testing.T, config, weights []byte) {
		dir := t.TempDir()
		for name, raw := range map[string][]byte{adapter.ConfigFile: config, adapter.WeightsFile: weights} {
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := adapter.Check(dir)
		var wrong *adapter.UnusableError
		if err != nil && !errors.As(err, &wrong) {
			t.Errorf("not a refusal: %v", err)
		}
		if err == nil && (got.Rank < 1 || got.Bytes > int64(len(weights)) || len(got.TargetModules) == 0 || got.Parameters < 0) {
			t.Errorf("took %+v", got)
		}
	})
}
