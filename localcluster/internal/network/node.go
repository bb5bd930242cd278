package network

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// inside is the name of a node's end of its cable.
const inside = "eth0"

// Cable connects a node to the bridge.
type Cable struct {
	// Bridge on the machine, and Host, the machine's end of the cable.
	Bridge, Host string
	// Pid is the node's first process.
	Pid int
	// MAC is the hardware address of the node's end.
	MAC string
	// Address of the node with its prefix length, and Gateway, the bridge's address.
	Address, Gateway string
}

// Plug makes the cable and sets the node's address and default route.
func Plug(c Cable) error {
	if err := Unlink(c.Host); err != nil { // what a killed node left
		return err
	}
	br, err := netlink.LinkByName(c.Bridge)
	if err != nil {
		return fmt.Errorf("plug node into bridge %q: %w", c.Bridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = c.Host, br.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: inside, PeerNamespace: netlink.NsPid(c.Pid), PeerHardwareAddr: hardware(c.MAC)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make cable %q: %w", c.Host, err)
	}
	l, err := netlink.LinkByName(c.Host)
	if err != nil {
		return fmt.Errorf("make cable %q: %w", c.Host, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("make cable %q: %w", c.Host, err)
	}
	h, err := enter(c.Pid)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := settle(h, c); err != nil {
		return fmt.Errorf("set up the network of node process %d: %w", c.Pid, err)
	}
	return nil
}

func settle(h *netlink.Handle, c Cable) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := h.LinkSetUp(lo); err != nil {
		return err
	}
	eth, err := h.LinkByName(inside)
	if err != nil {
		return err
	}
	if err := address(h, eth, c.Address); err != nil {
		return err
	}
	return h.RouteReplace(route("0.0.0.0/0", c.Gateway))
}

// Peers makes the node's routes into the range of all pods be exactly these:
// pod range of another node → that node's address.
func Peers(pid int, pods string, want map[string]string) error {
	h, err := enter(pid)
	if err != nil {
		return err
	}
	defer h.Close()
	have, err := h.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list routes of node process %d: %w", pid, err)
	}
	all := netip.MustParsePrefix(pods)
	for _, r := range have {
		if r.Dst == nil || r.Gw == nil {
			continue
		}
		dst, err := netip.ParsePrefix(r.Dst.String())
		if err != nil || !all.Overlaps(dst) || dst.Bits() == 0 || want[dst.String()] == r.Gw.String() {
			continue
		}
		if err := h.RouteDel(&r); err != nil {
			return fmt.Errorf("remove route to %s of node process %d: %w", dst, pid, err)
		}
	}
	for cidr, via := range want {
		if err := h.RouteReplace(route(cidr, via)); err != nil {
			return fmt.Errorf("route %s through %s in node process %d: %w", cidr, via, pid, err)
		}
	}
	return nil
}

// enter opens netlink in the network namespace of a process.
func enter(pid int) (*netlink.Handle, error) {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, fmt.Errorf("open network namespace of process %d: %w", pid, err)
	}
	defer func() { _ = ns.Close() }()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, fmt.Errorf("open network namespace of process %d: %w", pid, err)
	}
	return h, nil
}
