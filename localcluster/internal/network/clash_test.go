package network_test

import (
	"errors"
	"net/netip"
	"testing"

	"kaito.sh/kaito/localcluster/internal/network"
)

func TestClash(t *testing.T) {
	t.Parallel()
	want := []string{"10.200.0.0/24", "10.210.0.0/16"}
	cases := map[string]struct {
		used   network.Used
		clash  string
		reason string
	}{
		"an empty machine":        {used: network.Used{Range: netip.MustParsePrefix("192.0.2.0/24"), Link: "eth0"}},
		"our own bridge":          {used: network.Used{Range: netip.MustParsePrefix("10.200.0.0/24"), Link: "kl0"}},
		"a wide VPN":              {used: network.Used{Range: netip.MustParsePrefix("10.0.0.0/8"), Link: "tun0"}, clash: "10.200.0.0/24"},
		"one address in the pods": {used: network.Used{Range: netip.MustParsePrefix("10.210.7.9/32"), Link: "eth1"}, clash: "10.210.0.0/16"},
		"another cluster's bridge": {
			used: network.Used{Range: netip.MustParsePrefix("10.200.0.0/24"), Link: "kl01"}, clash: "10.200.0.0/24",
			reason: "kl01 begins like kl0 but is not ours",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := network.Clash([]network.Used{tc.used}, want, "kl0")
			var clash *network.ClashError
			if got := errors.As(err, &clash); got != (tc.clash != "") {
				t.Fatalf("got %v; %s", err, tc.reason)
			}
			if tc.clash != "" && clash.Want != tc.clash {
				t.Errorf("clash over %s, want %s", clash.Want, tc.clash)
			}
		})
	}
}
