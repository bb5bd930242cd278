package preflight

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// header and lines are as the kernel writes them; the number behind the user is the inode.
const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0102C80A:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
   1: 4D00007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0 100 0 0 10 0
   2: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 103 1 0 100 0 0 10 0
   3: 0102C80A:192B 0102C80A:9999 01 00000000:00000000 00:00000000 00000000     0        0 104 1 0 100 0 0 10 0
`

const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 201 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000102C80A:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 202 1 0 100 0 0 10 0
`

func TestOnlyTheHolderOfTheVeryAddressIsNamed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		table, address string
		want           []string
	}{
		"the address itself, not another with the same port": {tcp, "10.200.2.1:53", []string{"101"}},
		"all addresses":               {tcp, "10.200.2.1:5000", []string{"103"}},
		"a connection is no holder":   {tcp, "10.200.2.1:6443", nil},
		"nobody":                      {tcp, "10.200.3.1:53", nil},
		"all addresses of both kinds": {tcp6, "10.200.2.1:8080", []string{"201"}},
		"the address, mapped":         {tcp6, "10.200.2.1:8081", []string{"202"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, sockets(tc.table, netip.MustParseAddrPort(tc.address))); diff != "" {
				t.Errorf("inodes (-want +got):\n%s", diff)
			}
		})
	}
}
