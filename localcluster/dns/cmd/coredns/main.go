// Command coredns is a CoreDNS with only the plugins that a small cluster needs.
// The published one carries cloud SDKs and four times the size.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"
)

// directives are the plugins in the order in which a query passes them: that of CoreDNS's
// own plugin.cfg, but for template, which stands behind what knows names, so that it can
// answer for those that nothing knows.
func directives() []string {
	return []string{
		"reload", "bind", "health", "ready", "errors", "log", "loadbalance", "cache",
		"hosts", "kubernetes", "template", "loop", "forward",
	}
}

func main() {
	dnsserver.Directives = directives()
	coremain.Run()
}
