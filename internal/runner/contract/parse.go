package contract

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"sigs.k8s.io/json"
)

// InvalidError lists everything that is wrong with a contract, each with its place.
type InvalidError struct {
	// Problems are sentences such as "engine.command is missing".
	Problems []string
}

// Error joins the problems.
func (e *InvalidError) Error() string {
	return "runner contract is not valid: " + strings.Join(e.Problems, "; ")
}

// Parse reads a contract strictly: an unknown, repeated, missing or empty field
// is an InvalidError that names its place, and so is a value out of range.
func Parse(data []byte) (Serve, error) {
	var s Serve
	strict, err := json.UnmarshalStrict(data, &s)
	if err != nil {
		return Serve{}, &InvalidError{Problems: []string{syntax(err)}}
	}
	problems := make([]string, 0, len(strict))
	for _, e := range strict {
		problems = append(problems, e.Error())
	}
	problems = append(problems, missing(reflect.ValueOf(s), "")...)
	problems = append(problems, wrong(s)...)
	if len(problems) > 0 {
		return Serve{}, &InvalidError{Problems: problems}
	}
	return s, nil
}

// syntax says where the file is not JSON, or not JSON of the right kind.
func syntax(err error) string {
	var kind *stdjson.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return fmt.Sprintf("%s is a %s, want %s", kind.Field, kind.Value, kind.Type)
	}
	return err.Error()
}

// missing names every field under v that the rule of this package wants and that is empty.
func missing(v reflect.Value, place string) []string {
	var out []string
	for i := range v.NumField() {
		name, optional := tag(v.Type().Field(i))
		field, at := v.Field(i), strings.TrimPrefix(place+"."+name, ".")
		switch {
		case field.Kind() == reflect.Struct:
			out = append(out, missing(field, at)...)
		case field.Kind() == reflect.Pointer && !field.IsNil():
			out = append(out, missing(field.Elem(), at)...)
		case !optional && empty(field):
			out = append(out, at+" is missing")
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			for n := range field.Len() {
				out = append(out, missing(field.Index(n), fmt.Sprintf("%s[%d]", at, n))...)
			}
		}
	}
	return out
}

// tag returns a field's JSON name and whether it may be left out.
func tag(f reflect.StructField) (name string, optional bool) {
	name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, rest == "omitempty"
}

// empty says whether v holds nothing; a list without elements holds nothing too.
func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

// wrong names the values that are there and cannot be meant.
func wrong(s Serve) []string {
	var out []string
	if s.APIVersion != "" && s.APIVersion != Version {
		out = append(out, fmt.Sprintf("apiVersion is %q, this runner understands %q", s.APIVersion, Version))
	}
	if s.Engine.URL != "" && !validURL(s.Engine.URL) {
		out = append(out, fmt.Sprintf("engine.url %q is not of the form http://host:port", s.Engine.URL))
	}
	if s.Engine.HealthPath != "" && !strings.HasPrefix(s.Engine.HealthPath, "/") {
		out = append(out, fmt.Sprintf("engine.healthPath %q does not begin with /", s.Engine.HealthPath))
	}
	var weigh int64
	if s.Weights != nil {
		weigh = s.Weights.Bytes
	}
	for name, n := range map[string]int64{
		"limits.drainSeconds": int64(s.Limits.DrainSeconds),
		"limits.maxBodyBytes": s.Limits.MaxBodyBytes,
		"limits.maxInFlight":  int64(s.Limits.MaxInFlight),
		"model.context":       int64(s.Model.Context),
		"weights.bytes":       weigh,
	} {
		if n < 0 {
			out = append(out, fmt.Sprintf("%s is %d, below zero", name, n))
		}
	}
	for i, e := range s.Engine.Env {
		if strings.ContainsAny(e.Name, "=\x00") {
			out = append(out, fmt.Sprintf("engine.env[%d].name %q is not a variable's name", i, e.Name))
		}
	}
	out = append(out, wrongGroup(s.Group)...)
	return append(append(out, wrongWeights(s.Weights)...), wrongAdapters(s)...)
}

// validURL says whether the runner can reach an engine at u.
func validURL(u string) bool {
	parsed, err := url.Parse(u)
	return err == nil && parsed.Scheme == "http" && parsed.Host != "" && strings.Trim(parsed.Path, "/") == ""
}
