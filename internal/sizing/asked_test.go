package sizing_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// asking is a Workspace with annotations, and the ConfigMap with its settings.
func asking(config string, annotations map[string]string) (*v1beta1.Workspace, *corev1.ConfigMap) {
	ws := &v1beta1.Workspace{Inference: &v1beta1.InferenceSpec{Preset: &v1beta1.PresetSpec{}}}
	ws.Annotations = annotations
	if config == "" {
		return ws, nil
	}
	ws.Inference.Config = "settings"
	return ws, &corev1.ConfigMap{Data: map[string]string{v1beta1.ConfigKeyInference: config}}
}

func annotated(context, concurrency string) map[string]string {
	all := map[string]string{}
	if context != "" {
		all[v1beta1.AnnotationContext] = context
	}
	if concurrency != "" {
		all[v1beta1.AnnotationConcurrency] = concurrency
	}
	return all
}

func TestWhatAnnotationsAskFor(t *testing.T) {
	t.Parallel()
	m := model.Model{ID: "m", Context: 131072}
	for name, tc := range map[string]struct {
		config, context, concurrency string
		want                         model.Wishes
	}{
		"nothing":                               {},
		"a context":                             {context: "8192", want: model.Wishes{"vllm": {Context: 8192}, "llamacpp": {Context: 8192}}},
		"room for requests":                     {concurrency: "16", want: model.Wishes{"vllm": {Slots: 16, Held: true}, "llamacpp": {Slots: 16, Held: true}}},
		"both, with blanks":                     {context: " 8192 ", concurrency: "16", want: model.Wishes{"vllm": {Context: 8192, Slots: 16, Held: true}, "llamacpp": {Context: 8192, Slots: 16, Held: true}}},
		"beside another flag":                   {"vllm: {gpu-memory-utilization: 0.5}", "8192", "", model.Wishes{"vllm": {Context: 8192, Utilisation: 0.5}, "llamacpp": {Context: 8192}}},
		"what a flag says as well":              {"vllm: {max-model-len: 8192, max-num-seqs: 4}", "8192", "4", model.Wishes{"vllm": {Context: 8192, Slots: 4, Held: true}, "llamacpp": {Context: 8192, Slots: 4, Held: true}}},
		"a flag that leaves it open":            {"vllm: {max-model-len: auto}", "8192", "", model.Wishes{"vllm": {Context: 8192}, "llamacpp": {Context: 8192}}},
		"llama.cpp's total for all requests":    {"llamacpp: {ctx-size: 8192, parallel: 2}", "4096", "", model.Wishes{"vllm": {Context: 4096}, "llamacpp": {Context: 4096, Slots: 2}}},
		"and with the number of the annotation": {"llamacpp: {ctx-size: 8192}", "4096", "2", model.Wishes{"vllm": {Context: 4096, Slots: 2, Held: true}, "llamacpp": {Context: 4096, Slots: 2, Held: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws, config := asking(tc.config, annotated(tc.context, tc.concurrency))
			settings, _, no := sizing.Settings(ws, config, m)
			if no != nil {
				t.Fatal(no.Condition.Message)
			}
			if diff := cmp.Diff(tc.want, settings.Wishes); diff != "" {
				t.Errorf("wishes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnnotationsThatCannotBeMeantAreRefused(t *testing.T) {
	t.Parallel()
	m := model.Model{ID: "m", Context: 131072}
	const context, concurrency = `Annotation kaito.sh/context is `, `Annotation kaito.sh/concurrency is `
	const tokens, requests = `: say a number of tokens from 1 to 131072, the context of model "m"`, `: say a number of requests from 1 to 16384`
	for name, tc := range map[string]struct{ config, context, concurrency, want string }{
		"a word":                             {"", "long", "", context + `"long"` + tokens},
		"blanks alone":                       {"", " ", "", context + `" "` + tokens},
		"none":                               {"", "0", "", context + `"0"` + tokens},
		"less than none":                     {"", "-1", "", context + `"-1"` + tokens},
		"with a unit":                        {"", "8k", "", context + `"8k"` + tokens},
		"a fraction":                         {"", "1.5", "", context + `"1.5"` + tokens},
		"more than the model takes":          {"", "131073", "", context + `"131073"` + tokens},
		"more than a number holds":           {"", strings.Repeat("9", 40), "", context + `"` + strings.Repeat("9", 40) + `"` + tokens},
		"requests that are a word":           {"", "", "many", concurrency + `"many"` + requests},
		"requests beyond all engines":        {"", "", "16385", concurrency + `"16385"` + requests},
		"a flag that says another context":   {"vllm: {max-model-len: 4096}", "8192", "", context + `"8192", and vllm.max-model-len of inference.config says 4096: leave one of the two out`},
		"a flag that says another number":    {"vllm: {max-num-seqs: 4}", "", "8", concurrency + `"8", and vllm.max-num-seqs of inference.config says 4: leave one of the two out`},
		"llama.cpp's flag says another":      {"llamacpp: {parallel: 4}", "", "8", concurrency + `"8", and llamacpp.parallel of inference.config says 4: leave one of the two out`},
		"llama.cpp's total is not that":      {"llamacpp: {ctx-size: 8192, parallel: 4}", "4096", "", context + `"4096", and llamacpp.ctx-size of inference.config says 8192: leave one of the two out`},
		"llama.cpp's total for none that is": {"llamacpp: {ctx-size: 8192}", "4096", "", context + `"4096", and llamacpp.ctx-size of inference.config says 8192: leave one of the two out`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws, config := asking(tc.config, annotated(tc.context, tc.concurrency))
			_, _, no := sizing.Settings(ws, config, m)
			if no == nil || no.Condition.Message != tc.want || no.Condition.Reason != v1beta1.ReasonInvalidAnnotation || no.Waits {
				t.Errorf("objects with %+v, want %s", no, tc.want)
			}
		})
	}
}

// An empty annotation is what a template without a value leaves: nobody has asked for nothing.
func TestAnEmptyAnnotationIsTold(t *testing.T) {
	t.Parallel()
	ws, _ := asking("", map[string]string{v1beta1.AnnotationContext: ""})
	if _, _, no := sizing.Settings(ws, nil, model.Model{ID: "m", Context: 8}); no == nil {
		t.Error("an empty annotation is taken")
	}
}

func FuzzAnnotations(f *testing.F) {
	f.Add("8192", "16", "vllm: {max-model-len: 4096}")
	f.Add("-1", "9999999999999999999999", "llamacpp: {ctx-size: 1}")
	m := model.Model{ID: "m", Context: 131072}
	f.Fuzz(func(t *testing.T, context, concurrency, text string) {
		ws, config := asking(text, annotated(context, concurrency))
		settings, _, no := sizing.Settings(ws, config, m)
		if no != nil {
			if no.Condition.Message == "" || no.Condition.Reason == "" {
				t.Errorf("refused without a word: %+v", no)
			}
			return
		}
		for engine, wish := range settings.Wishes {
			if context != "" && (wish.Context < 1 || wish.Context > m.Context) || concurrency != "" && wish.Slots < 1 {
				t.Errorf("%s is asked for %+v by %q and %q", engine, wish, context, concurrency)
			}
		}
	})
}
