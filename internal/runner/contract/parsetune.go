package contract

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/json"
)

// maxRunID keeps a run's id short enough for a tag and a folder.
const maxRunID = 40

// ParseTune reads the file of a check or a tuning pod as strictly as Parse does.
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
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if t.APIVersion != "" && t.APIVersion != Version {
		say("apiVersion is %q, this runner understands %q", t.APIVersion, Version)
	}
	if t.RunID != "" && !validRunID(t.RunID) {
		say("runID %q is not made of at most %d lower-case letters, digits and dashes", t.RunID, maxRunID)
	}
	if t.Method != "" && t.Method != "lora" && t.Method != "qlora" {
		say("method is %q, want lora or qlora", t.Method)
	}
	for _, n := range []struct {
		place string
		value int64
	}{
		{"attempt", int64(t.Attempt)},
		{"model.context", int64(t.Model.Context)},
		{"model.maxLength", int64(t.Model.MaxLength)},
		{"threads", int64(t.Threads)},
		{"weights.bytes", t.Weights.Bytes},
	} {
		if n.value < 0 {
			say("%s is %d, below zero", n.place, n.value)
		}
	}
	if t.Model.MaxLength > t.Model.Context {
		say("model.maxLength is %d, more than the context of %d", t.Model.MaxLength, t.Model.Context)
	}
	out = append(out, wrongWeights(&t.Weights)...)
	out = append(out, wrongInput(t.Input)...)
	if (t.Output.Image != "") == t.Output.Volume {
		say("output has not exactly one of image and volume")
	}
	return out
}

func wrongInput(in TuneInput) []string {
	var out []string
	ways := 0
	for _, there := range []bool{len(in.URLs) > 0, in.Image != nil, in.Volume} {
		if there {
			ways++
		}
	}
	if ways != 1 {
		out = append(out, "input has not exactly one of urls, image and volume")
	}
	for i, u := range in.URLs {
		if parsed, err := url.Parse(u); err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
			out = append(out, fmt.Sprintf("input.urls[%d] %q is not an address of the form https://host/file", i, u))
		}
	}
	for i, c := range in.AllowCIDRs {
		if _, err := netip.ParsePrefix(c); err != nil {
			out = append(out, fmt.Sprintf("input.allowCIDRs[%d] %q is not a range of addresses", i, c))
		}
	}
	return out
}

// validRunID says whether id can be a part of a tag and the name of a folder.
func validRunID(id string) bool {
	return len(id) <= maxRunID && !strings.HasPrefix(id, "-") && !slices.ContainsFunc([]rune(id), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
