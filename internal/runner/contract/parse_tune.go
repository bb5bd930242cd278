package contract

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/json"
)

// The words of Tune.Method.
const (
	// MethodLoRA trains an adapter beside the weights as they are.
	MethodLoRA = "lora"
	// MethodQLoRA trains an adapter beside weights in four bits.
	MethodQLoRA = "qlora"
)

// maxRunID keeps a run's id short enough for a tag and a folder.
const maxRunID = 40

// ParseTune reads what a container of a check or of a tuning pod is told, as strictly
// as Parse.
func ParseTune(data []byte) (Tune, error) {
	var t Tune
	strict, err := json.UnmarshalStrict(data, &t)
	if err != nil {
		return Tune{}, &InvalidError{Problems: []string{syntax(err)}}
	}
	problems := make([]string, 0, len(strict))
	for _, e := range strict {
		problems = append(problems, e.Error())
	}
	problems = append(problems, missing(reflect.ValueOf(t), "")...)
	problems = append(problems, wrongTune(t)...)
	if len(problems) > 0 {
		return Tune{}, &InvalidError{Problems: problems}
	}
	return t, nil
}

// wrongTune names the values that are there and cannot be meant.
func wrongTune(t Tune) []string {
	var out []string
	if t.APIVersion != "" && t.APIVersion != Version {
		out = append(out, fmt.Sprintf("apiVersion is %q, this runner understands %q", t.APIVersion, Version))
	}
	if t.RunID != "" && !validRunID(t.RunID) {
		out = append(out, fmt.Sprintf("runID %q is not made of at most %d lower-case letters, digits and dashes", t.RunID, maxRunID))
	}
	if t.Method != "" && t.Method != MethodLoRA && t.Method != MethodQLoRA {
		out = append(out, fmt.Sprintf("method is %q, want %s or %s", t.Method, MethodLoRA, MethodQLoRA))
	}
	numbers := map[string]int64{
		"attempt":         int64(t.Attempt),
		"model.context":   int64(t.Model.Context),
		"model.maxLength": int64(t.Model.MaxLength),
		"threads":         int64(t.Threads),
		"weights.bytes":   t.Weights.Bytes,
	}
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		if n := numbers[name]; n < 0 {
			out = append(out, fmt.Sprintf("%s is %d, below zero", name, n))
		}
	}
	if t.Model.MaxLength > t.Model.Context {
		out = append(out, fmt.Sprintf("model.maxLength is %d, more than the context of %d", t.Model.MaxLength, t.Model.Context))
	}
	out = append(out, wrongWeights(&t.Weights)...)
	out = append(out, wrongInput(t.Input)...)
	if (t.Output.Image == "") != t.Output.Volume {
		out = append(out, "output has not exactly one of image and volume")
	}
	return out
}

// wrongInput checks that the data comes from one place. What a user wrote, the URLs, is
// judged where it is fetched.
func wrongInput(in TuneInput) []string {
	var out []string
	places := 0
	for _, used := range []bool{len(in.URLs) > 0, in.Image != nil, in.Volume} {
		if used {
			places++
		}
	}
	if places != 1 {
		out = append(out, "input has not exactly one of urls, image and volume")
	}
	for i, text := range in.AllowCIDRs {
		if _, err := netip.ParsePrefix(text); err != nil {
			out = append(out, fmt.Sprintf("input.allowCIDRs[%d] %q is not a range of addresses", i, text))
		}
	}
	if in.CAFile != "" && !strings.HasPrefix(in.CAFile, "/") {
		out = append(out, fmt.Sprintf("input.caFile %q does not begin with /", in.CAFile))
	}
	return out
}

// validRunID says whether id can be a part of a tag and the name of a folder.
func validRunID(id string) bool {
	return len(id) <= maxRunID && !strings.HasPrefix(id, "-") && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
