package pki_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"kaito.sh/kaito/localcluster/internal/pki"
)

func TestIssueKeepsWhatIsGood(t *testing.T) {
	t.Parallel()
	leaf := pki.Leaf{File: "api", Name: "kube-apiserver", Groups: []string{"g"}, Hosts: []string{"localhost", "10.200.0.1"}}
	cases := map[string]struct {
		years     int
		leaf      pki.Leaf
		authority string
		renewed   bool
	}{
		"the same leaf is kept":                    {leaf: leaf, authority: "ca"},
		"in another order it is the same":          {leaf: pki.Leaf{File: "api", Name: "kube-apiserver", Groups: []string{"g"}, Hosts: []string{"10.200.0.1", "localhost"}}, authority: "ca"},
		"another address makes it new":             {leaf: pki.Leaf{File: "api", Name: "kube-apiserver", Groups: []string{"g"}, Hosts: []string{"localhost", "10.200.1.1"}}, authority: "ca", renewed: true},
		"another user makes it new":                {leaf: pki.Leaf{File: "api", Name: "other", Groups: []string{"g"}, Hosts: leaf.Hosts}, authority: "ca", renewed: true},
		"near its end it is made new":              {leaf: leaf, authority: "ca", years: 1, renewed: true},
		"another authority makes it new":           {leaf: leaf, authority: "front-proxy-ca", renewed: true},
		"an authority at its end is made new, too": {leaf: leaf, authority: "ca", years: 10, renewed: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
			store := pki.New(t.TempDir(), func() time.Time { return now })
			issue := func(authority string, l pki.Leaf) []byte {
				a, err := store.Authority(authority)
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Issue(l); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(store.Cert(l.File))
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			first := issue("ca", leaf)
			now = now.AddDate(tc.years, 0, 0)
			if got := !bytes.Equal(first, issue(tc.authority, tc.leaf)); got != tc.renewed {
				t.Errorf("made anew: %v, want %v", got, tc.renewed)
			}
		})
	}
}

func TestKubeconfigIsPrivateAndWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := pki.New(dir, time.Now)
	ca, err := store.Authority("ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Issue(pki.Leaf{File: "admin", Name: "local-admin"}); err != nil {
		t.Fatal(err)
	}
	path := dir + "/kubeconfig"
	if err := store.Kubeconfig(path, "kaito-x", "https://10.200.0.1:6443", "admin"); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", fi.Mode(), err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"server: https://10.200.0.1:6443", "current-context: kaito-x", "client-key-data: LS0t"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("kubeconfig lacks %q", want)
		}
	}
	if strings.Contains(string(b), dir) {
		t.Error("kubeconfig names files beside it, so it would not work as a copy")
	}
	if err := store.Kubeconfig(path, "c", "s", "nobody"); err == nil {
		t.Error("a kubeconfig for a certificate that is not there was written")
	}
}

func TestSigningKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	store := pki.New(t.TempDir(), time.Now)
	var got [2][]byte
	for i := range got {
		if err := store.SigningKey("sa"); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(store.Key("sa"))
		if err != nil {
			t.Fatal(err)
		}
		got[i] = b
	}
	if !bytes.Equal(got[0], got[1]) {
		t.Error("tokens that were signed before would no longer be good")
	}
}
