package aks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/node"
)

// wire is what every call to Azure passes: none goes out while Azure wants to be left
// alone, none to another host, and none takes long.
type wire struct {
	home     string
	clock    clock.PassiveClock
	classify func(error) *node.Error

	mu    sync.Mutex
	until time.Time
	why   *node.Error
	seen  time.Time
}

const (
	// callLimit is how long one call may take.
	callLimit = 30 * time.Second
	// defaultWait is the wait after a refusal that names none, longestWait the longest believed.
	defaultWait = 15 * time.Second
	longestWait = time.Hour
)

// errElsewhere is the error of a call to another host than Azure's: a token that was kept on
// an object of the cluster names it, and our bearer token is not for others.
var errElsewhere = errors.New("the address is not one of Azure Resource Manager's")

// Do is called by the client's pipeline, once a call.
func (w *wire) Do(req *policy.Request) (*http.Response, error) {
	raw := req.Raw()
	if raw.URL.Scheme != "https" && raw.URL.Scheme != "http" || !strings.EqualFold(raw.URL.Host, w.home) {
		return nil, fmt.Errorf("%s: %w", raw.URL.Host, errElsewhere)
	}
	if err := w.closed(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(raw.Context(), callLimit)
	defer cancel() // the answer's body was read by then
	resp, err := req.WithContext(ctx).Next()
	if resp != nil {
		w.note(resp.Header)
	}
	w.consider(resp, err)
	return resp, err
}

// closed is the error of a call while the wire is closed.
func (w *wire) closed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.until.Sub(w.clock.Now())
	if left <= 0 {
		return nil
	}
	why := *w.why
	why.RetryAfter = left
	return &why
}

// consider closes the wire after an answer that asks for a wait.
func (w *wire) consider(resp *http.Response, err error) {
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		resp = re.RawResponse
	}
	if resp == nil {
		return
	}
	wait := retryAfter(resp.Header)
	if resp.StatusCode != http.StatusTooManyRequests && (resp.StatusCode != http.StatusServiceUnavailable || wait == 0) {
		return
	}
	if err == nil {
		err = runtime.NewResponseError(resp) // reads the body, and leaves it to be read again
	}
	why := w.classify(err)
	why.Class = node.Throttled
	if why.RetryAfter == 0 {
		why.RetryAfter = cmp.Or(wait, defaultWait)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if until := w.clock.Now().Add(why.RetryAfter); until.After(w.until) {
		w.until, w.why = until, why
	}
}

// note remembers what time it is at Azure.
func (w *wire) note(h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.After(w.seen) {
		w.seen = at
	}
}

// now is the newest time that Azure has told, zero before the first.
func (w *wire) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// retryAfter is how long an answer wants the client to wait, 0 when it does not say.
func retryAfter(h http.Header) time.Duration {
	for name, unit := range map[string]time.Duration{"Retry-After-Ms": time.Millisecond, "X-Ms-Retry-After-Ms": time.Millisecond, "Retry-After": time.Second} {
		if n, err := strconv.Atoi(h.Get(name)); err == nil && n > 0 {
			return min(time.Duration(min(n, int(longestWait/unit)))*unit, longestWait)
		}
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		if now, err := http.ParseTime(h.Get("Date")); err == nil && at.After(now) {
			return min(at.Sub(now), longestWait)
		}
	}
	return 0
}
