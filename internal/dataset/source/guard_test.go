package source

import (
	"net/netip"
	"testing"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "172.32.0.1": true, "100.128.0.1": true, "2606:4700::1111": true, "2a00:1450:4001::200e": true,
		"64:ff9b::808:808": true, // a translator's word for 8.8.8.8
		"10.0.0.1":         false, "172.16.5.5": false, "192.168.1.1": false, "127.0.0.1": false, "127.8.9.10": false, "0.0.0.0": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "198.18.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"192.0.2.1": false, "::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "2001:db8::1": false,
		"2002:a00:1::": false, "2001:0:a00:1::": false, "64:ff9b::a00:1": false, "64:ff9b:1::808:808": false, "::ffff:10.0.0.1": false, "::10.0.0.1": false,
	} {
		if got := public(netip.MustParseAddr(text).Unmap()); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestTheGuardLooksAtTheAddressItself(t *testing.T) {
	t.Parallel()
	g := guard{[]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	for address, want := range map[string]bool{
		"10.1.2.3:80": true, "10.2.2.3:80": false, "[::ffff:10.1.2.3]:80": true, "[::ffff:10.2.2.3]:80": false, "[fd00::1]:443": true,
		"[fe80::1%eth0]:443": false, "8.8.8.8:443": true, "metadata:80": false,
	} {
		if err := g.control("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("https://host/file.parquet?key=secret")
	f.Add("http://user:password@host:8080/%2e%2e/x")
	f.Add("ftp://x")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parse(text)
		if err == nil && (got.name == "" || got.url.Host == "" || got.url.Scheme != "http" && got.url.Scheme != "https") {
			t.Errorf("%q becomes %+v", text, got)
		}
	})
}
