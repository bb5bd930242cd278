package oci

import (
	"fmt"
	"net"
	"net/http"
)

// schemeGuard refuses plain HTTP unless it was allowed or stays on this machine.
type schemeGuard struct {
	inner  http.RoundTripper
	scheme Scheme
}

// RoundTrip passes on what is allowed.
func (g *schemeGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && g.scheme != Plain && !loopback(r.URL.Hostname()) {
		return nil, &PlainHTTPError{Host: r.URL.Host}
	}
	return g.inner.RoundTrip(r) //nolint:wrapcheck // a transport passes errors as they are
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// formGuard refuses to send a form again to another host. Only the request for a token
// is a form, it holds an identity token, and Go's client would repeat its body.
type formGuard struct{ inner http.RoundTripper }

// RoundTrip looks at answers to forms.
func (g *formGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.inner.RoundTrip(r)
	if err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return resp, err //nolint:wrapcheck // a transport passes errors as they are
	}
	if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
		return resp, nil
	}
	to, err := resp.Location()
	if err == nil && to.Host == r.URL.Host && to.Scheme == r.URL.Scheme {
		return resp, nil
	}
	_ = resp.Body.Close()
	return nil, finalError{fmt.Errorf("%s, which gives out tokens, sends our credentials on to %q, which is another host", r.URL.Host, resp.Header.Get("Location"))}
}
