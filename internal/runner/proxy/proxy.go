// Package proxy passes the OpenAI API of the engine on: streams as they come, the
// model's name checked, and nothing of the engine's administration.
package proxy

import (
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
	body  *intake.Reader
	log   *slog.Logger
	next  *httputil.ReverseProxy
}

// New makes a proxy to the engine at base.
func New(base *url.URL, names Names, body *intake.Reader, transport http.RoundTripper, log *slog.Logger) *Proxy {
	p := &Proxy{names: names, body: body, log: log}
	p.next = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.SetXForwarded()
			r.Out.Header.Del("Expect") // it was the client's way to ask us
			if whole, ok := r.In.Body.(*known); ok {
				r.Out.Body = whole.again()
				r.Out.GetBody = func() (io.ReadCloser, error) { return whole.again(), nil }
				r.Out.Close = whole.streams
			}
		},
		Transport:    transport,
		BufferPool:   &buffers{},
		ErrorHandler: p.fail,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return p
}

// ServeHTTP passes one request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Clean(r.URL.Path) != r.URL.Path || slices.Contains(administration(), r.URL.Path) {
		refusal.OpenAI(w, refusal.NotFound())
		return
	}
	// Forms, which carry sound, are passed on as they come.
	if r.Method != http.MethodPost || isForm(r.Header) {
		if no := p.body.Bound(w, r); no != nil {
			refusal.OpenAI(w, no)
			return
		}
		p.next.ServeHTTP(w, r)
		return
	}
	body, no := p.body.JSON(w, r)
	if no != nil {
		refusal.OpenAI(w, no)
		return
	}
	defer body.Done()
	order, no := p.names.address(r.URL.Path, body.Bytes())
	if no != nil {
		refusal.OpenAI(w, no)
		return
	}
	whole := know(body, order)
	r.Body = whole
	r.ContentLength = int64(whole.length)
	r.TransferEncoding = nil
	r.Header.Set("Content-Length", strconv.Itoa(whole.length))
	r.Header.Set("Content-Type", "application/json")
	p.next.ServeHTTP(w, r)
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
