package engine

import (
	"net/http"
	"time"
)

// idle is how long a connection to an engine is kept for the next request: engines close
// theirs after 5 s (cpp-httplib, uvicorn), and a request must not meet that moment.
const idle = 2 * time.Second

// transport keeps connections for requests that can be sent again where an engine has
// closed the connection before anything was written to it: net/http does so by itself.
// Others, whose body passes by once, get a connection of their own. A request of which
// anything was written is never sent twice: nobody knows what the engine did with it.
//
// Who asks for a stream sets Close on the request: llama-server closes the connection
// behind a stream without announcing it, and the next request on it would be lost.
type transport struct{ kept, fresh *http.Transport }

// Transport is how requests to an engine travel: never through a proxy, never
// compressed, with at most connections of them kept for the next request.
func Transport(connections int) http.RoundTripper {
	return &transport{
		kept: &http.Transport{
			DisableCompression: true, MaxIdleConnsPerHost: connections, IdleConnTimeout: idle,
			WriteBufferSize: 16 << 10, // a usual request goes out in one piece
		},
		fresh: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	}
}

// RoundTrip sends one request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return t.fresh.RoundTrip(r)
	}
	return t.kept.RoundTrip(r)
}
