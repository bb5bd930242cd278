package source_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/dataset/source"
)

// fetcher is a fetch with what it did besides.
type fetcher struct {
	source.Options
	mu    sync.Mutex
	slept []time.Duration
}

func newFetcher(t *testing.T) *fetcher {
	t.Helper()
	f := &fetcher{}
	f.Options = source.Options{
		Dir: t.TempDir(), Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Version: "v1",
		Report: func(string, int64, int64) {}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Sleep: func(ctx context.Context, d time.Duration) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.slept = append(f.slept, d)
			return ctx.Err()
		},
	}
	return f
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func content(t *testing.T, f dataset.File) string {
	t.Helper()
	h, err := f.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	raw, err := io.ReadAll(h)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	if hex.EncodeToString(sum[:]) != f.SHA256 || f.Size != int64(len(raw)) {
		t.Errorf("%s has %d bytes and digest %s, of it is said %d and %s", f.Name, len(raw), hex.EncodeToString(sum[:]), f.Size, f.SHA256)
	}
	return string(raw)
}

func TestFilesComeInOrderUnderNamesWithoutSecrets(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "%s?%s %s:%s %s", r.URL.Path, r.URL.RawQuery, user, password, r.Header.Get("User-Agent"))
	})
	host := strings.TrimPrefix(url, "http://")
	files, err := source.Web(t.Context(), []string{
		url + "/a/x.jsonl?key=1", url + "/b/x.jsonl?key=2", url + "/b/x.jsonl?key=3", "http://me:hidden@" + host + "/y%20z.csv", url,
	}, newFetcher(t).Options)
	if err != nil {
		t.Fatal(err)
	}
	var names, texts []string
	for _, f := range files {
		names, texts = append(names, f.Name), append(texts, content(t, f))
	}
	if diff := cmp.Diff([]string{url + "/a/x.jsonl", url + "/b/x.jsonl (1)", url + "/b/x.jsonl (2)", "y z.csv", host}, names); diff != "" {
		t.Error(diff)
	}
	want := []string{"/a/x.jsonl?key=1 : kaito/v1", "/b/x.jsonl?key=2 : kaito/v1", "/b/x.jsonl?key=3 : kaito/v1", "/y z.csv? me:hidden kaito/v1", "/? : kaito/v1"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Error(diff)
	}
}

// cutter cuts each answer after so many bytes, as often as it is told.
type cutter struct {
	body, tag string
	cuts      int
	mu        sync.Mutex
	ranges    []string
	// ignore answers a range with everything, change gives other content after the first answer.
	ignore, change bool
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ranges = append(c.ranges, r.Header.Get("Range"))
	if c.change && len(c.ranges) == 2 {
		c.body, c.tag = strings.ToUpper(c.body), `"2"`
	}
	from := 0
	if c.tag != "" {
		w.Header().Set("ETag", c.tag)
	}
	if !c.ignore && r.Header.Get("If-Range") == c.tag && r.Header.Get("Range") != "" {
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(c.body)-1, len(c.body)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(c.body)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if c.cuts > 0 {
		c.cuts--
		io.WriteString(w, c.body[from:from+1000])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	io.WriteString(w, c.body[from:])
}

func TestACutDownloadGoesOn(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789abcdef", 500)
	for name, tc := range map[string]struct {
		server *cutter
		want   string
		ranges []string
	}{
		"where it was cut, as often as it is cut": {
			&cutter{body: body, tag: `"1"`, cuts: 6}, body,
			[]string{"", "bytes=1000-", "bytes=2000-", "bytes=3000-", "bytes=4000-", "bytes=5000-", "bytes=6000-"},
		},
		"from the beginning where the server does not say which file it is": {&cutter{body: body, cuts: 1}, body, []string{"", ""}},
		"from the beginning where the server ignores ranges":                {&cutter{body: body, tag: `"1"`, cuts: 1, ignore: true}, body, []string{"", "bytes=1000-"}},
		"from the beginning where the file has changed":                     {&cutter{body: body, tag: `"1"`, cuts: 1, change: true}, strings.ToUpper(body), []string{"", "bytes=1000-"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.server)
			t.Cleanup(server.Close)
			files, err := source.Web(t.Context(), []string{server.URL + "/x"}, newFetcher(t).Options)
			if err != nil {
				t.Fatal(err)
			}
			if got := content(t, files[0]); got != tc.want {
				t.Errorf("%d bytes came", len(got))
			}
			if diff := cmp.Diff(tc.ranges, tc.server.ranges); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestABusyServerIsAskedAgainWhenItSays(t *testing.T) {
	t.Parallel()
	var asked int
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.Header().Set("Retry-After", "7")
			http.Error(w, "later", http.StatusTooManyRequests)
			return
		}
		io.WriteString(w, "x")
	})
	f := newFetcher(t)
	if _, err := source.Web(t.Context(), []string{url}, f.Options); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 7 * time.Second}, f.slept); diff != "" {
		t.Error(diff)
	}
}

func TestRedirectsDoNotTellKeysOn(t *testing.T) {
	t.Parallel()
	var heads http.Header
	second := serve(t, func(w http.ResponseWriter, r *http.Request) {
		heads = r.Header
		io.WriteString(w, "x")
	})
	first := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, second+"/y", http.StatusFound) })
	if _, err := source.Web(t.Context(), []string{first + "/x?key=hidden"}, newFetcher(t).Options); err != nil {
		t.Fatal(err)
	}
	for key, values := range heads {
		if strings.Contains(strings.Join(values, " "), "hidden") {
			t.Errorf("%s: %q", key, values)
		}
	}
}

func TestWhatCannotBeHadIsToldWithItsKind(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "words of the server", code) }
	}
	// Another server of this machine, at an address that is not allowed.
	inside := httptest.NewUnstartedServer(status(200))
	inside.Listener.Close()
	inside.Listener = listen(t, "127.0.0.2:0")
	inside.Start()
	t.Cleanup(inside.Close)
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		// address changes that of the server.
		address func(string) string
		change  func(*source.Options)
		kind    source.Kind
		says    string
	}{
		"404":                {handler: status(404), kind: source.NotFound, says: "There is no file at "},
		"410":                {handler: status(410), kind: source.NotFound, says: "410 Gone"},
		"401":                {handler: status(401), kind: source.Refused, says: "refuses to give the file (401 Unauthorized)"},
		"403":                {handler: status(403), kind: source.Refused, says: "signed"},
		"400":                {handler: status(400), kind: source.Refused, says: "400 Bad Request instead of a file"},
		"429":                {handler: status(429), kind: source.Unreachable, says: "Tried in vain, 4 times"},
		"500":                {handler: status(500), kind: source.Unreachable, says: "500 Internal Server Error"},
		"503":                {handler: status(503), kind: source.Unreachable, says: "503"},
		"a server that ends": {handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, kind: source.Unreachable, says: "in vain"},
		"a server that gives half of it": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
		}, kind: source.Unreachable, says: "after 4 bytes"},
		"a server that says nothing more": {handler: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, change: func(o *source.Options) { o.Stall = 50 * time.Millisecond }, kind: source.Unreachable, says: "no byte came for too long"},
		"nobody there":      {handler: status(200), address: func(string) string { return "http://127.0.0.1:1/x" }, kind: source.Unreachable, says: "connection refused"},
		"no such host":      {handler: status(200), address: func(string) string { return "http://none.invalid/x?key=hidden" }, kind: source.Unreachable, says: "none.invalid"},
		"an address inside": {handler: status(200), address: func(string) string { return inside.URL + "/x" }, kind: source.Refused, says: "127.0.0.2, an address inside"},
		"a redirect inside": {handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) }, kind: source.Refused, says: "127.0.0.2, an address inside"},
		"a name that leads inside": {
			handler: status(200), address: func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) },
			change: func(o *source.Options) { o.Allow = nil }, kind: source.Refused, says: "an address inside of the cluster",
		},
		"redirects without end": {handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, kind: source.Refused, says: "from one address to the next"},
		"a redirect to a file": {handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, kind: source.Refused, says: `scheme "file"`},
		"a length above the limit": {
			handler: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 200)) },
			change:  func(o *source.Options) { o.Most = 100 }, kind: source.Full, says: "larger than",
		},
		"no length, and more than the limit": {handler: func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				io.WriteString(w, "0123456789")
				w.(http.Flusher).Flush()
			}
		}, change: func(o *source.Options) { o.Most = 100 }, kind: source.Full, says: "larger than"},
		"another scheme":            {handler: status(200), address: func(string) string { return "ftp://host/x?key=hidden" }, kind: source.Unusable, says: `"ftp://host/x" is not an address of the form https`},
		"no address":                {handler: status(200), address: func(string) string { return "http://a b/?key=hidden" }, kind: source.Unusable, says: `"http://a b/" is not an address`},
		"authorities that are none": {handler: status(200), change: func(o *source.Options) { o.CAs = []byte("none") }, kind: source.Refused, says: "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, tc.handler) + "/x?key=hidden"
			if tc.address != nil {
				url = tc.address(url)
			}
			f := newFetcher(t)
			if tc.change != nil {
				tc.change(&f.Options)
			}
			_, err := source.Web(t.Context(), []string{url}, f.Options)
			var got *source.Error
			if !errors.As(err, &got) || got.Kind != tc.kind || !strings.Contains(got.Message, tc.says) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(got.Message, "hidden") {
				t.Errorf("a key is shown: %s", got.Message)
			}
		})
	}
}

func TestHTTPSWithAnAuthorityOfOnesOwn(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			return
		}
		io.WriteString(w, "x")
	}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f := newFetcher(t)
	var got *source.Error
	if _, err := source.Web(t.Context(), []string{server.URL + "/x"}, f.Options); !errors.As(err, &got) || got.Kind != source.Refused || !strings.Contains(got.Message, "fetch.caFile") {
		t.Fatalf("a stranger's certificate: %v", err)
	}
	f.CAs = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if _, err := source.Web(t.Context(), []string{server.URL + "/x"}, f.Options); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	if _, err := source.Web(t.Context(), []string{server.URL + "/down"}, f.Options); !errors.As(err, &got) || !strings.Contains(got.Message, "without encryption") {
		t.Errorf("a redirect to http: %v", err)
	}
}

func TestACancelledFetchEndsAsItWasCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if _, err := source.Web(ctx, []string{url}, newFetcher(t).Options); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestAFolderThatCannotBeReadIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/notes.txt", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{dir + "/none": "open the folder", dir: "there is notes.txt"} {
		var got *source.Error
		if _, _, err := source.Folder(path); !errors.As(err, &got) || !strings.Contains(got.Message, says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
