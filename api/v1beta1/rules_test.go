package v1beta1_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Stanzas that are right, to be put together and spoiled.
const (
	ownNodes  = "resource: {labelSelector: {matchLabels: {apps: demo}}}\n"
	inference = "inference: {preset: {name: smollm2-135m-instruct}}\n"
	tuning    = "tuning: {preset: {name: m}, method: lora, input: {urls: [https://host/a.jsonl]}, output: {image: r/a:1}}\n"
)

// adapters is an inference stanza with a list of adapters.
func adapters(list string) string {
	return "inference: {preset: {name: m}, adapters: [" + list + "]}\n"
}

// tunes is a tuning stanza.
func tunes(method, input, output string) string {
	return "tuning: {preset: {name: m}, method: " + method + ", input: {" + input + "}, output: {" + output + "}}\n"
}

func TestWhatIsAccepted(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	const urls, image = "urls: [https://host/a.jsonl]", "image: r/a:1"
	for name, stanzas := range map[string]string{
		"a model on nodes of one's own":          ownNodes + inference,
		"an empty instance type":                 "resource: {instanceType: \"\", labelSelector: {matchLabels: {a: b}}}\n" + inference,
		"an instance type":                       "resource: {instanceType: Standard_NC6s_v3, count: 2, labelSelector: {matchLabels: {a: b}}}\n" + inference,
		"older fields that are not used":         "resource: {count: 0, preferredNodes: [n1], labelSelector: {matchLabels: {a: b}}}\ninference: {preset: {name: m, accessMode: private}}\n",
		"labels by expressions":                  "resource: {labelSelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}\n" + inference,
		"slices of a GPU":                        "resource: {labelSelector: {}, partition: {mode: mig, profile: 1g.10gb}}\n" + inference,
		"some of the GPUs":                       "resource: {labelSelector: {}, partition: {mode: accelerator, count: 1}}\n" + inference,
		"a pod template of one's own":            ownNodes + "inference: {template: {spec: {containers: [{name: c, image: i}]}}}\n",
		"a model image with its secrets":         ownNodes + "inference: {preset: {name: o/n, presetOptions: {image: r/m:1, imagePullSecrets: [s], modelAccessSecret: h}}}\n",
		"adapters from an image and a volume":    ownNodes + adapters("{source: {name: a, image: i}, strength: \"0.5\"}, {source: {name: b.c-d, volumeSource: {emptyDir: {}}}}"),
		"adapters with an empty image and urls":  ownNodes + adapters("{source: {name: a, image: \"\", urls: [], volumeSource: {emptyDir: {}}}, strength: \".5\"}"),
		"strengths of nothing and of all":        ownNodes + adapters("{source: {name: a, image: i}, strength: \"0\"}, {source: {name: b, image: i}, strength: \"1.0\"}"),
		"a tuning from urls":                     ownNodes + tuning,
		"a tuning method in capitals":            ownNodes + tunes("QLoRA", urls, image),
		"a tuning from an image to a volume":     ownNodes + tunes("qlora", "image: r/d:1, urls: []", "volumeSource: {persistentVolumeClaim: {claimName: c}}"),
		"a tuning from a volume, named, over it": ownNodes + tunes("lora", "name: d, volumeSource: {hostPath: {path: /data}}", "image: r/a:1, imagePushSecret: s"),
	} {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				dry := strict()
				dry.DryRun = []string{metav1.DryRunAll}
				if err := api.Client(t).Create(t.Context(), workspace(t, version, namespace, "demo", stanzas), dry); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	const urls, image = "urls: [https://host/a.jsonl]", "image: r/a:1"
	partition := func(p string) string {
		return "resource: {labelSelector: {}, partition: {" + p + "}}\n" + inference
	}
	const onePartition = "mode mig takes a profile, mode accelerator takes a count"
	const oneInput = "set exactly one of tuning.input.urls, tuning.input.image and tuning.input.volumeSource"
	const oneOutput = "set exactly one of tuning.output.image and tuning.output.volumeSource"
	const oneSource = "an adapter comes from exactly one of image and volumeSource"
	const adapterName = "an adapter needs a name of lower-case letters, digits, '-' and '.'"
	for name, tc := range map[string]struct{ stanzas, want string }{
		"neither inference nor tuning":           {ownNodes, "set exactly one of inference and tuning"},
		"both inference and tuning":              {ownNodes + inference + tuning, "set exactly one of inference and tuning"},
		"no resource":                            {inference, "resource: Required value"},
		"no label selector":                      {"resource: {instanceType: t}\n" + inference, "resource.labelSelector: Required value"},
		"a count below zero":                     {"resource: {labelSelector: {}, count: -1}\n" + inference, "should be greater than or equal to 0"},
		"an instance type of 254 characters":     {"resource: {labelSelector: {}, instanceType: " + strings.Repeat("t", 254) + "}\n" + inference, "may not be more than 253"},
		"more than 256 preferred nodes":          {"resource: {labelSelector: {}, preferredNodes: [" + strings.Repeat("n,", 257) + "]}\n" + inference, "must have at most 256 items"},
		"a preferred node of 254 characters":     {"resource: {labelSelector: {}, preferredNodes: [" + strings.Repeat("n", 254) + "]}\n" + inference, "may not be more than 253"},
		"a partition of an unknown mode":         {partition("mode: slices, count: 1"), `supported values: "mig", "accelerator"`},
		"a partition without a mode":             {partition("count: 1"), "resource.partition.mode: Required value"},
		"slices without a profile":               {partition("mode: mig"), onePartition},
		"slices with a count":                    {partition("mode: mig, profile: p, count: 1"), onePartition},
		"slices with an empty profile":           {partition("mode: mig, profile: \"\""), "should be at least 1 chars long"},
		"slices with a profile of 64 characters": {partition("mode: mig, profile: " + strings.Repeat("p", 64)), "may not be more than 63"},
		"GPUs without a count":                   {partition("mode: accelerator"), onePartition},
		"GPUs with a profile":                    {partition("mode: accelerator, profile: p, count: 1"), onePartition},
		"no GPUs":                                {partition("mode: accelerator, count: 0"), "should be greater than or equal to 1"},
		"neither preset nor template":            {ownNodes + "inference: {}\n", "set exactly one of inference.preset and inference.template"},
		"both preset and template":               {ownNodes + "inference: {preset: {name: m}, template: {spec: {}}}\n", "set exactly one of inference.preset and inference.template"},
		"a preset without a name":                {ownNodes + "inference: {preset: {}}\n", "inference.preset.name: Required value"},
		"a preset with an empty name":            {ownNodes + "inference: {preset: {name: \"\"}}\n", "should be at least 1 chars long"},
		"an unknown access mode":                 {ownNodes + "inference: {preset: {name: m, accessMode: secret}}\n", `supported values: "public", "private"`},
		"one pull secret twice":                  {ownNodes + "inference: {preset: {name: m, presetOptions: {imagePullSecrets: [s, s]}}}\n", "Duplicate value"},
		"a field that nobody knows":              {ownNodes + "inference: {preset: {name: m, size: large}}\n", `unknown field "inference.preset.size"`},
		"two adapters of one name":               {ownNodes + adapters("{source: {name: a, image: i}}, {source: {name: a, image: j}}"), "each adapter needs a name of its own"},
		"eleven adapters":                        {ownNodes + adapters(strings.Repeat("{source: {name: a, image: i}},", 11)), "must have at most 10 items"},
		"an adapter without a source":            {ownNodes + adapters("{strength: \"1\"}"), "source: Required value"},
		"an adapter without a name":              {ownNodes + adapters("{source: {image: i}}"), adapterName},
		"an adapter with a name in capitals":     {ownNodes + adapters("{source: {name: A, image: i}}"), adapterName},
		"an adapter from nowhere":                {ownNodes + adapters("{source: {name: a}}"), oneSource},
		"an adapter from an empty image":         {ownNodes + adapters("{source: {name: a, image: \"\"}}"), oneSource},
		"an adapter from image and volume":       {ownNodes + adapters("{source: {name: a, image: i, volumeSource: {emptyDir: {}}}}"), oneSource},
		"an adapter from urls":                   {ownNodes + adapters("{source: {name: a, image: i, urls: [https://h/a]}}"), "an adapter comes from an image or a volume, not from urls"},
		"a strength above 1":                     {ownNodes + adapters("{source: {name: a, image: i}, strength: \"1.5\"}"), "strength in body should match"},
		"a strength that is no number":           {ownNodes + adapters("{source: {name: a, image: i}, strength: half}"), "strength in body should match"},
		"an unknown method":                      {ownNodes + tunes("full", urls, image), "tuning.method in body should match"},
		"a tuning without input":                 {ownNodes + "tuning: {preset: {name: m}, method: lora, output: {image: i}}\n", "tuning.input: Required value"},
		"a tuning without output":                {ownNodes + "tuning: {preset: {name: m}, method: lora, input: {image: i}}\n", "tuning.output: Required value"},
		"a tuning without preset":                {ownNodes + "tuning: {method: lora, input: {image: i}, output: {image: i}}\n", "tuning.preset: Required value"},
		"a tuning without method":                {ownNodes + "tuning: {preset: {name: m}, input: {image: i}, output: {image: i}}\n", "tuning.method: Required value"},
		"a tuning from nothing":                  {ownNodes + tunes("lora", "", image), oneInput},
		"a tuning from empty values":             {ownNodes + tunes("lora", "urls: [], image: \"\"", image), oneInput},
		"a tuning from two things":               {ownNodes + tunes("lora", urls+", image: i", image), oneInput},
		"a tuning from all three":                {ownNodes + tunes("lora", urls+", image: i, volumeSource: {emptyDir: {}}", image), oneInput},
		"a data set by ftp":                      {ownNodes + tunes("lora", "urls: [ftp://h/a]", image), "tuning.input.urls begin with http:// or https://"},
		"a data set without a host":              {ownNodes + tunes("lora", "urls: ['https:///a']", image), "tuning.input.urls begin with http:// or https://"},
		"an empty url":                           {ownNodes + tunes("lora", "urls: ['']", image), "should be at least 1 chars long"},
		"a tuning to nothing":                    {ownNodes + tunes("lora", urls, ""), oneOutput},
		"a tuning to image and volume":           {ownNodes + tunes("lora", urls, "image: i, volumeSource: {emptyDir: {}}"), oneOutput},
	} {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				refused(t, version, namespace, "demo", tc.stanzas, tc.want)
			})
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	const long, label = "has at most 52 characters", "is a DNS-1035 label"
	for name, want := range map[string]string{
		"a": "", "a-1": "", strings.Repeat("a", 52): "",
		strings.Repeat("a", 53): long, "1a": label, "a.b": label, "a-": "Invalid value", "A": "Invalid value",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if want != "" {
				refused(t, "v1beta1", namespace, name, ownNodes+inference, want)
				return
			}
			if err := api.Client(t).Create(t.Context(), workspace(t, "v1beta1", namespace, name, ownNodes+inference)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	resource := func(fields string) string { return "resource: {" + fields + "}\n" + inference }
	const none = "labelSelector: {matchLabels: {a: b}}"
	const fixedPartition, fixedExistence = "partition cannot change", "partition cannot be added or removed"
	for name, tc := range map[string]struct{ from, to, want string }{
		"another model is served":                 {ownNodes + inference, ownNodes + "inference: {preset: {name: other}}\n", ""},
		"an instance type is given later":         {resource(none), resource(none + ", instanceType: t"), ""},
		"an empty instance type is given later":   {resource(none + ", instanceType: \"\""), resource(none + ", instanceType: t"), ""},
		"an empty instance type is taken away":    {resource(none + ", instanceType: \"\""), resource(none), ""},
		"an instance type changes":                {resource(none + ", instanceType: t"), resource(none + ", instanceType: u"), "instanceType cannot change once it is set"},
		"an instance type is taken away":          {resource(none + ", instanceType: t"), resource(none), "instanceType cannot change once it is set"},
		"an instance type is emptied":             {resource(none + ", instanceType: t"), resource(none + ", instanceType: \"\""), "instanceType cannot change once it is set"},
		"the labels of the nodes change":          {resource(none), resource("labelSelector: {matchLabels: {a: c}}"), "labelSelector cannot change"},
		"the labels of the nodes are taken away":  {resource(none), resource("labelSelector: {}"), "labelSelector cannot change"},
		"the count changes":                       {resource(none + ", count: 1"), resource(none + ", count: 2"), ""},
		"a partition changes":                     {resource(none + ", partition: {mode: mig, profile: a}"), resource(none + ", partition: {mode: mig, profile: b}"), fixedPartition},
		"a partition is added":                    {resource(none), resource(none + ", partition: {mode: mig, profile: b}"), fixedExistence},
		"a partition is removed":                  {resource(none + ", partition: {mode: mig, profile: b}"), resource(none), fixedExistence},
		"a preset becomes a template":             {ownNodes + inference, ownNodes + "inference: {template: {spec: {}}}\n", "inference cannot change between preset and template"},
		"a template becomes a preset":             {ownNodes + "inference: {template: {spec: {}}}\n", ownNodes + inference, "inference cannot change between preset and template"},
		"a template changes":                      {ownNodes + "inference: {template: {spec: {}}}\n", ownNodes + "inference: {template: {spec: {hostNetwork: true}}}\n", ""},
		"inference becomes tuning":                {ownNodes + inference, ownNodes + tuning, "cannot change between inference and tuning"},
		"tuning becomes inference":                {ownNodes + tuning, ownNodes + inference, "cannot change between inference and tuning"},
		"another model is tuned":                  {ownNodes + tuning, ownNodes + strings.Replace(tuning, "name: m", "name: other", 1), "tuning.preset cannot change"},
		"the method changes":                      {ownNodes + tuning, ownNodes + strings.Replace(tuning, "lora", "qlora", 1), "tuning.method cannot change"},
		"a further run is made from another file": {ownNodes + tuning, ownNodes + strings.Replace(tuning, "a.jsonl", "b.jsonl", 1), ""},
	} {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				c, namespace := api.Client(t), api.Namespace(t)
				before := workspace(t, version, namespace, "demo", tc.from)
				if err := c.Create(t.Context(), before, strict()); err != nil {
					t.Fatal(err)
				}
				after := workspace(t, version, namespace, "demo", tc.to)
				after.SetResourceVersion(before.GetResourceVersion())
				says(t, c.Update(t.Context(), after, client.DryRunAll), tc.want)
			})
		}
	}
}

func refused(t *testing.T, version, namespace, name, stanzas, want string) {
	t.Helper()
	says(t, api.Client(t).Create(t.Context(), workspace(t, version, namespace, name, stanzas), strict()), want)
}

// says wants an answer of the server with these words, or none.
func says(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("got %v, want an answer that says %q", err, want)
	}
}
