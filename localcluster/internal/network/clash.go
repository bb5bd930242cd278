package network

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
)

// Used is a range of addresses that something on the machine uses.
type Used struct {
	// Range of addresses.
	Range netip.Prefix
	// Link that it belongs to.
	Link string
}

// InUse lists the machine's addresses and routes, default routes left out.
func InUse() ([]Used, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var out []Used
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if p, err := netip.ParsePrefix(r.Dst.String()); err == nil && p.Bits() > 0 {
			out = append(out, Used{p.Masked(), names[r.LinkIndex]})
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.IPNet.String()); err == nil {
			out = append(out, Used{p.Masked(), names[a.LinkIndex]})
		}
	}
	return out, nil
}

// ClashError says that somebody else uses addresses that a cluster needs.
type ClashError struct {
	// Want is the cluster's range.
	Want string
	// By is what uses part of it.
	By Used
}

// Error says who uses what.
func (e *ClashError) Error() string {
	return fmt.Sprintf("addresses %s are used already: %s on link %q", e.Want, e.By.Range, e.By.Link)
}

// Clash finds the first of the wanted ranges that a link other than our own
// bridge uses; nil when there is none.
func Clash(used []Used, want []string, bridge string) error {
	for _, w := range want {
		p := netip.MustParsePrefix(w)
		for _, u := range used {
			if u.Range.Overlaps(p) && u.Link != bridge && !strings.HasPrefix(u.Link, bridge+"n") {
				return &ClashError{Want: w, By: u}
			}
		}
	}
	return nil
}
