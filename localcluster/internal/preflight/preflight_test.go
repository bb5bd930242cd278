package preflight_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kaito.sh/kaito/localcluster/internal/preflight"
)

func TestEachRefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "etcd"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "not-executable"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		err  error
		want []string
	}{
		"no root":                     {preflight.Root(1000), []string{"root", "sudo"}},
		"no disk":                     {preflight.Disk(bin, 1<<62), []string{"GiB free", "--data-root", "--min-disk"}},
		"no disk for a folder to be":  {preflight.Disk(filepath.Join(bin, "a", "b"), 1<<62), []string{"GiB free"}},
		"no programs of the machine":  {preflight.HostPrograms(bin), []string{"nft", "apt-get install nftables"}},
		"an incomplete folder":        {preflight.Programs(bin, []string{"etcd", "kubelet"}), []string{"kubelet is missing", "kaito-localcluster programs"}},
		"a file that is no program":   {preflight.Programs(bin, []string{"not-executable"}), []string{"not-executable is missing"}},
		"root is enough":              {preflight.Root(0), nil},
		"enough disk":                 {preflight.Disk(bin, 1), nil},
		"a complete folder":           {preflight.Programs(bin, []string{"etcd"}), nil},
		"the folder may be a new one": {preflight.Disk(filepath.Join(bin, "new"), 1), nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (tc.err != nil) != (len(tc.want) > 0) {
				t.Fatalf("got %v", tc.err)
			}
			for _, w := range tc.want {
				if !strings.Contains(tc.err.Error(), w) {
					t.Errorf("%q does not say %q", tc.err, w)
				}
			}
		})
	}
}

func TestPortInUseNamesItsHolder(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port)
	err = preflight.Port(t.Context(), "registry", address)
	var taken *preflight.PortError
	if !errors.As(err, &taken) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("got %v, want an error that names this process", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := preflight.Port(t.Context(), "registry", address); err != nil {
		t.Errorf("free port: %v", err)
	}
}
