package source

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// InsideError says that an address leads to where nobody but the cluster's own programs should ask.
type InsideError struct{ Address netip.Addr }

// Error names the address.
func (e *InsideError) Error() string {
	return fmt.Sprintf("%s is an address inside of the cluster or of this machine", e.Address)
}

// guard looks at each address just before a connection is made to it: at what a name has
// really led to, however often it changes its mind, and after every redirect.
type guard struct{ allow []netip.Prefix }

// control is for net.Dialer.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read the address %q: %w", address, err)
	}
	at := to.Addr().Unmap().WithZone("")
	if public(at) || slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(at) }) {
		return nil
	}
	return &InsideError{Address: at}
}

// special are ranges that no public server has: IANA's registries of special-purpose addresses.
func special() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// public says whether an address belongs to the internet. Of IPv6 that is 2000::/3, and the
// prefix behind which a translator puts IPv4 (RFC 6052), if what stands in it is public.
func public(at netip.Addr) bool {
	if at.Is6() {
		if netip.MustParsePrefix("64:ff9b::/96").Contains(at) {
			raw := at.As16()
			return public(netip.AddrFrom4([4]byte(raw[12:])))
		}
		if !netip.MustParsePrefix("2000::/3").Contains(at) {
			return false
		}
	}
	return at.IsGlobalUnicast() && !slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(at) })
}
