// Package proxy passes the OpenAI API of the engine on: streams as they come, the
// model's name checked, and nothing of the engine's administration.
package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strconv"

	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/refusal"
)

// Prefix is the part of the engine's interface that is passed on.
const Prefix = "/v1/"

// administration lists paths under Prefix that change the engine; they are not for clients.
func administration() []string {
	return []string{"/v1/load_lora_adapter", "/v1/unload_lora_adapter"}
}

// Proxy answers everything under Prefix but the list of models.
type Proxy struct {
	names Names
	body  intake.Reader
	log   *slog.Logger
	next  *httputil.ReverseProxy
}

// New makes a proxy to the engine at base.
func New(base *url.URL, names Names, body intake.Reader, transport http.RoundTripper, log *slog.Logger) *Proxy {
	p := &Proxy{names: names, body: body, log: log}
	p.next = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.SetXForwarded()
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  p.fail,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return p
}

// ServeHTTP passes one request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Clean(r.URL.Path) != r.URL.Path || slices.Contains(administration(), r.URL.Path) {
		refusal.OpenAI(w, refusal.NotFound())
		return
	}
	if no := p.prepare(w, r); no != nil {
		refusal.OpenAI(w, no)
		return
	}
	p.next.ServeHTTP(w, r)
}

// prepare makes the body the engine's. Forms, which carry sound, are passed on as they are.
func (p *Proxy) prepare(w http.ResponseWriter, r *http.Request) *refusal.Refusal {
	if r.Method != http.MethodPost || isForm(r.Header) {
		return p.body.Bound(w, r)
	}
	body, no := p.body.JSON(w, r)
	if no != nil {
		return no
	}
	if body, no = p.names.address(body); no != nil {
		return no
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	r.Header.Set("Content-Type", "application/json")
	return nil
}

// isForm says whether a body is a form with files.
func isForm(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "multipart/form-data"
}

// fail answers for an engine that did not.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refusal.OpenAI(w, p.body.Refusal(err))
	case errors.Is(err, context.Canceled):
		// The client has gone; the engine was told by the closed connection.
	default:
		p.log.Error("engine did not answer", "path", r.URL.Path, "err", err)
		refusal.OpenAI(w, refusal.BadGateway())
	}
}
