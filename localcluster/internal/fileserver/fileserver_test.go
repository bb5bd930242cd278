package fileserver_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"kaito.sh/kaito/localcluster/internal/fileserver"
)

func TestHandler(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	for path, content := range map[string]string{filepath.Join(dir, "data.jsonl"): "0123456789", secret: "s"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(dir, "way-out")); err != nil {
		t.Fatal(err)
	}
	h, err := fileserver.Handler(dir)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		method, path, ranges string
		code                 int
		body                 string
	}{
		"a file":                         {path: "/data.jsonl", code: http.StatusOK, body: "0123456789"},
		"the rest of a file":             {path: "/data.jsonl", ranges: "bytes=7-", code: http.StatusPartialContent, body: "789"},
		"a file that is not there":       {path: "/none", code: http.StatusNotFound},
		"a link out of the folder":       {path: "/way-out", code: http.StatusInternalServerError},
		"a path out of the folder":       {path: "/../secret", code: http.StatusNotFound},
		"writing is refused":             {method: http.MethodPut, path: "/data.jsonl", code: http.StatusMethodNotAllowed},
		"removing is refused":            {method: http.MethodDelete, path: "/data.jsonl", code: http.StatusMethodNotAllowed},
		"asking only for the head works": {method: http.MethodHead, path: "/data.jsonl", code: http.StatusOK},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			r := httptest.NewRequestWithContext(t.Context(), tc.method, "http://x"+tc.path, http.NoBody)
			if tc.ranges != "" {
				r.Header.Set("Range", tc.ranges)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tc.code || tc.body != "" && w.Body.String() != tc.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tc.code, tc.body)
			}
		})
	}
}
