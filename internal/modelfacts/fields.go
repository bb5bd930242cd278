package modelfacts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"kaito.sh/kaito/internal/modelfiles"
)

// fields are the values of one object of a JSON file that a stranger wrote. What is wrong
// with those that are asked for is gathered, so that a person reads all of it at once.
type fields struct {
	file   string
	place  string
	values map[string]any
	wrong  *[]string
}

// parse reads a JSON object. Python writes NaN and Infinity as bare words, in fields that
// are no business of ours too (time_step_limit of Mamba); they become texts here, which are
// wrong only where a number is asked for.
func parse(file string, raw []byte) (fields, error) {
	d := json.NewDecoder(bytes.NewReader(quoted(raw)))
	d.UseNumber()
	var values map[string]any
	err := d.Decode(&values)
	var other *json.UnmarshalTypeError
	switch {
	case errors.As(err, &other):
		return fields{}, broken(file, "is no JSON object, but of the kind %s", other.Value)
	case err != nil:
		return fields{}, broken(file, "is no JSON object: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fields{}, broken(file, "has something behind its JSON object, at byte %d", d.InputOffset())
	}
	return fields{file: file, values: values, wrong: new([]string)}, nil
}

// broken is a refusal of a file.
func broken(file, format string, args ...any) error {
	return modelfiles.Refuse(modelfiles.Broken, "%s %s; take the file from the model's source again", file, fmt.Sprintf(format, args...))
}

// err is what was wrong so far.
func (f fields) err() error {
	if len(*f.wrong) == 0 {
		return nil
	}
	list := slices.Compact(slices.Sorted(slices.Values(*f.wrong)))
	return broken(f.file, "cannot be right: %s", strings.Join(list, "; "))
}

func (f fields) problem(key, format string, args ...any) {
	*f.wrong = append(*f.wrong, f.place+key+" "+fmt.Sprintf(format, args...))
}

// quoted turns the bare words NaN, Infinity and -Infinity into texts.
func quoted(raw []byte) []byte {
	words := [][]byte{[]byte("-Infinity"), []byte("Infinity"), []byte("NaN")}
	var out []byte
	inText := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case inText && c == '\\' && i+1 < len(raw):
			out = append(out, c, raw[i+1])
			i++
			continue
		case c == '"':
			inText = !inText
		case !inText:
			if at := slices.IndexFunc(words, func(w []byte) bool { return bytes.HasPrefix(raw[i:], w) }); at >= 0 {
				out = append(append(append(out, '"'), words[at]...), '"')
				i += len(words[at]) - 1
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

// first is the first of some keys that has a value, and its name.
func (f fields) first(keys ...string) (string, any) {
	for _, key := range keys {
		if v, ok := f.values[key]; ok && v != nil {
			return key, v
		}
	}
	return "", nil
}

// has says whether a key has a value.
func (f fields) has(key string) bool { return f.values[key] != nil }

// count is the first of some keys that has a value, as a number from 0 to most. A list has
// one number a layer, or a tower: the largest is taken.
func (f fields) count(most int64, keys ...string) int64 {
	key, v := f.first(keys...)
	list, ok := v.([]any)
	if !ok {
		return f.whole(most, key, v)
	}
	var n int64
	for _, item := range list {
		n = max(n, f.whole(most, key, item))
	}
	return n
}

func (f fields) whole(most int64, key string, v any) int64 {
	if v == nil {
		return 0
	}
	n, err := whole(v)
	switch {
	case err != nil:
		f.problem(key, "is %s", err)
		return 0
	case n < 0 || n > most:
		f.problem(key, "is %d, and only 0 to %d make sense", n, most)
		return 0
	}
	return n
}

// whole is a JSON value as a whole number: 30 and 30.0 are, and 30.5, 1e400 and "30" not.
func whole(v any) (int64, error) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%s, not a whole number", brief(v))
	}
	if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
		return n, nil
	}
	const exact = 1 << 53
	x, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) > exact {
		return 0, fmt.Errorf("%s, not a whole number", brief(v))
	}
	return int64(x), nil
}

// factor is a key as a positive number; 0 where it has no value.
func (f fields) factor(key string) float64 {
	v := f.values[key]
	if v == nil {
		return 0
	}
	number, ok := v.(json.Number)
	if ok {
		if x, err := strconv.ParseFloat(number.String(), 64); err == nil && x > 0 {
			return x
		}
	}
	f.problem(key, "is %s, not a number above 0", brief(v))
	return 0
}

// text is the first of some keys that has a value, as a text.
func (f fields) text(keys ...string) string {
	key, v := f.first(keys...)
	if v == nil {
		return ""
	}
	text, ok := v.(string)
	if !ok {
		f.problem(key, "is %s, not a text", brief(v))
	}
	return text
}

// texts is a key as a list of texts.
func (f fields) texts(key string) []string {
	v := f.values[key]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		f.problem(key, "is %s, not a list", brief(v))
		return nil
	}
	var out []string
	for _, item := range list {
		text, ok := item.(string)
		if !ok {
			f.problem(key, "holds %s, not a text", brief(item))
			return nil
		}
		out = append(out, text)
	}
	return out
}

// flag is a key as true or false, and whether it is there.
func (f fields) flag(key string) (value, there bool) {
	v := f.values[key]
	if v == nil {
		return false, false
	}
	value, ok := v.(bool)
	if !ok {
		f.problem(key, "is %s, not true or false", brief(v))
	}
	return value, true
}

// object is a key as an object; there is false where it has none.
func (f fields) object(key string) (fields, bool) {
	v := f.values[key]
	if v == nil {
		return fields{}, false
	}
	values, ok := v.(map[string]any)
	if !ok {
		f.problem(key, "is %s, not an object", brief(v))
		return fields{}, false
	}
	return fields{file: f.file, place: f.place + key + ".", values: values, wrong: f.wrong}, true
}

// brief shows a value of a stranger's in a message.
func brief(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	const most = 40
	raw, err := json.Marshal(v)
	if err != nil {
		return "unreadable"
	}
	if text, ok := v.(string); ok && slices.Contains([]string{"NaN", "Infinity", "-Infinity"}, text) {
		return text
	}
	if len(raw) > most {
		return strings.ToValidUTF8(string(raw[:most]), "") + "…"
	}
	return string(raw)
}
