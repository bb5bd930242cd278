package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAptKeepsOnlyHowToReachAMirror(t *testing.T) {
	t.Parallel()
	got := aptLines([]string{
		`APT::Architecture "amd64";`, `Acquire::http::Proxy "http://proxy:3128";`, `Acquire::https::CAInfo "/home/me/ca.pem";`,
		`Acquire::https::mirror::SslCert "/home/me/cert";`, `Acquire::Check-Valid-Until "false";`, `Acquire::Languages "none";`,
	}, "/ca.crt")
	want := []string{`Acquire::http::Proxy "http://proxy:3128";`, `Acquire::Check-Valid-Until "false";`, `Acquire::https::CAInfo "/ca.crt";`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestPipKeepsOnlyWherePackagesComeFrom(t *testing.T) {
	t.Parallel()
	got := pipConf([]string{":env:.index-url='https://index/simple'", "global.index-url='https://other'", "global.cert='/home/me/ca.pem'", "global.find-links='/home/me/wheels'", "install.timeout='30'"}, "")
	want := "[global]\ndisable-pip-version-check = true\nroot-user-action = ignore\nindex-url = https://index/simple\ntimeout = 30\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pip.conf (-want +got):\n%s", diff)
	}
}

func TestEachMountPointIsNamedForRemoval(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "trusted.crt", "CERT")
	volumes, points, err := Host{CAFile: filepath.Join(dir, "trusted.crt")}.mounts(filepath.Join(dir, "host"))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range volumes {
		parts := strings.Split(v, ":")
		if len(parts) != 3 || parts[1] != points[i] || parts[2] != "ro" {
			t.Errorf("volume %q does not go with the mount point %q, read only", v, points[i])
		}
		if _, err := os.Stat(parts[0]); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, dir, "host", "ca.crt"); got != "CERT" {
		t.Errorf("the certificates are %q", got)
	}
	if got := read(t, dir, "host", "pip.conf"); !strings.Contains(got, "cert = "+mountedCA) {
		t.Errorf("pip.conf is %q", got)
	}
}

func TestCertificatesThatAreNotThereAreNamed(t *testing.T) {
	t.Parallel()
	if _, _, err := (Host{CAFile: "/nowhere/ca.crt"}).mounts(t.TempDir()); err == nil || !strings.Contains(err.Error(), "read this machine's certificates") {
		t.Errorf("got %v", err)
	}
}
