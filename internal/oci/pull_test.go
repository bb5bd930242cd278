package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

func TestPullGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	f, host := newFaulty(t)
	dir, back := testLayout(t, 300*kib), t.TempDir()
	if _, err := New(Options{}).Push(t.Context(), dir, host+"/m:x"); err != nil {
		t.Fatal(err)
	}
	f.cuts = []int64{100 * kib}
	if _, err := New(Options{}).Pull(t.Context(), host+"/m:x", back); err == nil {
		t.Fatal("the cut went unnoticed")
	}
	if _, err := openLayout(back); err == nil {
		t.Error("half an image looks like a layout")
	}
	f.cuts = []int64{100 * kib}
	if _, err := New(Options{Sleep: (&naps{}).sleep}).Pull(t.Context(), host+"/m:x", back); err != nil {
		t.Fatal(err)
	}
	sameLayers(t, dir, back)
}

func TestPullBelievesNoByteUnchecked(t *testing.T) {
	t.Parallel()
	_, host := newFaulty(t)
	dir, back := testLayout(t, 3000), t.TempDir()
	if _, err := New(Options{}).Push(t.Context(), dir, host+"/m:x"); err != nil {
		t.Fatal(err)
	}
	l, err := openLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.dir = back
	part := l.blob(l.manifest.Layers[0].Digest) + ".partial"
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, bytes.Repeat([]byte("x"), 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{}).Pull(t.Context(), host+"/m:x", back); err == nil || !strings.Contains(err.Error(), "content has the digest") {
		t.Errorf("a forged beginning was taken: %v", err)
	}
	if _, err := New(Options{}).Pull(t.Context(), host+"/m:x", back); err != nil {
		t.Fatal(err)
	}
	sameLayers(t, dir, back)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	f, _ := newFaulty(t)
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.URL.Path != "/v2/" && (user != "kaito" || password != "s3:cret") {
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		if r.URL.Path == "/v2/" && user == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="kaito"`)
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(locked.Close)
	host := strings.TrimPrefix(locked.URL, "http://")
	dir := testLayout(t, 10)

	var access *AccessError
	_, err := New(Options{}).Push(t.Context(), dir, host+"/private/m:x")
	if !errors.As(err, &access) || access.Status != http.StatusUnauthorized || access.Host != host {
		t.Errorf("without credentials: %v", err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	secret := base64.StdEncoding.EncodeToString([]byte("kaito:s3:cret"))
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"auths":{"http://%s/v2/":{"auth":%q}}}`, host, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := Keyring(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Keychain: ring}).Push(t.Context(), dir, host+"/private/m:x"); err != nil {
		t.Errorf("with credentials: %v", err)
	}
}

func TestKeyringMatchesAsTheKubeletDoes(t *testing.T) {
	t.Parallel()
	ring, err := parseKeyring([]byte(`{"auths":{
		"registry.local:5000": {"username":"all","password":"x"},
		"registry.local:5000/private": {"username":"private","password":"x"},
		"https://index.docker.io/v1/": {"username":"hub","password":"x"},
		"*.example.com": {"username":"star","password":"x"},
		"token.example.org": {"registrytoken":"t"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for repo, want := range map[string]authn.AuthConfig{
		"registry.local:5000/kaito/m":   {Username: "all", Password: "x"},
		"registry.local:5000/private/m": {Username: "private", Password: "x"},
		"registry.local:5000/privates":  {Username: "all", Password: "x"},
		"registry.local:5001/kaito/m":   {},
		"library/debian":                {Username: "hub", Password: "x"},
		"eu.example.com/m":              {Username: "star", Password: "x"},
		"example.com/m":                 {},
		"a.b.example.com/m":             {},
		"token.example.org/m":           {RegistryToken: "t"},
	} {
		r, err := name.NewRepository(repo)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := ring.Resolve(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := auth.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repo, diff)
		}
	}
}

func TestKeyringRefusesWithoutQuotingSecrets(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"no JSON":         `hunter2`,
		"no credentials":  `{"credsStore":"hunter2"}`,
		"not base64":      `{"auths":{"h":{"auth":"hunter2!"}}}`,
		"no user in auth": `{"auths":{"h":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("hunter2")) + `"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseKeyring([]byte(raw))
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPlainHTTPNeedsPermission(t *testing.T) {
	t.Parallel()
	f, _ := newFaulty(t)
	wire := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "https" {
			return nil, errors.New("server gave HTTP response to HTTPS client")
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})
	dir := testLayout(t, 10)
	var plain *PlainHTTPError
	_, err := New(Options{Transport: wire}).Push(t.Context(), dir, "10.0.0.5:5000/m:x")
	if !errors.As(err, &plain) {
		t.Errorf("without permission: %v", err)
	}
	if _, err := New(Options{Transport: wire, Scheme: Plain}).Push(t.Context(), dir, "10.0.0.5:5000/m:x"); err != nil {
		t.Errorf("with permission: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(q *http.Request) (*http.Response, error) { return r(q) }

func TestUploadsAreNotLedIntoOurNetwork(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]bool{
		"/v2/m/blobs/uploads/1":                   true,
		"https://registry.example.com/next":       true,
		"https://objects.example.net/put?sig=x":   true,
		"http://169.254.169.254/latest/meta-data": false,
		"http://10.0.0.1/":                        false,
		"http://[::1]:8080/":                      false,
		"http://[::ffff:127.0.0.1]:8080/":         false,
		"":                                        false,
	} {
		from, err := url.Parse("https://registry.example.com/v2/m/blobs/uploads/")
		if err != nil {
			t.Fatal(err)
		}
		resp := &http.Response{Header: http.Header{"Location": {to}}, Request: &http.Request{URL: from}}
		if _, err := location(resp); (err == nil) != want {
			t.Errorf("location %q: %v", to, err)
		}
	}
}

func FuzzKeyring(f *testing.F) {
	f.Add([]byte(`{"auths":{"h":{"auth":"YTpi"}}}`))
	f.Add([]byte(`{"auths":{"*.[":{"username":"a"}}}`))
	repo, err := name.NewRepository("registry.example.com/a/b")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ring, err := parseKeyring(raw)
		if err != nil {
			return
		}
		if _, err := ring.Resolve(repo); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
		if !json.Valid(raw) {
			t.Errorf("%q was taken as JSON", raw)
		}
	})
}
