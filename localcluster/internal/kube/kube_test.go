package kube_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kaito.sh/kaito/localcluster/internal/kube"
	"kaito.sh/kaito/localcluster/internal/pki"
	"kaito.sh/kaito/localcluster/internal/record"
)

// serve answers with handler and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc) *kube.Client {
	t.Helper()
	srv := httptest.NewTLSServer(handler)
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	store := pki.New(dir, time.Now)
	ca, err := store.Authority("client-ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Issue(pki.Leaf{File: "admin", Name: "admin"}); err != nil {
		t.Fatal(err)
	}
	caFile := filepath.Join(dir, "server.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := record.WriteFile(caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.New(srv.URL, kube.Credentials{CA: caFile, Cert: store.Cert("admin"), Key: store.Key("admin")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNodeReady(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 24, 1, 0, 0, 500, time.UTC)
	condition := func(status, beat string) string {
		return `{"status":{"conditions":[{"type":"DiskPressure","status":"False"},{"type":"Ready","status":"` + status +
			`","message":"m","lastHeartbeatTime":"` + beat + `"}]}}`
	}
	cases := map[string]struct {
		code int
		body string
		want string
	}{
		"ready now":                        {body: condition("True", "2026-11-24T01:00:00Z")},
		"ready, but from before a restart": {body: condition("True", "2026-11-24T00:59:00Z"), want: "no heartbeat"},
		"not ready":                        {body: condition("False", "2026-11-24T01:00:00Z"), want: `says "m"`},
		"not registered":                   {code: 404, body: `{"message":"not found"}`, want: "has not registered"},
		"registered without a status":      {body: `{}`, want: "no status yet"},
		"the server is unwell":             {code: 500, body: `etcd`, want: "500: etcd"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v1/nodes/n" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				if tc.code != 0 {
					w.WriteHeader(tc.code)
				}
				_, _ = io.WriteString(w, tc.body)
			})
			err := c.NodeReady(t.Context(), "n", start)
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestApplyForcesUnderOurName(t *testing.T) {
	t.Parallel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPatch || r.URL.RawQuery != "force=true&fieldManager=kaito-localcluster" || string(b) != "{}" ||
			r.Header.Get("Content-Type") != "application/apply-patch+yaml" {
			t.Errorf("%s %s %q %q", r.Method, r.URL, r.Header.Get("Content-Type"), b)
		}
	})
	if err := c.Apply(t.Context(), "/api/v1/x", []byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestDeleteOfWhatIsGone(t *testing.T) {
	t.Parallel()
	code := http.StatusNotFound
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	if err := c.Delete(t.Context(), "/x"); err != nil {
		t.Errorf("404: %v", err)
	}
	code = http.StatusForbidden
	if err := c.Delete(t.Context(), "/x"); err == nil {
		t.Error("403 was taken for success")
	}
}
