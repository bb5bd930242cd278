package modelfacts

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/gguf/gguftest"
	"kaito.sh/kaito/internal/modelfacts/factstest"
	"kaito.sh/kaito/internal/modelfiles"
)

// What a person reads where the files of a model cannot be used, word by word.
func TestFilesAreRefused(t *testing.T) {
	t.Parallel()
	const again = "; take the file from the model's source again"
	huge := string(binary.LittleEndian.AppendUint64(nil, 10<<40)) + "{}"
	grown := factstest.Weights(map[string][]int{"w": {4, 4}}) + "more"
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"
	sound := weights()
	wrong := gguftest.Sound()
	wrong.Keys[3].Value = uint32(3000)
	mqa := gguftest.Sound()
	mqa.Keys[7].Value = uint32(3)
	for name, tc := range map[string]struct {
		files   memory
		file    string
		pickles bool
		reason  modelfiles.Reason
		want    string
	}{
		"a number that is none": {
			files: memory{"config.json": `{"num_hidden_layers": NaN, "num_attention_heads": -Infinity, "hidden_size": 1e999}`}, reason: modelfiles.Broken,
			want: "config.json cannot be right: hidden_size is 1e999, not a whole number; num_attention_heads is -Infinity, not a whole number; num_hidden_layers is NaN, not a whole number" + again,
		},
		"absurd numbers": {
			files: memory{"config.json": `{"text_config": {"num_hidden_layers": 1000000000, "hidden_size": -1, "max_position_embeddings": 1e15, "head_dim": 0.5}}`}, reason: modelfiles.Broken,
			want: "config.json cannot be right: text_config.head_dim is 0.5, not a whole number; text_config.hidden_size is -1, and only 0 to 131072 make sense; " +
				"text_config.max_position_embeddings is 1000000000000000, and only 0 to 16777216 make sense; text_config.num_hidden_layers is 1000000000, and only 0 to 2048 make sense" + again,
		},
		"words of the wrong kind": {
			files: memory{"config.json": `{"architectures": "Llama", "model_type": 7, "vocab_size": "many", "quantization_config": [], "rope_scaling": {"type": {}}, "max_position_embeddings": 5}`}, reason: modelfiles.Broken,
			want: `config.json cannot be right: architectures is "Llama", not a list; model_type is 7, not a text; quantization_config is a list, not an object; rope_scaling.type is an object, not a text; vocab_size is "many", not a whole number` + again,
		},
		"heads that do not share": {
			files: memory{"config.json": `{"num_attention_heads": 9, "num_key_value_heads": 2}`}, reason: modelfiles.Broken,
			want: "config.json cannot be right: num_attention_heads is 9, which 2 num_key_value_heads cannot share evenly" + again,
		},
		"a context that scaling makes endless": {
			files: memory{"config.json": `{"max_position_embeddings": 16777216, "rope_scaling": {"type": "linear", "factor": 1000000}}`}, reason: modelfiles.Broken,
			want: "config.json cannot be right: rope_scaling makes a context of 16777216000000 of 16777216 tokens" + again,
		},
		"more experts a token than there are": {
			files: memory{"config.json": `{"num_experts_per_tok": 8}`}, reason: modelfiles.Broken,
			want: "The configuration of it lets a token use 8 of 0 experts" + again,
		},
		"a configuration that is no object": {
			files: memory{"config.json": `[1, 2]`}, reason: modelfiles.Broken,
			want: "config.json is no JSON object, but of the kind array" + again,
		},
		"a configuration with something behind it": {
			files: memory{"config.json": `{} {}`}, reason: modelfiles.Broken, want: "config.json has something behind its JSON object, at byte 4" + again,
		},
		"a configuration that is cut off": {
			files: memory{"config.json": `{"a": "b`}, reason: modelfiles.Broken, want: "config.json is no JSON object: unexpected EOF" + again,
		},
		"weights without a configuration": {
			files: memory{"tokenizer.json": "{}"}, reason: modelfiles.Broken,
			want: "it has no config.json and no params.json, so nothing says what its weights are; it has model.safetensors, tokenizer.json",
		},
		"a header that claims ten terabytes": {
			files: memory{"config.json": "{}", "model.safetensors": huge}, reason: modelfiles.Broken,
			want: "model.safetensors of it is no sound safetensors file: the header claims 10995116277760 bytes, at most 104857600 make sense; fetch it again and compare its checksum with the source's",
		},
		"a file that is longer than its header says": {
			files: memory{"config.json": "{}", "model.safetensors": grown}, reason: modelfiles.Broken,
			want: "model.safetensors of it is no sound safetensors file: the tensors fill 32 data bytes, but 36 follow the header; fetch it again and compare its checksum with the source's",
		},
		"an index that names what is not there": {
			files: memory{
				"config.json": "{}", "model-1.safetensors": sound, "model.safetensors": sound,
				"model.safetensors.index.json": `{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}`,
			}, reason: modelfiles.Broken,
			want: `model.safetensors.index.json of it names "model-2.safetensors", which is not there; fetch the missing file, or the index that belongs to the others`,
		},
		"one shard of two, and the index of both": {
			files: memory{
				"config.json": "{}", "model-1.safetensors": sound,
				"model.safetensors.index.json": `{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}`,
			}, reason: modelfiles.Broken,
			want: `model.safetensors.index.json of it names "model-2.safetensors", which is not there; fetch the missing file, or the index that belongs to the others`,
		},
		"an index that is none": {
			files: memory{"config.json": "{}", "model-1.safetensors": sound, "model.safetensors": sound, "model.safetensors.index.json": `{"weight_map": {"a": 7}}`}, reason: modelfiles.Broken,
			want: "model.safetensors.index.json is no index of tensors: weight_map holds 7, not the name of a file" + again,
		},
		"a repository without weights": {
			files: memory{"config.json": "{}", "README.md": "# soon"}, reason: modelfiles.NoWeights,
			want: "it has no weights, which are *.safetensors files beside a config.json, or one *.gguf; it has README.md, config.json",
		},
		"pointers of Git LFS in place of shards": {
			files: memory{"config.json": "{}", "model-1.safetensors": pointer, "model-2.safetensors": pointer}, reason: modelfiles.Broken,
			want: "model-1.safetensors, model-2.safetensors of it: a pointer of Git LFS stands where weights should; fetch them with git lfs pull",
		},
		"a pointer of Git LFS in place of a GGUF": {
			files: memory{"a.gguf": pointer}, reason: modelfiles.Broken,
			want: "a.gguf of it: a pointer of Git LFS stands where weights should; fetch them with git lfs pull",
		},
		"weights as pickles only": {
			files: memory{"config.json": "{}", "pytorch_model.bin": "a pickle"}, reason: modelfiles.OnlyPickles,
			want: "it has no *.safetensors and no GGUF file that an engine loads, but pickles, loading which can run code; it has config.json, pytorch_model.bin",
		},
		"pickles that are allowed, and are no weights": {
			files: memory{"config.json": "{}", "training_args.bin": "a pickle"}, pickles: true, reason: modelfiles.OnlyPickles,
			want: "it has no *.safetensors and no GGUF file that an engine loads, but pickles, loading which can run code; it has config.json, training_args.bin",
		},
		"several GGUF files": {
			files: memory{"a-Q4_0.gguf": "GGUF", "a-Q8_0.gguf": "GGUF"}, reason: modelfiles.Ambiguous,
			want: "it has 2 GGUF files, of which one must be named: a-Q4_0.gguf, a-Q8_0.gguf",
		},
		"a GGUF that is not there": {
			files: memory{"a-Q4_0.gguf": "GGUF"}, file: "b.gguf", reason: modelfiles.NoMatch,
			want: `No GGUF file of it is called "b.gguf"; it has a-Q4_0.gguf`,
		},
		"one part of a split GGUF": {
			files: memory{"a-00001-of-00002.gguf": "GGUF"}, reason: modelfiles.Ambiguous,
			want: `"a-00001-of-00002.gguf" of it is one part of a split model; join the parts first: llama-gguf-split --merge FIRST-PART OUT.gguf`,
		},
		"a GGUF that is cut off": {
			files: memory{"a.gguf": string(gguftest.Sound().Bytes()[:90])}, reason: modelfiles.Broken,
			want: "a.gguf of it is no GGUF file that llama.cpp would load: at byte 24: the header needs 175 bytes, but the file ends after 66 more; fetch it again and compare its checksum with the source's",
		},
		"a GGUF with absurd numbers": {
			files: memory{"a.gguf": string(wrong.Bytes())}, reason: modelfiles.Broken,
			want: "a.gguf cannot be right: its layers is 3000, and only 0 to 2048 make sense" + again,
		},
		"a GGUF whose heads do not share": {
			files: memory{"a.gguf": string(mqa.Bytes())}, reason: modelfiles.Broken,
			want: "a.gguf cannot be right: 4 heads cannot share 3 key-value heads evenly" + again,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, other := tc.files["model.safetensors"]; tc.reason == modelfiles.Broken && !other && !strings.Contains(tc.want, "gguf") && !strings.Contains(tc.want, "LFS") {
				tc.files["model.safetensors"] = sound
			}
			_, err := Read(t.Context(), Options{Origin: "it", All: tc.files.list(), Files: tc.files, File: tc.file, AllowPickles: tc.pickles})
			var refused *modelfiles.Refusal
			if !errors.As(err, &refused) || refused.Reason != tc.reason {
				t.Fatalf("got %v, want a refusal for %s", err, tc.reason)
			}
			if diff := cmp.Diff(tc.want, refused.Message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}
