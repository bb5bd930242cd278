package adapters_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/adaptertest"
	"kaito.sh/kaito/internal/runner/adapters"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

// told is a contract for the base of adaptertest's fixtures: two layers of width 16.
func told(engine string, all ...contract.Adapter) contract.Serve {
	return contract.Serve{
		APIVersion: contract.Version, Workspace: "ws", Model: contract.Model{ID: "smollm2-135m-instruct", Context: 10},
		Engine: contract.Engine{Name: engine},
		AdapterBase: &contract.AdapterBase{
			HubID: adaptertest.Base, Architecture: "LlamaForCausalLM", Layers: 2, Heads: 2, KVHeads: 2, HeadDim: 8, Hidden: 16, MLP: 24, MaxRank: 8,
		},
		Adapters: all,
	}
}

// place holds what bring reads and writes.
type place struct{ volumes, dir string }

func bring(t *testing.T, p place, serve contract.Serve) *ending.Ending {
	t.Helper()
	err := adapters.Bring(t.Context(), adapters.Options{
		Serve: serve, Dir: p.dir, Volumes: p.volumes, Log: slog.New(slog.DiscardHandler),
		Sleep: func(context.Context, time.Duration) error { return nil },
	})
	if err == nil {
		return nil
	}
	var end *ending.Ending
	if !errors.As(err, &end) {
		t.Fatalf("%v is no ending", err)
	}
	return end
}

func folders(t *testing.T) place {
	t.Helper()
	return place{t.TempDir(), filepath.Join(t.TempDir(), "adapters")}
}

// files are all files below a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rest, _ := filepath.Rel(dir, name)
			all = append(all, rest)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestEachEngineGetsTheFormThatItLoads(t *testing.T) {
	t.Parallel()
	for engine, want := range map[string][]string{
		"llamacpp": {"plain.gguf", "weak.gguf"},
		"vllm": {
			"plain/adapter_config.json", "plain/adapter_model.safetensors", "weak/adapter_config.json", "weak/adapter_model.safetensors",
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			p := folders(t)
			for _, name := range []string{"plain", "weak"} {
				adaptertest.Write(t, filepath.Join(p.volumes, name), adaptertest.Config(4), adaptertest.Tensors(2, 16, 4))
			}
			serve := told(engine, contract.Adapter{Name: "plain"}, contract.Adapter{Name: "weak", Strength: "0.25"})
			for range 2 { // as after a restart of the node
				if end := bring(t, p, serve); end != nil {
					t.Fatal(end)
				}
				if diff := cmp.Diff(want, files(t, p.dir)); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
			}
			if engine == "vllm" {
				alphas(t, p, map[string]float64{"plain": 8, "weak": 2})
			}
		})
	}
}

// alphas compares what vLLM divides by the rank; all else must be as it was written.
func alphas(t *testing.T, p place, want map[string]float64) {
	t.Helper()
	for name, alpha := range want {
		given, got := settings(t, filepath.Join(p.volumes, name)), settings(t, filepath.Join(p.dir, name))
		given["lora_alpha"] = alpha
		if diff := cmp.Diff(given, got); diff != "" {
			t.Errorf("configuration of %s (-want +got):\n%s", name, diff)
		}
		if _, err := adapter.Check(filepath.Join(p.dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func settings(t *testing.T, dir string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "adapter_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnAdapterThatDoesNotFitIsNamedWithTheReason(t *testing.T) {
	t.Parallel()
	set := func(key string, value any) func(map[string]any, map[string]adaptertest.Tensor) {
		return func(config map[string]any, _ map[string]adaptertest.Tensor) { config[key] = value }
	}
	bias := func(config map[string]any, tensors map[string]adaptertest.Tensor) {
		config["bias"] = "lora_only"
		tensors["base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias"] = adaptertest.Tensor{Dtype: "F32", Shape: []int{16}}
	}
	for name, tc := range map[string]struct {
		change  func(map[string]any, map[string]adaptertest.Tensor)
		engines []string
		want    string
	}{
		"another base":            {set("base_model_name_or_path", "meta-llama/Llama-3.2-1B"), []string{"llamacpp", "vllm"}, `tuned on "meta-llama/Llama-3.2-1B", and this Workspace serves "HuggingFaceTB/SmolLM2-135M-Instruct"`},
		"a base by a longer name": {set("base_model_name_or_path", "HuggingFaceTB/SmolLM2-135M"), []string{"llamacpp", "vllm"}, "it was tuned on"},
		"a changed base":          {set("init_lora_weights", "pissa_niter_4"), []string{"llamacpp", "vllm"}, `init_lora_weights is "pissa_niter_4"`},
		"DoRA":                    {set("use_dora", true), []string{"llamacpp", "vllm"}, "use_dora is true"},
		"a bias":                  {bias, []string{"llamacpp", "vllm"}, "whole weights beside the low-rank ones"},
		"patterns":                {set("alpha_pattern", map[string]any{"q_proj": 2}), []string{"vllm"}, "rank_pattern or alpha_pattern"},
		"an alpha of nothing":     {set("lora_alpha", 0), []string{"llamacpp", "vllm"}, "lora_alpha is 0"},
		"half an adapter": {func(_ map[string]any, tensors map[string]adaptertest.Tensor) {
			delete(tensors, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight")
		}, []string{"llamacpp", "vllm"}, "holds only one half of the weights"},
	} {
		for _, engine := range tc.engines {
			t.Run(name+" for "+engine, func(t *testing.T) {
				t.Parallel()
				p, config, tensors := folders(t), adaptertest.Config(4), adaptertest.Tensors(2, 16, 4)
				tc.change(config, tensors)
				adaptertest.Write(t, filepath.Join(p.volumes, "mine"), config, tensors)
				end := bring(t, p, told(engine, contract.Adapter{Name: "mine"}))
				if end == nil || end.Reason != ending.AdapterUnusable || end.Code() != 2 || end.Phase != "adapters" ||
					!strings.HasPrefix(end.Message, `adapter "mine" from its volume: `) || !strings.Contains(end.Message, tc.want) {
					t.Errorf("got %v, want that it is unusable: %s", end, tc.want)
				}
				if left := files(t, p.dir); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

func TestNamesOfTheSameBase(t *testing.T) {
	t.Parallel()
	for named, fits := range map[string]bool{
		"":                                    true,
		"HuggingFaceTB/SmolLM2-135M-Instruct": true,
		"unsloth/smollm2-135m-instruct-unsloth-bnb-4bit": true,
		"/workspace/weights":                             true,
		"./SmolLM2-360M":                                 true,
		"SmolLM2-360M":                                   true,
		"some/where/else":                                true,
		"HuggingFaceTB/SmolLM2-360M":                     false,
		"HuggingFaceTB/SmolLM2-135M-Instruct-v2":         false,
	} {
		p, config := folders(t), adaptertest.Config(4)
		config["base_model_name_or_path"] = named
		adaptertest.Write(t, filepath.Join(p.volumes, "mine"), config, adaptertest.Tensors(2, 16, 4))
		if end := bring(t, p, told("vllm", contract.Adapter{Name: "mine"})); (end == nil) != fits {
			t.Errorf("%q: %v, want fits %v", named, end, fits)
		}
	}
}

func TestARankThatNothingIsReservedForIsRefusedWithWhatHelps(t *testing.T) {
	t.Parallel()
	for engine, want := range map[string]string{
		"vllm":     "rank 16, and the engine is started for ranks up to 8: set vllm.max-lora-rank in inference.config",
		"llamacpp": "rank 16, and memory is reserved for ranks up to 8: train it with a smaller rank",
	} {
		p := folders(t)
		adaptertest.Write(t, filepath.Join(p.volumes, "mine"), adaptertest.Config(16), adaptertest.Tensors(2, 16, 16))
		if end := bring(t, p, told(engine, contract.Adapter{Name: "mine"})); end == nil || !strings.Contains(end.Message, want) {
			t.Errorf("%s: got %v, want %q", engine, end, want)
		}
	}
}

func TestFilesOfSomebodyElse(t *testing.T) {
	t.Parallel()
	p := folders(t)
	if end := bring(t, p, told("vllm", contract.Adapter{Name: "mine"})); end == nil || end.Reason != ending.AdapterUnusable || !strings.Contains(end.Message, "there is no folder") {
		t.Errorf("got %v", end)
	}
	if os.Getuid() == 0 {
		return // root may read everything
	}
	adaptertest.Write(t, filepath.Join(p.volumes, "mine"), adaptertest.Config(4), adaptertest.Tensors(2, 16, 4))
	if err := os.Chmod(filepath.Join(p.volumes, "mine", "adapter_config.json"), 0); err != nil {
		t.Fatal(err)
	}
	if end := bring(t, p, told("vllm", contract.Adapter{Name: "mine"})); end == nil || end.Reason != ending.AdapterUnusable || !strings.Contains(end.Message, "user 2000") {
		t.Errorf("got %v", end)
	}
}

// push puts the adapter of a folder into a registry that wants a password, and returns its reference.
func push(t *testing.T, dir string) string {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, file := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err == nil {
			err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "data/" + file, Mode: 0o644, Size: int64(len(raw))})
		}
		if err == nil {
			_, err = w.Write(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(layer.Bytes(), types.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); !open && (user != "me" || password != "secret") {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/team/mine:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	open = false
	return ref.Name() + "@" + digest.String()
}

func TestAdaptersFromAPrivateRegistry(t *testing.T) {
	t.Parallel()
	ref := push(t, adaptertest.Sound(t))
	host, _, _ := strings.Cut(ref, "/")
	secret := filepath.Join(t.TempDir(), ".dockerconfigjson")
	if err := os.WriteFile(secret, []byte(`{"auths":{"`+host+`":{"username":"me","password":"secret"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		image  contract.WeightsImage
		reason ending.Reason
		says   string
	}{
		"by tag and digest, with the secret": {image: contract.WeightsImage{Reference: ref, Credentials: []string{"/absent", secret}}},
		"without the secret":                 {contract.WeightsImage{Reference: ref}, ending.AdapterUnusable, "name a Secret for " + host},
		"an image that is not there":         {contract.WeightsImage{Reference: host + "/team/other:1", Credentials: []string{secret}}, ending.AdapterUnusable, "the registry has no image"},
		"a registry that does not answer":    {contract.WeightsImage{Reference: "127.0.0.1:1/team/mine:1"}, ending.AdapterUnreachable, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := folders(t)
			tc.image.PlainHTTP = true
			end := bring(t, p, told("llamacpp", contract.Adapter{Name: "mine", Image: &tc.image}))
			if tc.reason == "" {
				if end != nil {
					t.Fatal(end)
				}
				if diff := cmp.Diff([]string{"mine.gguf"}, files(t, p.dir)); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
				return
			}
			codes := map[ending.Reason]int{ending.AdapterUnusable: 2, ending.AdapterUnreachable: 1}
			if end == nil || end.Reason != tc.reason || end.Code() != codes[tc.reason] || !strings.Contains(end.Message, tc.says) || strings.Contains(end.Message, "secret\"") {
				t.Errorf("got %v, want %s: %s", end, tc.reason, tc.says)
			}
		})
	}
}
