package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"kaito.sh/kaito/internal/dataset"
)

// What Options leave open.
const (
	// DefaultMost is the size that a data set may have when it comes from addresses: what
	// the folder of a check may hold, less something.
	DefaultMost = 10_000_000_000
	// DefaultStall is how long a request may bring nothing.
	DefaultStall = time.Minute

	dialPatience   = 10 * time.Second
	answerPatience = 30 * time.Second
	// redirects is how often a server may send us elsewhere.
	redirects = 8
)

// Options are what a fetch gets from outside.
type Options struct {
	// Dir receives the files; it is made where it is missing.
	Dir string
	// Allow are ranges inside of the cluster that may be asked all the same.
	Allow []netip.Prefix
	// Anywhere switches the guard off: on somebody's own machine they may ask whom they like,
	// and through their proxy.
	Anywhere bool
	// CAs are further authorities for https, in PEM.
	CAs []byte
	// Most is the size of all files together; 0 takes DefaultMost.
	Most int64
	// Stall is how long a request may bring nothing; 0 takes DefaultStall.
	Stall time.Duration
	// Sleep waits between attempts.
	Sleep func(context.Context, time.Duration) error
	// Report hears how many bytes of the current file have come, and of how many; 0 is unknown.
	Report func(name string, done, total int64)
	// Version is our own, for the other side's logs.
	Version string
	// Log receives what went wrong and was got over.
	Log *slog.Logger
}

// Web fetches files from addresses into a folder, in order. The error is an *Error, unless ctx ended.
func Web(ctx context.Context, urls []string, o Options) ([]dataset.File, error) {
	w, err := newWeb(o)
	if err != nil {
		return nil, err
	}
	defer w.client.CloseIdleConnections()
	var targets []target
	for _, text := range urls {
		t, err := parse(text)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	distinguish(targets)
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, local("make the folder for the data", err)
	}
	var files []dataset.File
	for i, t := range targets {
		d := &download{web: w, target: t, path: filepath.Join(o.Dir, fmt.Sprintf("%04d", i))}
		f, err := d.run(ctx)
		if err != nil {
			return nil, err
		}
		w.left -= f.Size
		files = append(files, f)
	}
	return files, nil
}

// web is one fetch.
type web struct {
	Options
	client *http.Client
	// left is how many bytes may still come.
	left int64
}

func newWeb(o Options) (*web, error) {
	if o.Most <= 0 {
		o.Most = DefaultMost
	}
	if o.Stall <= 0 {
		o.Stall = DefaultStall
	}
	dialer := &net.Dialer{Timeout: dialPatience}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialPatience, ResponseHeaderTimeout: answerPatience,
		DisableCompression: true, // digests are of the bytes as they are stored
		ForceAttemptHTTP2:  true, MaxIdleConnsPerHost: 1, IdleConnTimeout: dialPatience,
	}
	if o.Anywhere {
		transport.Proxy = http.ProxyFromEnvironment
	} else {
		dialer.Control = guard{o.Allow}.control
	}
	if len(o.CAs) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(o.CAs) {
			return nil, failed(Refused, nil, "The further authorities for https hold no certificate in PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &web{Options: o, left: o.Most, client: &http.Client{Transport: transport, CheckRedirect: follow}}, nil
}

// follow decides about a redirect. The address that we came from holds keys in its query: it
// is not told on.
func follow(r *http.Request, via []*http.Request) error {
	r.Header.Del("Referer")
	from := via[0].URL
	switch {
	case len(via) > redirects:
		return failed(Refused, nil, "%s sends us from one address to the next", from.Host)
	case r.URL.Scheme != "https" && r.URL.Scheme != "http":
		return failed(Refused, nil, "%s sends us on to an address of the scheme %q; only http and https are fetched", from.Host, r.URL.Scheme)
	case from.Scheme == "https" && r.URL.Scheme != "https":
		return failed(Refused, nil, "%s sends us on to %s without encryption; name an address that stays encrypted", from.Host, r.URL.Host)
	}
	return nil
}

// target is an address and how it is called.
type target struct {
	url *url.URL
	// name is how messages call the file, shown is its address without what may be secret.
	name, shown string
}

// parse reads an address that a user wrote.
func parse(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return target{}, failed(Unusable, err, "%q is not an address", withoutQuery(text))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return target{}, failed(Unusable, nil, "%q is not an address of the form https://host/file", withoutQuery(text))
	}
	t := target{url: u, name: path.Base(u.Path), shown: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()}
	if t.name == "." || t.name == "/" {
		t.name = u.Host
	}
	return t, nil
}

// withoutQuery cuts off what may be secret of text that is no address.
func withoutQuery(text string) string {
	text, _, _ = strings.Cut(text, "?")
	if i := strings.LastIndex(text, "@"); i >= 0 {
		text = text[i+1:]
	}
	return text
}

// distinguish gives files of one name longer ones, and numbers where even those are the same.
func distinguish(all []target) {
	count := func(of func(target) string) map[string]int {
		seen := map[string]int{}
		for _, t := range all {
			seen[of(t)]++
		}
		return seen
	}
	names, shown := count(func(t target) string { return t.name }), count(func(t target) string { return t.shown })
	number := map[string]int{}
	for i, t := range all {
		if names[t.name] < 2 {
			continue
		}
		all[i].name = t.shown
		if shown[t.shown] > 1 {
			number[t.shown]++
			all[i].name = fmt.Sprintf("%s (%d)", t.shown, number[t.shown])
		}
	}
}

// explain turns what a connection ended with into words without the address's query. What
// may pass is not an *Error.
func (t target) explain(err error) error {
	var (
		mine    *Error
		inside  *InsideError
		address *url.Error
		cert    *tls.CertificateVerificationError
		name    *net.DNSError
	)
	if errors.As(err, &address) {
		err = address.Err // its text has the whole address
	}
	switch {
	case errors.As(err, &mine):
		return mine
	case errors.As(err, &inside):
		return failed(Refused, err, "%s leads to %s, an address inside of the cluster; data is fetched from there only if an administrator allows it with the chart's value fetch.allowCIDRs",
			t.shown, inside.Address)
	case errors.As(err, &cert):
		return failed(Refused, err, "%s has a certificate that cannot be trusted (%v); use one of a known authority, or name yours in the chart's value fetch.caFile", t.shown, cert.Err)
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Errorf("there is no host %q", name.Name)
	}
	return err
}

// refusal is the meaning of a status that brings no file; nil may pass.
func (t target) refusal(status int) *Error {
	words := fmt.Sprintf("%d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return failed(NotFound, nil, "There is no file at %s (%s); look at the address", t.shown, words)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return failed(Refused, nil, "%s refuses to give the file (%s); use an address that carries its own permission, such as a signed one, and look whether it has expired", t.shown, words)
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return nil
	}
	return failed(Refused, nil, "%s answers %s instead of a file; look at the address", t.shown, words)
}
