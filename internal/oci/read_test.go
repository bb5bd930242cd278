package oci

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/internal/oci/registrytest"
)

// secretFile is a dockerconfigjson Secret as it is mounted.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".dockerconfigjson")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAllCredentialsThatMatchAreCandidates(t *testing.T) {
	t.Parallel()
	rings, err := Keyrings(
		secretFile(t, `{"auths":{"registry.local:5000":{"username":"wide","password":"x"},"registry.local:5000/team":{"username":"narrow","password":"x"}}}`),
		filepath.Join(t.TempDir(), "no-such-secret"),
		secretFile(t, `{"auths":{}}`),
		secretFile(t, `{"auths":{"*.local:5000":{"auth":"`+base64.RawStdEncoding.EncodeToString([]byte("glob:x1"))+`"},"*.local":{"username":"other-port","password":"x"}}}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	for repo, want := range map[string][]string{
		"registry.local:5000/team/m": {"narrow", "wide", "glob"},
		"registry.local:5000/m":      {"wide", "glob"},
		"registry.local/m":           {"other-port"},
		"registry.example.com/m":     {""},
	} {
		r, err := name.NewRepository(repo)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range rings.candidates(r) {
			auth, err := c.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, auth.Username)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repo, diff)
		}
	}
	if _, err := Keyrings(secretFile(t, `hunter2`)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a broken Secret: %v", err)
	}
}

func TestOpenTriesOneSecretAfterTheOther(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	auth := func(password string) string {
		return secretFile(t, fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, r.Addr, registrytest.User, password))
	}
	right, wrong := auth(registrytest.Password), auth("expired")
	dir := testLayout(t, 100_000)
	keys, err := Keyrings(right)
	if err != nil {
		t.Fatal(err)
	}
	ref := r.Addr + "/private/m:x"
	if _, err := New(Options{Keychain: keys}).Push(t.Context(), dir, ref); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		files []string
		ok    bool
	}{
		"the right one":            {[]string{right}, true},
		"an expired one before it": {[]string{wrong, right}, true},
		"an expired one":           {[]string{wrong}, false},
		"none":                     {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := Keyrings(tc.files...)
			if err != nil {
				t.Fatal(err)
			}
			image, err := New(Options{Keychain: keys}).Open(t.Context(), ref, "amd64")
			if !tc.ok {
				var access *AccessError
				if !errors.As(err, &access) || access.Status != 401 {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			readsFrom(t, dir, image)
		})
	}
	t.Run("an image that is not there", func(t *testing.T) {
		t.Parallel()
		var missing *MissingError
		if _, err := New(Options{}).Open(t.Context(), r.Addr+"/m:none", "amd64"); !errors.As(err, &missing) {
			t.Errorf("got %v", err)
		}
	})
}

// readsFrom reads the second half of the first layer and compares.
func readsFrom(t *testing.T, dir string, image *Remote) {
	t.Helper()
	l, err := openLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	layer := image.Manifest.Layers[0]
	want, err := os.ReadFile(l.blob(layer.Digest))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{0, 50_000} {
		body, err := image.Blob(t.Context(), layer, from)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || string(got) != string(want[from:]) {
			t.Errorf("from %d: %d bytes, %v", from, len(got), err)
		}
	}
}

func TestPickFindsThePlatform(t *testing.T) {
	t.Parallel()
	of := func(arch string, n byte) v1.Descriptor {
		return v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(string('a'+rune(n)), 64)},
			Platform: &v1.Platform{OS: "linux", Architecture: arch},
		}
	}
	attestation := of("unknown", 3)
	attestation.Platform.OS = "unknown"
	any := of("", 4)
	any.Platform = nil
	for name, tc := range map[string]struct {
		index []v1.Descriptor
		want  int
		err   string
	}{
		"ours among several":         {[]v1.Descriptor{attestation, of("arm64", 0), of("amd64", 1)}, 2, ""},
		"one without a platform":     {[]v1.Descriptor{any}, 0, ""},
		"only for another processor": {[]v1.Descriptor{of("arm64", 0), attestation}, 0, "it has no image for linux/amd64"},
	} {
		raw, err := marshal(v1.IndexManifest{SchemaVersion: 2, Manifests: tc.index})
		if err != nil {
			t.Fatal(err)
		}
		got, err := pick(raw, "amd64")
		if tc.err != "" {
			if err == nil || err.Error() != tc.err || !Final(err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || got != tc.index[tc.want].Digest {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
