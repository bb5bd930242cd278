package facts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/hub"
	"kaito.sh/kaito/internal/hub/facts"
	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfacts/factstest"
	"kaito.sh/kaito/internal/modelfiles"
)

// tiny is a Llama of two layers, as publishers leave it: with the same weights for others.
func tiny() hubtest.Repository {
	return hubtest.Repository{
		Files: map[string]string{
			"config.json": factstest.Llama, "README.md": "---\nlicense: apache-2.0\n---\n# tiny\n",
			"original/params.json": "{}", "tokenizer_config.json": `{"chat_template": "{{ messages }}"}`,
		},
		Large: map[string]string{
			"model.safetensors":            factstest.Weights(map[string][]int{"model.embed_tokens.weight": {32, 16}, "lm_head.weight": {32, 16}}),
			"original/consolidated.00.pth": "a pickle", "onnx/model.onnx": "for others",
		},
	}
}

func options(h *hubtest.Hub) facts.Options {
	return facts.Options{
		Endpoints: []facts.Endpoint{{URL: h.URL}}, Repository: "kaito/Tiny_Llama", Agent: "test",
		TokenPlace: "under the key HF_TOKEN into the Secret that presetOptions.modelAccessSecret names",
	}
}

func TestAModelIsReadAtTheCommitOfItsRevision(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny_Llama": tiny()})
	got, err := facts.Read(t.Context(), options(h))
	if err != nil {
		t.Fatal(err)
	}
	size := model.Bytes(len(tiny().Large["model.safetensors"]))
	want := facts.Answer{
		Model: model.Model{
			ID: "tiny-llama", HubID: "kaito/Tiny_Llama", Licence: "Apache-2.0", Redistributable: true,
			Parameters: 1024, Context: 256, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 4, Hidden: 16, MLP: 48, Vocabulary: 32,
			Architectures: []string{"LlamaForCausalLM"},
			Forms: map[model.Form]model.Weights{model.FormHF: {
				Size: size, Hub: &model.Hub{Repository: "kaito/Tiny_Llama", Revision: hubtest.Commit},
			}},
		},
		Commit: hubtest.Commit, Endpoint: h.URL, ETag: got.ETag, ChatTemplate: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestWhyAModelCannotBeReadIsToldByKind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*hubtest.Repository)
		faults map[string][]hubtest.Fault
		token  string
		kind   hub.Kind
		reason modelfiles.Reason
		says   string
	}{
		"a repository for members": {change: func(r *hubtest.Repository) { r.Private = true }, kind: hub.Denied, says: "does not exist, or it is private"},
		"a gated one":              {change: func(r *hubtest.Repository) { r.Gated = true }, token: hubtest.Token, kind: hub.Gated, says: "accept its terms at"},
		"a token that is no good":  {token: "hf_wrong", kind: hub.Denied, says: "does not accept the token"},
		"a hub that asks for time": {faults: map[string][]hubtest.Fault{"revision": {{Status: 429, RetryAfter: "7"}}}, kind: hub.Limited, says: "too often"},
		"a hub in trouble":         {faults: map[string][]hubtest.Fault{"tree": {{Status: 503}}}, kind: hub.Unreachable, says: "503"},
		"a file that is cut twice": {faults: map[string][]hubtest.Fault{"config.json": {{Cut: 3}, {Cut: 3}}}, kind: hub.Unreachable, says: "ended in the middle of config.json"},
		"weights that are pickles": {
			change: func(r *hubtest.Repository) { r.Large = map[string]string{"pytorch_model.bin": "a pickle"} },
			reason: modelfiles.OnlyPickles, says: "can run code",
		},
		"no weights at all": {change: func(r *hubtest.Repository) { r.Large = nil }, reason: modelfiles.NoWeights, says: "has no *.safetensors file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := tiny()
			if tc.change != nil {
				tc.change(&repo)
			}
			h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny_Llama": repo})
			for path, f := range tc.faults {
				h.Fail(path, f...)
			}
			o := options(h)
			o.Endpoints[0].Token = tc.token
			_, err := facts.Read(t.Context(), o)
			var of *hub.Error
			var files *modelfiles.Refusal
			switch {
			case err == nil:
				t.Fatal("it was read")
			case tc.kind != "" && (!errors.As(err, &of) || of.Kind != tc.kind):
				t.Errorf("got %v, want one of kind %s", err, tc.kind)
			case tc.reason != "" && (!errors.As(err, &files) || files.Reason != tc.reason):
				t.Errorf("got %v, want one for %s", err, tc.reason)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
		})
	}
}
