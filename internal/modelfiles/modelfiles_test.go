package modelfiles_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/modelfiles"
)

func TestUsualFiles(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ all, want string }{
		"Llama, with the makers' own form beside it": {
			"LICENSE USE_POLICY.md config.json generation_config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json original/consolidated.00.pth original/params.json original/tokenizer.model special_tokens_map.json tokenizer.json tokenizer_config.json",
			"config.json generation_config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json special_tokens_map.json tokenizer.json tokenizer_config.json",
		},
		"Mistral, in two forms": {
			"config.json consolidated.safetensors model-00001-of-00001.safetensors model.safetensors.index.json params.json tekken.json tokenizer.json tokenizer.model tokenizer.model.v3 SYSTEM_PROMPT.txt",
			"SYSTEM_PROMPT.txt config.json model-00001-of-00001.safetensors model.safetensors.index.json params.json tekken.json tokenizer.json tokenizer.model",
		},
		"Mistral, in its own form only": {
			"consolidated-00001-of-00002.safetensors consolidated-00002-of-00002.safetensors consolidated.safetensors.index.json params.json tekken.json",
			"consolidated-00001-of-00002.safetensors consolidated-00002-of-00002.safetensors consolidated.safetensors.index.json params.json tekken.json",
		},
		"gpt-oss, for three programs": {
			"chat_template.jinja config.json metal/model.bin model-00000-of-00002.safetensors original/config.json original/dtypes.json original/model.safetensors tokenizer.json",
			"chat_template.jinja config.json model-00000-of-00002.safetensors tokenizer.json",
		},
		"an embedding model": {
			"1_Pooling/config.json 2_Dense/model.safetensors 2_Dense/pytorch_model.bin model.safetensors modules.json onnx/model.onnx openvino/openvino_model.xml sentence_bert_config.json vocab.txt",
			"1_Pooling/config.json 2_Dense/model.safetensors model.safetensors modules.json sentence_bert_config.json vocab.txt",
		},
		"several chat templates": {
			"additional_chat_templates/tool_use.jinja chat_template.jinja model.safetensors model-q4.gguf",
			"additional_chat_templates/tool_use.jinja chat_template.jinja model.safetensors",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := modelfiles.Usual("it", listedAs(strings.Fields(tc.all)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, strings.Join(paths(got), " ")); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func listedAs(names []string) []modelfiles.File {
	var out []modelfiles.File
	for _, n := range names {
		out = append(out, modelfiles.File{Path: n, Size: 1})
	}
	return out
}

func paths(files []modelfiles.File) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

// FuzzChoose: whatever a hub lists and a user asks for, what is chosen was listed, is
// chosen once, and is no pickle unless its ending was asked for.
func FuzzChoose(f *testing.F) {
	f.Add("config.json model.safetensors pytorch_model.bin original/x.pth", "")
	f.Add("a.bin b.gguf", "*.bin *")
	f.Add("A.PT x.pt.safetensors model.safetensors", "*")
	f.Add("x", "[")
	f.Fuzz(func(t *testing.T, listed, asked string) {
		names := strings.Fields(listed)
		slices.Sort(names)
		names = slices.Compact(names)
		patterns := strings.Fields(asked)
		got, err := modelfiles.Usual("it", listedAs(names))
		if len(patterns) > 0 {
			got, err = modelfiles.Named("it", listedAs(names), patterns, false)
		}
		if err != nil {
			return
		}
		chosen := paths(got)
		if !slices.IsSorted(chosen) || len(slices.Compact(slices.Clone(chosen))) != len(chosen) || len(chosen) == 0 {
			t.Errorf("chose %q", chosen)
		}
		for _, c := range chosen {
			if !slices.Contains(names, c) {
				t.Errorf("chose %q, which is not there", c)
			}
			byEnding := slices.ContainsFunc(patterns, func(p string) bool { return strings.EqualFold(path.Ext(p), path.Ext(c)) || modelfiles.IsPickle(p) })
			if modelfiles.IsPickle(c) && !byEnding {
				t.Errorf("chose the pickle %q for %q", c, patterns)
			}
		}
	})
}
