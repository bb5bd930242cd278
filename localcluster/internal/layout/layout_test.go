package layout_test

import (
	"net/netip"
	"strings"
	"testing"

	"kaito.sh/kaito/localcluster/internal/layout"
)

func TestRangesOfClustersDoNotOverlap(t *testing.T) {
	t.Parallel()
	seen := map[netip.Prefix]string{}
	for i := range layout.MaxClusters {
		c := layout.New("/data", "c", i)
		for _, r := range c.Ranges() {
			p := netip.MustParsePrefix(r)
			for other, of := range seen {
				if p.Overlaps(other) {
					t.Errorf("%s of %s overlaps %s of %s", p, c.Bridge(), other, of)
				}
			}
			seen[p] = c.Bridge()
		}
	}
}

func TestNodesLieInTheirRanges(t *testing.T) {
	t.Parallel()
	c := layout.New("/data", "c", layout.MaxClusters-1)
	for n := 1; n <= layout.MaxNodes; n++ {
		if !netip.MustParsePrefix(c.HostCIDR()).Contains(netip.MustParseAddr(c.NodeIP(n))) {
			t.Errorf("node %d has address %s outside %s", n, c.NodeIP(n), c.HostCIDR())
		}
		if !netip.MustParsePrefix(c.PodsCIDR()).Overlaps(netip.MustParsePrefix(c.PodCIDR(n))) {
			t.Errorf("pods %s of node %d lie outside %s", c.PodCIDR(n), n, c.PodsCIDR())
		}
		if len(c.Veth(n)) > 15 {
			t.Errorf("link name %q is longer than the kernel's 15", c.Veth(n))
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		name string
		ok   bool
	}{
		"a word is a name":             {"kaito", true},
		"digits and hyphens are fine":  {"e2e-a1", true},
		"one letter is a name":         {"a", true},
		"nothing is not":               {"", false},
		"a folder up is not":           {"..", false},
		"a slash is not":               {"a/b", false},
		"capitals are not":             {"Kaito", false},
		"a hyphen at the end is not":   {"kaito-", false},
		"longer than a hostname isn't": {strings.Repeat("a", 60), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := layout.CheckName("cluster", tc.name); (err == nil) != tc.ok {
				t.Errorf("CheckName(%q) = %v", tc.name, err)
			}
		})
	}
}
