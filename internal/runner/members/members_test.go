package members_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/members"
)

// errTwice stands for a *members.TwiceError in the table.
var errTwice = errors.New("twice")

func asTwice(err error) bool {
	var twice *members.TwiceError
	return errors.As(err, &twice)
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text, want string // want is the value's own bytes
		err        error
	}{
		"a member":                              {`{"a":1,"model":"x"}`, `"x"`, nil},
		"a member between white space":          {" {\t\"model\" :\r\n\"x\" , \"b\":2 } \n", `"x"`, nil},
		"no such member":                        {`{"a":1}`, ``, nil},
		"an empty object":                       {` { } `, ``, nil},
		"a name in an inner object":             {`{"a":{"model":"x"},"b":[{"model":"y"}]}`, ``, nil},
		"a name in a string":                    {`{"a":"\"model\":\"x\""}`, ``, nil},
		"a name that begins alike":              {`{"models":1,"mode":2,"Model":3,"model ":4}`, ``, nil},
		"a name with escapes":                   {`{"\u006do\u0064el":7}`, `7`, nil},
		"a name with a foreign escape":          {`{"mod\u00e9l":7,"model\u0000":8}`, ``, nil},
		"an object as the value":                {`{"model":{"a":[1,{"b":null}]},"c":true}`, `{"a":[1,{"b":null}]}`, nil},
		"a string with escapes at its end":      {`{"model":"a\\\"\\","b":1}`, `"a\\\"\\"`, nil},
		"another alphabet":                      {`{"ข้อความ":"สวัสดีครับ ยินดีต้อนรับ","model":"โมเดล"}`, `"โมเดล"`, nil},
		"bytes that are no UTF-8":               {"{\"a\":\"\xff\xfe\",\"model\":\"\xc0\"}", "\"\xc0\"", nil},
		"numbers of every kind":                 {`{"a":[0,-0,1.5,10,1e9,-1E-9,2.5e+3],"model":-0.1e+1}`, `-0.1e+1`, nil},
		"the member twice":                      {`{"model":"x","model":"x"}`, ``, errTwice},
		"the member twice, once in disguise":    {`{"model":"x","a":1,"mod\u0065l":"y"}`, ``, errTwice},
		"another member twice":                  {`{"a":1,"a":2,"model":3}`, `3`, nil},
		"nothing":                               {``, ``, members.ErrInvalid},
		"a list":                                {`[1, {"model":"x"}]`, ``, members.ErrNotObject},
		"a null":                                {` null `, ``, members.ErrNotObject},
		"a list that does not end":              {`[1, `, ``, members.ErrInvalid},
		"an object that does not end":           {`{"model":"x"`, ``, members.ErrInvalid},
		"something behind the object":           {`{"model":"x"}{}`, ``, members.ErrInvalid},
		"a comma behind the last member":        {`{"model":"x",}`, ``, members.ErrInvalid},
		"a comma behind the last item":          {`{"model":[1,]}`, ``, members.ErrInvalid},
		"two commas":                            {`{"a":1,,"model":"x"}`, ``, members.ErrInvalid},
		"a name without quotation marks":        {`{model:"x"}`, ``, members.ErrInvalid},
		"single quotation marks":                {`{'model':"x"}`, ``, members.ErrInvalid},
		"a comment":                             {`{"model":"x"/* y */}`, ``, members.ErrInvalid},
		"the wrong closing bracket":             {`{"a":[1},"model":"x"}`, ``, members.ErrInvalid},
		"a number that begins with 0":           {`{"model":01}`, ``, members.ErrInvalid},
		"a number that ends in a point":         {`{"model":1.}`, ``, members.ErrInvalid},
		"a number that begins with a plus":      {`{"model":+1}`, ``, members.ErrInvalid},
		"not a number":                          {`{"model":NaN}`, ``, members.ErrInvalid},
		"a word that is cut":                    {`{"model":tru}`, ``, members.ErrInvalid},
		"a control character in a string":       {"{\"model\":\"x\ny\"}", ``, members.ErrInvalid},
		"a control character in a long string":  {"{\"model\":\"0123456789\x1f0123456789\"}", ``, members.ErrInvalid},
		"an unknown escape":                     {`{"model":"\x41"}`, ``, members.ErrInvalid},
		"a short escape":                        {`{"model":"\u12"}`, ``, members.ErrInvalid},
		"a byte order mark":                     {"\ufeff{\"model\":\"x\"}", ``, members.ErrInvalid},
		"as many brackets as are allowed":       {`{"model":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`, strings.Repeat("[", 9999) + strings.Repeat("]", 9999), nil},
		"one bracket too many":                  {`{"model":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, ``, members.ErrInvalid},
		"one bracket too many around something": {`{"model":` + strings.Repeat("[", 10000) + `1` + strings.Repeat("]", 10000) + `}`, ``, members.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := members.Find([]byte(tc.text), "model")
			if asTwice(err) {
				err = errTwice
			}
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			got := ""
			if err == nil {
				got = string(found.Values[0].Of([]byte(tc.text)))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			agrees(t, []byte(tc.text))
		})
	}
}

// agrees compares Find with encoding/json: what is accepted, and what is found.
func agrees(t *testing.T, text []byte) {
	t.Helper()
	found, err := members.Find(text, "model", "stream")
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	valid := json.Valid(text)
	object := valid && trimmed[0] == '{'
	switch {
	case valid != !errors.Is(err, members.ErrInvalid):
		t.Fatalf("%q: error %v, encoding/json says valid: %v", text, err, valid)
	case valid && object != !errors.Is(err, members.ErrNotObject):
		t.Fatalf("%q: error %v, encoding/json says object: %v", text, err, object)
	case !object:
		return
	}
	want := reference(t, text)
	if twice := len(want["model"]) > 1 || len(want["stream"]) > 1; twice != asTwice(err) {
		t.Fatalf("%q: error %v with %q", text, err, want)
	}
	if err != nil {
		return
	}
	for i, name := range []string{"model", "stream"} {
		got := found.Values[i]
		if got.Given() != (len(want[name]) == 1) || got.Given() && string(got.Of(text)) != string(want[name][0]) {
			t.Fatalf("%q: found %q, want %q", text, got.Of(text), want[name])
		}
	}
	if text[found.Open-1] != '{' || len(bytes.TrimSpace(text[:found.Open])) != 1 {
		t.Fatalf("%q: opens at %d", text, found.Open)
	}
}

// reference reads all members by means of encoding/json.
func reference(t *testing.T, text []byte) map[string][]json.RawMessage {
	t.Helper()
	out := map[string][]json.RawMessage{}
	tokens := json.NewDecoder(bytes.NewReader(text))
	if _, err := tokens.Token(); err != nil {
		t.Fatal(err)
	}
	for tokens.More() {
		key, err := tokens.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := tokens.Decode(&value); err != nil {
			t.Fatal(err)
		}
		out[key.(string)] = append(out[key.(string)], value)
	}
	return out
}

func FuzzFind(f *testing.F) {
	for _, seed := range []string{
		`{"model":"x","messages":[{"role":"user","content":"hello \u0e2a \"you\"\n"}],"stream":true,"temperature":0.5}`,
		`{"stream":false,"model":"x","\u0073tream":true}`, `{"mod\u0065l":null,"a":{"model":[1,2,{"model":-1.5e+10}]},"model":"y"}`,
		`{"":"","model":{}}`, ` { } `, `[]`, `{"a":1,}`, `nul`, "{\"\\", `{"model":"0123456789abcdef\\"}`, "{\"\xff\":1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(agrees)
}

func BenchmarkFind(b *testing.B) {
	for name, content := range map[string]string{
		"plain":   strings.Repeat("Lorem ipsum dolor sit amet, consectetur ", 5500),
		"escapes": strings.Repeat("Lorem ipsum dolor sit amet \"consectetur\"\n", 5300),
		"Thai":    strings.Repeat("สวัสดีครับ ", 7000),
	} {
		text, err := json.Marshal(map[string]any{"messages": []any{map[string]string{"role": "user", "content": content}}, "model": "x"})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := members.Find(text, "model", "stream"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
