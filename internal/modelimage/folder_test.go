package modelimage

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shardFile builds a file of a header and so many bytes of data.
func shardFile(header string, data int) string {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return string(b) + header + strings.Repeat("\x01", data)
}

const llamaConfig = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","num_hidden_layers":2,"num_attention_heads":4,
"num_key_value_heads":2,"hidden_size":64,"vocab_size":49152.0,"max_position_embeddings":8192,"rope_scaling":null}`

// soundFolder is a model of two shards.
func soundFolder() map[string]string {
	return map[string]string{
		"config.json":                      llamaConfig,
		"README.md":                        "---\nlibrary_name: transformers\nlicense: mit\n---\n# A model\n",
		"LICENSE.txt":                      "                                 Apache License\n                           Version 2.0, January 2004\n",
		"tokenizer_config.json":            `{"chat_template":"{{ messages }}"}`,
		"model-00001-of-00002.safetensors": shardFile(`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}   `, 12),
		"model-00002-of-00002.safetensors": shardFile(`{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
		"model.safetensors.index.json":     `{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`,
		".gitattributes":                   "x",
		"picture.png":                      "x",
		"original/consolidated.txt":        "x",
	}
}

func writeFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readDir(t *testing.T, dir string) (folder, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return readFolder(root)
}

func TestFolderFacts(t *testing.T) {
	t.Parallel()
	got, err := readDir(t, writeFolder(t, soundFolder()))
	if err != nil {
		t.Fatal(err)
	}
	want := folder{
		facts: Facts{
			Form: FormHF, Architecture: "LlamaForCausalLM", Parameters: 7, Context: 8192, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16,
			Hidden: 64, Vocabulary: 49152, Quantization: "BF16", WeightsBytes: 16, License: "MIT", ChatTemplate: digestOf("{{ messages }}"),
		},
		files: []string{
			"README.md", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
			"model.safetensors.index.json", "tokenizer_config.json",
		},
		license: "LICENSE.txt",
		left:    []string{"original/", "picture.png"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(folder{})); diff != "" {
		t.Errorf("folder (-want +got):\n%s", diff)
	}
}

func TestShardsThatTheIndexDoesNotNameStayBehind(t *testing.T) {
	t.Parallel()
	files := soundFolder()
	files["consolidated.safetensors"] = shardFile(`{"z":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1)
	got, err := readDir(t, writeFolder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if got.facts.WeightsBytes != 16 || !strings.Contains(strings.Join(got.left, " "), "consolidated.safetensors") {
		t.Errorf("weights %d, left %v", got.facts.WeightsBytes, got.left)
	}
}

func TestFolderIsRefused(t *testing.T) {
	t.Parallel()
	const first = "model-00001-of-00002.safetensors"
	for name, tc := range map[string]struct {
		file, text string
		want       string
	}{
		"without config.json":                 {"config.json", "", "add the config.json that belongs to these weights"},
		"when config.json is no JSON":         {"config.json", "{\n\"a\": tru}", "line 2 is not JSON"},
		"when config.json holds NaN":          {"config.json", "{\n\"vocab_size\": NaN}", "line 2 holds NaN, which is not a number"},
		"when config.json has absurd numbers": {"config.json", `{"architectures":["X"],"num_hidden_layers":1000000000000}`, "layers is 1000000000000"},
		"when config.json has negative ones":  {"config.json", `{"architectures":["X"],"hidden_size":-1}`, "hidden size is -1"},
		"when config.json has broken ones":    {"config.json", `{"architectures":["X"],"hidden_size":1.5}`, "1.5 is not a whole number"},
		"when config.json names nothing":      {"config.json", `{}`, "it names no architecture"},
		"when heads make no sense":            {"config.json", `{"architectures":["X"],"num_attention_heads":2,"num_key_value_heads":3}`, "3 key-value heads for 2"},
		"when it holds a pickle":              {"pytorch_model.bin", "x", "can run code when it is loaded"},
		"when it holds training arguments":    {"training_args.bin", "x", "can run code when it is loaded"},
		"when a name could be misread":        {"a b;c.json", "x", "has a name that we do not carry"},
		"when a shard is missing":             {first, "", `tensor "a" is in "model-00001-of-00002.safetensors", which is not there`},
		"when a shard lacks a tensor":         {first, shardFile(`{"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), `tensor "a" should be in`},
		"when a shard is cut off":             {first, shardFile(`{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}`, 11), "the file is cut off"},
		"when a header is cut off":            {first, shardFile(`{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}`, 0)[:40], "it is cut off"},
		"when a header claims to be huge":     {first, "\xff\xff\xff\xff\xff\xff\xff\xff{}", "at most 104857600 make sense"},
		"when a shard is a web page":          {first, "<!DOCTYPE html><html>", "not a sound safetensors file"},
		"when a shard is a pointer":           {first, "version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS and no weights; fetch the file with git lfs pull"},
		"when the index is missing":           {"model.safetensors.index.json", "", "is one shard of several, but the folder has no index"},
		"when the index is empty":             {"model.safetensors.index.json", "{}", "the index names no tensors"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := soundFolder()
			if files[tc.file] = tc.text; tc.text == "" {
				delete(files, tc.file)
			}
			_, err := readDir(t, writeFolder(t, files))
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a refusal that says %q", err, tc.want)
			}
		})
	}
}

func TestLinksStayWithinTheFolder(t *testing.T) {
	t.Parallel()
	files := soundFolder()
	dir := writeFolder(t, files)
	config := filepath.Join(dir, "config.json")
	if err := errors.Join(os.Rename(config, filepath.Join(dir, "original", "c")), os.Symlink("original/c", config)); err != nil {
		t.Fatal(err)
	}
	if _, err := readDir(t, dir); err != nil {
		t.Errorf("a link within the folder: %v", err)
	}
	outside := filepath.Join(t.TempDir(), "secret.json")
	if err := errors.Join(os.WriteFile(outside, []byte(llamaConfig), 0o600), os.Remove(config), os.Symlink(outside, config)); err != nil {
		t.Fatal(err)
	}
	if _, err := readDir(t, dir); err == nil || !strings.Contains(err.Error(), "cp -rL") {
		t.Errorf("a link out of the folder: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	for _, s := range []string{llamaConfig, `{"architectures":["X"],"text_config":{"num_hidden_layers":3}}`, `{"vocab_size":1e400}`, `{"a":NaN}`, `{"text_config":{"text_config":null}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		facts, err := parseConfig(raw)
		if err == nil && (facts.Layers < 0 || facts.Hidden < 0 || facts.Architecture == "") {
			t.Errorf("took %+v", facts)
		}
	})
}
