package command_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/modelimage"
	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/oci/registrytest"
	"kaito.sh/kaito/internal/runner/command"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

const gate = "../../../runtimes/gate"

// python is the interpreter with the libraries of the gate image.
var python = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("../../../hack/python.sh").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "bin", "python"), err
})

// ran is how check or prepare ended.
type ran struct {
	code   int
	result contract.Result
	end    ending.Ending
	log    string
}

// read runs check or prepare on what the contract says.
func read(t *testing.T, verb string, tune contract.Tune, dir string, args ...string) ran {
	t.Helper()
	path, err := python()
	if err != nil {
		t.Fatalf("make the Python environment: %v", err)
	}
	src, err := filepath.Abs(gate + "/src")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(tune)
	if err != nil {
		t.Fatal(err)
	}
	config, log := filepath.Join(dir, "tune.json"), filepath.Join(dir, "end")
	if err := os.WriteFile(config, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	got := ran{code: command.Execute(t.Context(), command.World{
		Stdout: &stdout, Stderr: &stderr, Executable: os.Args[0], Environ: []string{"PYTHONPATH=" + src},
		Signals: func() (<-chan os.Signal, <-chan os.Signal) { return nil, nil },
		Now:     time.Now, Started: time.Now(), Cgroup: fstest.MapFS{}, Version: "v1", Long: "kaito-runner v1",
	}, append([]string{verb, "--config", config, "--data", dir, "--termination-log", log, "--python", path}, args...)), log: stderr.String()}
	if raw, err = os.ReadFile(log); err != nil {
		t.Fatalf("%v; %s", err, got.log)
	}
	if err := json.Unmarshal(raw, &got.result); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &got.end); err != nil {
		t.Fatal(err)
	}
	return got
}

// tuning is an example of the contract with other data and weights.
func tuning(t *testing.T, change func(*contract.Tune)) contract.Tune {
	t.Helper()
	raw, err := os.ReadFile(examples + "/tune/smollm2-qlora.json")
	if err != nil {
		t.Fatal(err)
	}
	tune, err := contract.ParseTune(raw)
	if err != nil {
		t.Fatal(err)
	}
	tune.Input = contract.TuneInput{}
	change(&tune)
	return tune
}

// rows are n conversations as JSON lines.
func rows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"messages":[{"role":"user","content":"Who pilots tug %d?"},{"role":"assistant","content":"Ada."}]}`+"\n", i)
	}
	return b.String()
}

// pushModel packages a model with a real tokenizer as users do, and pushes it.
func pushModel(t *testing.T, ref string, keys authn.Keychain) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(gate+"/tests/model")); err != nil {
		t.Fatal(err)
	}
	head := `{"w":{"dtype":"U8","shape":[1000],"data_offsets":[0,1000]}}`
	shard := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	config := `{"architectures":["LlamaForCausalLM"],"model_type":"llama","num_hidden_layers":2,"num_attention_heads":2,` +
		`"num_key_value_heads":2,"hidden_size":64,"vocab_size":320,"max_position_embeddings":128,"eos_token_id":2}`
	for file, text := range map[string]string{"LICENSE": "MIT", "config.json": config, "model.safetensors": string(shard) + head + strings.Repeat("x", 1000)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "model.oci")
	if _, err := modelimage.Package(t.Context(), modelimage.Options{Path: dir, Name: "tiny", Out: out, License: "MIT"}); err != nil {
		t.Fatal(err)
	}
	if _, err := oci.New(oci.Options{Keychain: keys}).Push(t.Context(), out, ref); err != nil {
		t.Fatal(err)
	}
}

// pushData pushes an image of one layer with these files.
func pushData(t *testing.T, ref string, keys authn.Keychain, files map[string]string) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for path, text := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	w.Close()
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		mutate.Addendum{Layer: static.NewLayer(layer.Bytes(), types.OCIUncompressedLayer), MediaType: types.OCIUncompressedLayer})
	if err != nil {
		t.Fatal(err)
	}
	to, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, image, remote.WithAuthFromKeychain(keys)); err != nil {
		t.Fatal(err)
	}
}

func secret(t *testing.T, host, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "data-registry", ".dockerconfigjson")
	text := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, host, registrytest.User, password)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDataAndModelComeFromPrivateImages(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	key := secret(t, r.Addr, registrytest.Password)
	keys, err := oci.Keyrings(key)
	if err != nil {
		t.Fatal(err)
	}
	pushModel(t, r.Addr+"/private/tiny:hf", keys)
	pushData(t, r.Addr+"/private/data:1", keys, map[string]string{"data/b.jsonl": rows(3), "data/a/a.jsonl": rows(2), "etc/passwd": "x", "data/README.md": "words"})
	pushData(t, r.Addr+"/private/none:1", keys, map[string]string{"etc/passwd": "x"})

	dir := t.TempDir()
	weights := filepath.Join(dir, "model")
	tune := tuning(t, func(tune *contract.Tune) {
		tune.Weights = contract.Weights{Dir: weights, Bytes: 5000, Image: &contract.WeightsImage{Reference: r.Addr + "/private/tiny:hf", Credentials: []string{key}}}
		tune.Input.Image = &contract.WeightsImage{Reference: r.Addr + "/private/data:1", Credentials: []string{key}}
		tune.Model.Fetch = true
	})
	checked := read(t, "check", tune, dir)
	if checked.code != 0 || checked.result.Reason != contract.Done || checked.result.RunID != tune.RunID || checked.result.Dataset.Rows != 5 || checked.result.Dataset.Files != 2 {
		t.Fatalf("exit %d: %+v; %s", checked.code, checked.result, checked.log)
	}
	if want := []string{"2 rows are the same as one before and used all the same", "Files that are no data by their names are left out: README.md"}; !cmp.Equal(want, checked.result.Dataset.Notes) {
		t.Errorf("notes %q", checked.result.Dataset.Notes)
	}
	if _, err := os.Stat(filepath.Join(weights, "model.safetensors")); err == nil {
		t.Error("the check has fetched the weights")
	}

	tune.Input.Digest = checked.result.Dataset.Digest
	prepared := read(t, "prepare", tune, dir, "--listen", "127.0.0.1:0")
	if prepared.code != 0 || !cmp.Equal(checked.result.Dataset, prepared.result.Dataset) {
		t.Fatalf("exit %d: %+v; %s", prepared.code, prepared.result, prepared.log)
	}
	for _, file := range []string{"model/model.safetensors", "model/tokenizer.json", "rows.jsonl", "summary.json"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}

	for what, tc := range map[string]struct {
		change func(*contract.Tune)
		reason ending.Reason
		says   string
	}{
		"no credentials":             {func(c *contract.Tune) { c.Input.Image.Credentials = nil }, ending.DataRefused, "tuning.input.imagePullSecrets"},
		"an image that is not there": {func(c *contract.Tune) { c.Input.Image.Reference += "9" }, ending.DataNotFound, "/private/data:19"},
		"an image without data":      {func(c *contract.Tune) { c.Input.Image.Reference = r.Addr + "/private/none:1" }, ending.DataInvalid, "no file below /data"},
		"a model that is not there":  {func(c *contract.Tune) { c.Weights.Image.Reference += "9" }, ending.WeightsNotFound, "/private/tiny:hf9"},
	} {
		changed := tuning(t, func(c *contract.Tune) {
			*c = tune
			input, model := *tune.Input.Image, *tune.Weights.Image
			c.Input.Image, c.Weights.Image = &input, &model
			tc.change(c)
		})
		if got := read(t, "check", changed, t.TempDir()); got.code != 2 || got.end.Reason != tc.reason || !strings.Contains(got.end.Message, tc.says) {
			t.Errorf("%s: exit %d, %+v", what, got.code, got.end)
		}
	}
}

func TestAModelOfAHubGivesOnlyWhatTokenizes(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, file := range []string{"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"} {
		raw, err := os.ReadFile(filepath.Join(gate, "tests/model", file))
		if err != nil {
			t.Fatal(err)
		}
		files[file] = string(raw)
	}
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": {Files: files, Large: map[string]string{"model.safetensors": "weights"}}})
	data := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, rows(3)) }))
	t.Cleanup(data.Close)
	dir := t.TempDir()
	tune := tuning(t, func(c *contract.Tune) {
		c.Weights = contract.Weights{Dir: filepath.Join(dir, "model"), Bytes: 1 << 50, Hub: &contract.WeightsHub{Endpoint: h.URL, Repository: "kaito/tiny", Revision: "main"}}
		c.Input = contract.TuneInput{URLs: []string{data.URL + "/a.jsonl"}, AllowCIDRs: []string{"127.0.0.1/32"}}
	})
	got := read(t, "check", tune, dir)
	if got.code != 0 || got.result.Dataset.Rows != 3 {
		t.Fatalf("exit %d: %+v; %s", got.code, got.end, got.log)
	}
	if _, err := os.Stat(filepath.Join(dir, "model", "model.safetensors")); err == nil {
		t.Error("the check has fetched the weights")
	}
}

func TestPrepareTellsItsPhaseWhileItFetches(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	var told contract.Progress
	data := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if resp, err := http.Get("http://" + address + "/progress"); err == nil {
			defer resp.Body.Close()
			json.NewDecoder(resp.Body).Decode(&told)
		}
		io.WriteString(w, rows(3))
	}))
	t.Cleanup(data.Close)
	model, err := filepath.Abs(gate + "/tests/model")
	if err != nil {
		t.Fatal(err)
	}
	tune := tuning(t, func(c *contract.Tune) {
		c.Weights.Dir, c.Model.Fetch = model, false // mounted
		c.Input = contract.TuneInput{URLs: []string{data.URL + "/a.jsonl"}, AllowCIDRs: []string{"127.0.0.1/32"}}
	})
	if got := read(t, "prepare", tune, t.TempDir(), "--listen", address); got.code != 0 {
		t.Fatalf("exit %d: %+v; %s", got.code, got.end, got.log)
	}
	if told.Phase != contract.TunePreparing || told.RunID != tune.RunID {
		t.Errorf("the progress was %+v", told)
	}
}

func TestACheckThatMayPassEndsWithOne(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }))
	t.Cleanup(broken.Close)
	model, err := filepath.Abs(gate + "/tests/model")
	if err != nil {
		t.Fatal(err)
	}
	tune := tuning(t, func(c *contract.Tune) {
		c.Weights.Dir, c.Model.Fetch = model, false
		c.Input = contract.TuneInput{URLs: []string{broken.URL + "/a.jsonl?key=hidden"}, AllowCIDRs: []string{"127.0.0.1/32"}}
	})
	got := read(t, "prepare", tune, t.TempDir(), "--listen", "127.0.0.1:0")
	if got.code != 1 || got.end.Reason != ending.DataUnreachable || !strings.Contains(got.end.Message, "502 Bad Gateway") || strings.Contains(got.end.Message+got.log, "hidden") {
		t.Errorf("exit %d, %+v; %s", got.code, got.end, got.log)
	}
}
