// Package podtemplate looks at a pod template, or a volume of one, that a user has written
// into a field of free form. The API server has not checked it, so what is wrong is told
// here: where, what, and what helps. What it is applied as is made by
// internal/render/podtemplate, so that who only judges does not link that.
package podtemplate

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/json"
	strictjson "sigs.k8s.io/json"
)

// InvalidError says what is wrong with a template, where, and what helps.
type InvalidError struct {
	// Place is the path of a field, such as spec.containers[0].env; empty is the whole.
	Place string
	// Problem and Fix are parts of one sentence.
	Problem, Fix string
}

// Error is the sentence.
func (e *InvalidError) Error() string {
	return strings.TrimSpace(e.Place + " " + e.Problem + ": " + e.Fix)
}

// Check says what is wrong with a template. Errors are of type InvalidError.
func Check(raw []byte) error {
	var template corev1.PodTemplateSpec
	strict, err := strictjson.UnmarshalStrict(raw, &template)
	if err != nil {
		return misplaced(raw, err)
	}
	if len(strict) > 0 {
		return UnknownField(strict)
	}
	if len(template.Spec.Containers) == 0 {
		return &InvalidError{"spec.containers", "is empty", "a pod needs at least one container, with a name and an image"}
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return misplaced(raw, err)
	}
	if place, key := twice(tree, ""); place != "" {
		return &InvalidError{place, "names " + key + " twice", "give each its own name, or leave one out"}
	}
	return nil
}

// UnknownField names the first field that no pod has, of what a strict decoder found, in
// the order of the text.
func UnknownField(strict []error) error {
	place := strict[0].Error()
	if _, quoted, found := strings.Cut(place, `"`); found {
		place = strings.TrimSuffix(quoted, `"`)
	}
	if strings.HasPrefix(strict[0].Error(), "duplicate") {
		return &InvalidError{place, "is there twice", "leave one out"}
	}
	parent := "pod"
	if i := strings.LastIndex(place, "."); i > 0 {
		parent += "." + withoutIndices(place[:i])
	}
	return &InvalidError{place, "is no field of a pod", fmt.Sprintf("correct its name or leave it out; `kubectl explain %s` lists what there is", parent)}
}

// misplaced finds the smallest part of a template that cannot be read: not every
// error of the decoder says where it was.
func misplaced(raw []byte, err error) error {
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return &InvalidError{"", "is not JSON", err.Error()}
	}
	f := smallest(fault{value: tree, err: err}, func(part any) any { return part })
	explain := strings.TrimSuffix("pod."+withoutIndices(f.place), ".")
	fix := "`kubectl explain " + explain + "` says what belongs there"
	var kind *stdjson.UnmarshalTypeError
	if errors.As(f.err, &kind) {
		return &InvalidError{f.place, fmt.Sprintf("is %s where %s belongs", kindOf(f.value), wanted(kind.Type)), fix}
	}
	return &InvalidError{f.place, fmt.Sprintf("cannot be read (%v)", f.err), fix}
}

// fault is a part of a template that cannot be read.
type fault struct {
	place string
	value any
	err   error
}

// smallest goes down to the deepest part that alone gives an error. Around puts a
// part back where it was among its parents.
func smallest(f fault, around func(any) any) fault {
	inside := func(value any, step string, wrap func(any) any) (fault, bool) {
		whole := func(v any) any { return around(wrap(v)) }
		err := alone(whole(value))
		if err == nil {
			return fault{}, false
		}
		return smallest(fault{strings.TrimPrefix(f.place+step, "."), value, err}, whole), true
	}
	switch v := f.value.(type) {
	case map[string]any:
		if alone(around(map[string]any{})) != nil {
			return f // no object belongs here, whatever is in it
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if deeper, found := inside(v[key], "."+key, func(x any) any { return map[string]any{key: x} }); found {
				return deeper
			}
		}
	case []any:
		if alone(around([]any{})) != nil {
			return f
		}
		for i := range v {
			if deeper, found := inside(v[i], fmt.Sprintf("[%d]", i), func(x any) any { return []any{x} }); found {
				return deeper
			}
		}
	}
	return f
}

// alone says why a part that stands alone cannot be read, whether its fields are known or not.
func alone(part any) error {
	data, err := json.Marshal(part)
	if err != nil {
		return err
	}
	var template corev1.PodTemplateSpec
	return strictjson.UnmarshalCaseSensitivePreserveInts(data, &template)
}

// keyedLists are the lists of a pod whose elements the API server tells apart by these fields.
func keyedLists() map[string][]string {
	return map[string][]string{
		"containers": {"name"}, "initContainers": {"name"}, "env": {"name"}, "volumes": {"name"},
		"volumeMounts": {"mountPath"}, "volumeDevices": {"devicePath"}, "ports": {"containerPort", "protocol"},
		"imagePullSecrets": {"name"}, "hostAliases": {"ip"}, "resourceClaims": {"name"},
		"topologySpreadConstraints": {"topologyKey", "whenUnsatisfiable"}, "schedulingGates": {"name"},
	}
}

// twice finds two elements of one list that cannot be told apart, by the order of fields.
func twice(part any, place string) (where, key string) {
	switch v := part.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := strings.TrimPrefix(place+"."+name, ".")
			if list, ok := v[name].([]any); ok {
				if key := repeated(list, keyedLists()[name]); key != "" {
					return at, key
				}
			}
			if where, key := twice(v[name], at); where != "" {
				return where, key
			}
		}
	case []any:
		for i := range v {
			if where, key := twice(v[i], fmt.Sprintf("%s[%d]", place, i)); where != "" {
				return where, key
			}
		}
	}
	return "", ""
}

// repeated is the key of the first element that another one before it has as well.
func repeated(list []any, fields []string) string {
	seen := map[string]bool{}
	for _, element := range list {
		object, ok := element.(map[string]any)
		if !ok || len(fields) == 0 {
			continue
		}
		var parts []string
		for _, f := range fields {
			value := object[f]
			if value == nil && f == "protocol" {
				value = "TCP"
			}
			if value != nil {
				parts = append(parts, fmt.Sprint(value))
			}
		}
		key := fmt.Sprintf("%q", strings.Join(parts, "/"))
		if len(parts) == len(fields) && seen[key] {
			return key
		}
		seen[key] = true
	}
	return ""
}

// withoutIndices is a path as `kubectl explain` takes it.
func withoutIndices(place string) string {
	var out strings.Builder
	inside := false
	for _, r := range place {
		switch {
		case r == '[':
			inside = true
		case r == ']':
			inside = false
		case !inside:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// kindOf says what a user has written.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return "a number"
}

// wanted says what a Go type is in YAML.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number"
}
