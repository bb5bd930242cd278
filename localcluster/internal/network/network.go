// Package network lays the cluster's cables on this machine: a bridge, a veth
// pair to each node, and the routes by which the machine and the nodes reach
// pods and services. It touches nothing else: no firewall rule, no forwarding.
package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge makes the bridge with its addresses, or repairs it. Without a hardware
// address of its own it would take over that of a node, and change it with the
// nodes, while others go on sending to the one they know.
func Bridge(name, mac, cidr string) error {
	l, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr = name, hardware(mac)
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return fmt.Errorf("make bridge %q: %w", name, err)
		}
		l, err = netlink.LinkByName(name)
	}
	if err != nil {
		return fmt.Errorf("make bridge %q: %w", name, err)
	}
	if err := address(netlinkHere{}, l, cidr); err != nil {
		return fmt.Errorf("make bridge %q: %w", name, err)
	}
	return nil
}

// addresser is the part of netlink that gives a link its address, in this or
// another network namespace.
type addresser interface {
	AddrReplace(netlink.Link, *netlink.Addr) error
	LinkSetUp(netlink.Link) error
}

type netlinkHere struct{}

func (netlinkHere) AddrReplace(l netlink.Link, a *netlink.Addr) error {
	return netlink.AddrReplace(l, a)
}
func (netlinkHere) LinkSetUp(l netlink.Link) error { return netlink.LinkSetUp(l) }

func address(h addresser, l netlink.Link, cidr string) error {
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if err := h.AddrReplace(l, a); err != nil {
		return fmt.Errorf("give it address %s: %w", cidr, err)
	}
	return h.LinkSetUp(l)
}

// Unlink removes a link; it may be gone already.
func Unlink(name string) error {
	l, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %q: %w", name, err)
	}
	return nil
}

// Route sends a range of the machine's traffic through a node.
func Route(cidr, via string) error {
	if err := netlink.RouteReplace(route(cidr, via)); err != nil {
		return fmt.Errorf("route %s through %s: %w", cidr, via, err)
	}
	return nil
}

// Unroute removes the machine's route to a range; it may be gone already.
func Unroute(cidr string) error {
	err := netlink.RouteDel(&netlink.Route{Dst: ipnet(cidr)})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove route to %s: %w", cidr, err)
	}
	return nil
}

func route(cidr, via string) *netlink.Route {
	return &netlink.Route{Dst: ipnet(cidr), Gw: net.ParseIP(via)}
}

// hardware turns an address of package layout into netlink's type; nil lets the
// kernel choose.
func hardware(mac string) net.HardwareAddr {
	a, err := net.ParseMAC(mac)
	if err != nil {
		return nil
	}
	return a
}

// ipnet turns a range of package layout into netlink's type.
func ipnet(cidr string) *net.IPNet {
	p := netip.MustParsePrefix(cidr).Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
