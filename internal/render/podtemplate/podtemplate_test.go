package podtemplate_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/internal/podtemplate"
	render "kaito.sh/kaito/internal/render/podtemplate"
)

const goodTemplate = `spec: {containers: [{name: server, image: "registry.example/server:1"}]}`

func TestATemplateThatCannotBeAPodIsRefusedWithPlaceAndFix(t *testing.T) {
	t.Parallel()
	const explain = ": `kubectl explain pod.%s` says what belongs there"
	for name, tc := range map[string]struct{ template, want string }{
		"no containers": {`spec: {containers: []}`, "spec.containers is empty: a pod needs at least one container, with a name and an image"},
		"no spec":       {`metadata: {labels: {a: b}}`, "spec.containers is empty: a pod needs at least one container, with a name and an image"},
		"a list":        {`[]`, "is a list where an object belongs: `kubectl explain pod` says what belongs there"},
		"nothing":       {`{}`, "spec.containers is empty: a pod needs at least one container, with a name and an image"},
		"null":          {`null`, "spec.containers is empty: a pod needs at least one container, with a name and an image"},
		"an unknown field": {
			`spec: {containers: [{name: a, image: i, imag: j}]}`,
			"spec.containers[0].imag is no field of a pod: correct its name or leave it out; `kubectl explain pod.spec.containers` lists what there is",
		},
		"an unknown field at the top":    {`template: {}`, "template is no field of a pod: correct its name or leave it out; `kubectl explain pod` lists what there is"},
		"text where a list belongs":      {`spec: {containers: server}`, "spec.containers is text where a list belongs" + strings.ReplaceAll(explain, "%s", "spec.containers")},
		"a number where text belongs":    {`spec: {containers: [{name: 1, image: i}]}`, "spec.containers[0].name is a number where text belongs" + strings.ReplaceAll(explain, "%s", "spec.containers.name")},
		"text where a number belongs":    {`spec: {terminationGracePeriodSeconds: "30"}`, "spec.terminationGracePeriodSeconds is text where a whole number belongs" + strings.ReplaceAll(explain, "%s", "spec.terminationGracePeriodSeconds")},
		"a list where an object belongs": {`spec: {nodeSelector: [a]}`, "spec.nodeSelector is a list where an object belongs" + strings.ReplaceAll(explain, "%s", "spec.nodeSelector")},
		"yes where a truth belongs":      {`spec: {hostNetwork: "yes"}`, "spec.hostNetwork is text where true or false belongs" + strings.ReplaceAll(explain, "%s", "spec.hostNetwork")},
		"a number where text belongs, in the second element": {
			`spec: {containers: [{name: a, image: i}, {name: b, image: i, env: [{name: A, value: 1}]}]}`,
			"spec.containers[1].env[0].value is a number where text belongs" + strings.ReplaceAll(explain, "%s", "spec.containers.env.value"),
		},
		"an amount that is none": {
			`spec: {containers: [{name: a, image: i, resources: {limits: {cpu: lots}}}]}`,
			"spec.containers[0].resources.limits.cpu cannot be read (quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$')" +
				strings.ReplaceAll(explain, "%s", "spec.containers.resources.limits.cpu"),
		},
		"two containers of one name": {
			`spec: {containers: [{name: a, image: i}, {name: a, image: j}]}`,
			`spec.containers names "a" twice: give each its own name, or leave one out`,
		},
		"a variable twice": {
			`spec: {containers: [{name: a, image: i, env: [{name: A, value: b}, {name: A, value: c}]}]}`,
			`spec.containers[0].env names "A" twice: give each its own name, or leave one out`,
		},
		"a port twice, said and unsaid": {
			`spec: {containers: [{name: a, image: i, ports: [{containerPort: 80}, {containerPort: 80, protocol: TCP}]}]}`,
			`spec.containers[0].ports names "80/TCP" twice: give each its own name, or leave one out`,
		},
		"nothing is wrong": {goodTemplate, ""},
		"two mounts of one volume": {
			`spec: {containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /b}]}], volumes: [{name: v, emptyDir: {}}]}`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := yaml.YAMLToJSON([]byte(tc.template))
			if err != nil {
				t.Fatal(err)
			}
			var got string
			if _, err := render.Parse(raw); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever stands in the field, the answer is a template or a sentence with a place.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{goodTemplate, `spec: {containers: [{name: 1}]}`, `spec: {containers: [{resources: {limits: {cpu: x}}}]}`, `[]`, `1`, `a`} {
		raw, err := yaml.YAMLToJSON([]byte(seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		template, err := render.Parse(raw)
		var wrong *podtemplate.InvalidError
		switch {
		case err == nil && (template.Spec == nil || len(template.Spec.Containers) == 0):
			t.Error("a template without containers is taken")
		case err != nil && (!errors.As(err, &wrong) || wrong.Problem == "" || wrong.Fix == ""):
			t.Errorf("%v says no place, problem and fix", err)
		case err != nil && json.Valid(raw) && strings.Contains(err.Error(), "is not JSON"):
			t.Errorf("%s is JSON: %v", raw, err)
		}
	})
}
