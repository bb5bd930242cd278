package facts_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/gguf/gguftest"
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
		"no weights at all": {change: func(r *hubtest.Repository) { r.Large = nil }, reason: modelfiles.NoWeights, says: "has no weights, which are *.safetensors files"},
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

// A resolver asks again and again: one short request says that nothing changed.
func TestWhatIsKnownCostsOneRequest(t *testing.T) {
	t.Parallel()
	repos := map[string]hubtest.Repository{"kaito/Tiny_Llama": tiny()}
	h := hubtest.Start(t, repos)
	first, err := facts.Read(t.Context(), options(h))
	if err != nil {
		t.Fatal(err)
	}
	before := len(h.Asked())
	again := options(h)
	again.Known = &first
	got, err := facts.Read(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got); diff != "" || len(h.Asked())-before != 1 {
		t.Errorf("%d requests, answer (-want +got):\n%s", len(h.Asked())-before, diff)
	}
	moved := tiny()
	moved.At, moved.Files["config.json"] = strings.Repeat("ab", 20), strings.Replace(factstest.Llama, `"max_position_embeddings": 256`, `"max_position_embeddings": 512`, 1)
	h.Set("kaito/Tiny_Llama", moved)
	now, err := facts.Read(t.Context(), again)
	if err != nil || now.Commit != moved.At || now.Model.Context != 512 {
		t.Errorf("after a change: commit %s, context %d, %v", now.Commit, now.Model.Context, err)
	}
}

// Mirrors are asked in order, each with its own token.
func TestMirrorsAreAskedInOrder(t *testing.T) {
	t.Parallel()
	whole := map[string]hubtest.Repository{"kaito/Tiny_Llama": tiny()}
	private := tiny()
	private.Private = true
	for name, tc := range map[string]struct {
		first  map[string]hubtest.Repository
		faults []hubtest.Fault
		want   hub.Kind
	}{
		"where the first has it":        {first: whole, want: "first"},
		"where the first lacks it":      {first: map[string]hubtest.Repository{}},
		"where the first is overloaded": {first: whole, faults: []hubtest.Fault{{Status: 429}}},
		"where the first is in trouble": {first: whole, faults: []hubtest.Fault{{Status: 500}}},
		"where the first is no hub":     {first: whole, faults: []hubtest.Fault{{Status: 418}}},
		"where the first breaks off":    {first: whole, faults: []hubtest.Fault{{Abort: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := hubtest.Start(t, tc.first), hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny_Llama": private})
			near.Fail("revision", tc.faults...)
			o := options(near)
			// A stranger does not learn what a mirror lacks: a mirror of one's own says it.
			o.Endpoints = []facts.Endpoint{{URL: near.URL, Token: hubtest.Token}, {URL: far.URL, Token: hubtest.Token}}
			got, err := facts.Read(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			want := far.URL
			if tc.want == "first" {
				want = near.URL
			}
			if got.Endpoint != want || got.Commit != hubtest.Commit {
				t.Errorf("%s answered, want %s", got.Endpoint, want)
			}
		})
	}
}

// A hub that hangs costs its time and no more.
func TestAHubThatHangsIsLeft(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"revision", "tree", "config.json", "model.safetensors"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny_Llama": tiny()})
			h.Fail(what, hubtest.Fault{Hang: true})
			o := options(h)
			o.Timeout = 200 * time.Millisecond
			_, err := facts.Read(t.Context(), o)
			var of *hub.Error
			if !errors.As(err, &of) || of.Kind != hub.Unreachable || !strings.Contains(err.Error(), "took longer than 200ms") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestACallerThatGoesIsFollowed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny_Llama": tiny()})
	h.Fail("tree", hubtest.Fault{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := facts.Read(ctx, options(h))
		ended <- err
	}()
	for len(h.Asked()) < 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestPicklesThatAreAllowedAreFetchedByName(t *testing.T) {
	t.Parallel()
	repo := tiny()
	repo.Large = map[string]string{"pytorch_model.bin": "a pickle", "training_args.bin": "another"}
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny_Llama": repo})
	o := options(h)
	o.AllowPickles = true
	got, err := facts.Read(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := got.Model.Forms[model.FormHF]
	if diff := cmp.Diff([]string{"config.json", "tokenizer_config.json", "pytorch_model.bin"}, w.Hub.Files); diff != "" || w.Size != 8 {
		t.Errorf("%d bytes of files (-want +got):\n%s", w.Size, diff)
	}
}

func TestAGGUFOfAHub(t *testing.T) {
	t.Parallel()
	raw := string(gguftest.Llama(1))
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny_Llama-GGUF": {
		Files: map[string]string{"README.md": "---\nlicense: mit\n---\n"},
		Large: map[string]string{"tiny-F32.gguf": raw, "tiny-other.gguf": raw, "mmproj-tiny.gguf": "images"},
	}})
	o := options(h)
	o.Repository, o.File = "kaito/Tiny_Llama-GGUF", "tiny-F32.gguf"
	got, err := facts.Read(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := map[model.Form]model.Weights{model.FormGGUF: {
		Size: model.Bytes(len(raw)), File: "tiny-F32.gguf",
		Hub: &model.Hub{Repository: o.Repository, Revision: hubtest.Commit, Files: []string{"tiny-F32.gguf"}},
	}}
	if diff := cmp.Diff(want, got.Model.Forms); diff != "" || got.Model.Context != 512 || got.Model.ID != "tiny-llama-gguf" {
		t.Errorf("%s with a context of %d, forms (-want +got):\n%s", got.Model.ID, got.Model.Context, diff)
	}
	for _, a := range h.Asked() {
		if a.Store && !strings.HasPrefix(a.Range, "bytes=0-") {
			t.Errorf("asked for %q of %s", a.Range, a.Path)
		}
	}
}
