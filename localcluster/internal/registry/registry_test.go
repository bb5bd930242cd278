package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/crypto/bcrypt"

	"kaito.sh/kaito/localcluster/internal/registry"
)

var (
	nobody  = authn.Anonymous
	kaito   = authn.FromConfig(authn.AuthConfig{Username: "kaito", Password: "right"})
	wrong   = authn.FromConfig(authn.AuthConfig{Username: "kaito", Password: "wrong"})
	unknown = authn.FromConfig(authn.AuthConfig{Username: "other", Password: "right"})
)

// A box is a registry on a folder; it can be stopped and started.
type box struct {
	t      *testing.T
	o      registry.Options
	server *httptest.Server
	cancel context.CancelFunc
}

func newBox(t *testing.T) *box {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, o: registry.Options{
		Data: filepath.Join(dir, "data"), Passwords: filepath.Join(dir, "htpasswd"), PrivatePrefix: "private/",
	}}
	if err := os.WriteFile(b.o.Passwords, fmt.Appendf(nil, "kaito:%s\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *box) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	b.cancel = cancel
	app, err := registry.New(ctx, b.o)
	if err != nil {
		b.t.Fatalf("start: %v", err)
	}
	b.server = httptest.NewServer(app)
}

func (b *box) stop() {
	b.server.Close()
	b.cancel()
}

func (b *box) restart() {
	b.stop()
	b.start()
}

func (b *box) host() string { return strings.TrimPrefix(b.server.URL, "http://") }

func (b *box) tag(repository string) name.Tag {
	b.t.Helper()
	tag, err := name.NewTag(b.host()+"/"+repository+":1", name.Insecure)
	if err != nil {
		b.t.Fatal(err)
	}
	return tag
}

func (b *box) push(repository string, img v1.Image, who authn.Authenticator) error {
	return remote.Write(b.tag(repository), img, remote.WithAuth(who), remote.WithContext(b.t.Context()))
}

func (b *box) pull(repository string, who authn.Authenticator) (v1.Hash, error) {
	img, err := remote.Image(b.tag(repository), remote.WithAuth(who), remote.WithContext(b.t.Context()))
	if err != nil {
		return v1.Hash{}, err
	}
	layers, err := img.Layers()
	if err != nil {
		return v1.Hash{}, err
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			return v1.Hash{}, err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return v1.Hash{}, err
		}
	}
	return img.Digest()
}

func image(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(1<<16, 2)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// status is that of a refused call, or 200.
func status(t *testing.T, err error) int {
	t.Helper()
	var refused *transport.Error
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &refused):
		return refused.StatusCode
	default:
		t.Fatalf("not an answer of the registry: %v", err)
		return 0
	}
}

func TestWhoMayPushAndPull(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		repository string
		who        authn.Authenticator
		want       int
	}{
		"anybody, an open repository":              {"open/model", nobody, 200},
		"anybody, one whose name begins similarly": {"privateer/model", nobody, 200},
		"anybody, one named as the prefix":         {"private", nobody, 200},
		"anybody, a private repository":            {"private/model", nobody, 401},
		"anybody, deep in the private ones":        {"private/a/b/c", nobody, 401},
		"the user, a private repository":           {"private/model", kaito, 200},
		"the user, an open repository":             {"open/model", kaito, 200},
		"a wrong password, a private repository":   {"private/model", wrong, 401},
		"a wrong password, an open repository":     {"open/model", wrong, 401},
		"an unknown user, an open repository":      {"open/model", unknown, 401},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			img := image(t)
			if got := status(t, b.push(c.repository, img, c.who)); got != c.want && (c.want != 200 || got != 201) {
				t.Errorf("push: %d, want %d", got, c.want)
			}
			if err := b.push(c.repository, img, kaito); err != nil {
				t.Fatalf("push by the user: %v", err)
			}
			digest, err := b.pull(c.repository, c.who)
			if got := status(t, err); got != c.want {
				t.Errorf("pull: %d, want %d", got, c.want)
			}
			if want, _ := img.Digest(); err == nil && digest != want {
				t.Errorf("pulled %s, want %s", digest, want)
			}
		})
	}
}

func TestRootChallenges(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for title, c := range map[string]struct {
		path, user, password string
		send                 bool
		want                 int
	}{
		"the root without credentials":               {path: "/v2/", want: 401},
		"the root with credentials":                  {path: "/v2/", user: "kaito", password: "right", send: true, want: 200},
		"the root with wrong ones":                   {path: "/v2/", user: "kaito", password: "wrong", send: true, want: 401},
		"the root with empty ones, as skopeo does":   {path: "/v2/", send: true, want: 401},
		"an open repository with empty ones":         {path: "/v2/open/none/tags/list", send: true, want: 404},
		"an open repository without":                 {path: "/v2/open/none/tags/list", want: 404},
		"a private repository with empty ones":       {path: "/v2/private/none/tags/list", send: true, want: 401},
		"a private repository that is not there":     {path: "/v2/private/none/tags/list", want: 401},
		"the catalogue, which names private ones":    {path: "/v2/_catalog", want: 401},
		"the catalogue with credentials":             {path: "/v2/_catalog", user: "kaito", password: "right", send: true, want: 200},
		"a password without a user":                  {path: "/v2/open/none/tags/list", password: "right", send: true, want: 401},
		"a private repository by a detour of dots":   {path: "/v2/open/../private/none/tags/list", want: 401},
		"a private repository by a doubled slash":    {path: "/v2//private/none/tags/list", want: 401},
		"a private repository with an escaped slash": {path: "/v2/private%2Fnone/tags/list", want: 401},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.send {
				request.SetBasicAuth(c.user, c.password)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != c.want {
				t.Errorf("status %d, want %d", response.StatusCode, c.want)
			}
			challenge := response.Header.Get("WWW-Authenticate")
			if (response.StatusCode == 401) != strings.HasPrefix(challenge, "Basic realm=") {
				t.Errorf("status %d with challenge %q", response.StatusCode, challenge)
			}
		})
	}
}

// Mounting copies a layer by its name alone: it must not lead out of a private
// repository.
func TestAPrivateLayerCannotBeMounted(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	img := image(t)
	if err := b.push("private/model", img, kaito); err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("%s/v2/open/thief/blobs/uploads/?mount=%s&from=private/model", b.server.URL, digest)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("mounted: %s", response.Status)
	}
}

func TestContentSurvivesARestart(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	img := image(t)
	if err := b.push("open/model", img, nobody); err != nil {
		t.Fatal(err)
	}
	b.restart()
	got, err := b.pull("open/model", nobody)
	if err != nil {
		t.Fatal(err)
	}
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("pulled %s, want %s", got, want)
	}
	tags, err := remote.List(b.tag("open/model").Repository, remote.WithAuth(nobody))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1"}, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestAnImageCanBeDeleted(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	img := image(t)
	if err := b.push("open/model", img, nobody); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(b.tag("open/model").Digest(digest.String()), remote.WithAuth(nobody)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pull("open/model", nobody); status(t, err) != http.StatusNotFound {
		t.Errorf("pull: %v", err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		change func(*registry.Options)
		want   string
	}{
		"no password file":         {func(o *registry.Options) { o.Passwords += "x" }, "open the password file"},
		"a prefix without a slash": {func(o *registry.Options) { o.PrivatePrefix = "private" }, "must end with a slash"},
		"data that is a file":      {func(o *registry.Options) { o.Data = o.Passwords }, "make the folder for content"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			o := newBox(t).o
			c.change(&o)
			if _, err := registry.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error lacks %q: %v", c.want, err)
			}
		})
	}
}
