package hub

import (
	"strings"
	"testing"
)

// FuzzParsePage: whatever a hub sends as a list, what comes out of it can be relied upon.
func FuzzParsePage(f *testing.F) {
	f.Add([]byte(`[{"type":"file","oid":"0123456789abcdef0123456789abcdef01234567","size":2,"path":"a/b.json"},{"type":"directory","path":"a"}]`))
	f.Add([]byte(`[{"type":"file","oid":"x","size":2,"path":"m","lfs":{"oid":"` + strings.Repeat("ab", 32) + `","size":9,"pointerSize":1}}]`))
	f.Add([]byte(`[{"type":"file","oid":"0123456789abcdef0123456789abcdef01234567","size":-2,"path":"../x"}]`))
	f.Add([]byte(`{"error":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parsePage(raw)
		if err != nil {
			return
		}
		for _, f := range got {
			if f.Size < 0 || checkName(f.Path) != nil {
				t.Errorf("%+v", f)
			}
			if len(f.SHA256) != 64 && len(f.GitBlob) != 40 {
				t.Errorf("%+v has no digest", f)
			}
		}
	})
}

// FuzzNextPage: the next page is on the same host or there is none.
func FuzzNextPage(f *testing.F) {
	f.Add(`<https://hub.example/api/models/a/b/tree/main?cursor=x>; rel="next"`)
	f.Add(`<//evil.example/>; rel=next`)
	f.Add(`<https://hub.example/a>; rel="prev", </b?c=1>; rel="next"`)
	source, err := New(Options{Endpoint: "https://hub.example", Repository: "a/b", Revision: "main"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, link string) {
		got, err := source.next("https://hub.example/api/models/a/b/tree/x", link)
		if err == nil && got != "" && !strings.HasPrefix(got, "https://hub.example/") && !strings.HasPrefix(got, "https://hub.example?") && got != "https://hub.example" {
			t.Errorf("%q leads to %q", link, got)
		}
	})
}
