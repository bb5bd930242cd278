package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheComparisonSeesWhatIsLeft leaves one thing of each kind behind, as a
// broken `down` would, and wants it to be seen.
func TestTheComparisonSeesWhatIsLeft(t *testing.T) {
	run := func(argv ...string) {
		t.Helper()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	own := []string{"kl99"}
	folder := filepath.Join(*dataRoot, "left")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(*dataRoot) })
	groups, err := filepath.Glob("/sys/fs/cgroup/pids")
	if err != nil || len(groups) == 0 {
		groups = []string{"/sys/fs/cgroup"}
	}
	group := filepath.Join(groups[0], "kaito-local", "kl99")
	cases := map[string]struct {
		leave, clean []string
		see          func(machine) []string
	}{
		"a link":  {[]string{"ip", "link", "add", "kl99", "type", "bridge"}, []string{"ip", "link", "del", "kl99"}, func(m machine) []string { return m.Links }},
		"a table": {[]string{"nft", "add", "table", "ip", "kl99"}, []string{"nft", "delete", "table", "ip", "kl99"}, func(m machine) []string { return m.Tables }},
		"a route": {[]string{"ip", "route", "add", "blackhole", "10.249.99.0/24"}, []string{"ip", "route", "del", "blackhole", "10.249.99.0/24"}, func(m machine) []string { return m.Routes }},
		"a rule":  {[]string{"ip", "rule", "add", "from", "10.249.99.0/24", "lookup", "main"}, []string{"ip", "rule", "del", "from", "10.249.99.0/24"}, func(m machine) []string { return m.Rules }},
		"a mount": {[]string{"mount", "-t", "tmpfs", "left", folder}, []string{"umount", folder}, func(m machine) []string { return m.Mounts }},
		"a group": {[]string{"mkdir", "-p", group}, []string{"rmdir", "-p", "--ignore-fail-on-non-empty", group}, func(m machine) []string { return m.Groups }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := tc.see(snapshot(t, own))
			run(tc.leave...)
			after := tc.see(snapshot(t, own))
			run(tc.clean...)
			if cmp.Diff(before, after) == "" {
				t.Error("it was not seen")
			}
		})
	}
	t.Run("a process", func(t *testing.T) {
		c := exec.Command("tail", "-f", "/dev/null", "--pid", "1", "--retry", folder+"/none")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		found := processes()
		_ = c.Process.Kill()
		_ = c.Wait()
		if len(found) == 0 {
			t.Error("it was not seen")
		}
	})
}
