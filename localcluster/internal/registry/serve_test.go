package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/sirupsen/logrus"

	"kaito.sh/kaito/localcluster/internal/registry"
)

// send makes one call of an upload and returns where it goes on.
func (b *box) send(method, target, contentRange string, body []byte) *http.Response {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	if contentRange != "" {
		request.Header.Set("Content-Range", contentRange)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

// moved is the place of an upload on the registry as it is now, since each start
// of a test server has a port of its own.
func (b *box) moved(response *http.Response) string {
	b.t.Helper()
	u, err := url.Parse(response.Header.Get("Location"))
	if err != nil || u.Path == "" {
		b.t.Fatalf("location %q: %v", response.Header.Get("Location"), err)
	}
	u.Scheme, u.Host = "http", b.host()
	return u.String()
}

func TestAnUploadGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	content := bytes.Repeat([]byte("weights "), 1<<15)
	half := len(content) / 2
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))

	begun := b.send(http.MethodPost, b.server.URL+"/v2/open/model/blobs/uploads/", "", nil)
	if begun.StatusCode != http.StatusAccepted {
		t.Fatalf("begin: %s", begun.Status)
	}
	first := b.send(http.MethodPatch, b.moved(begun), fmt.Sprintf("0-%d", half-1), content[:half])
	if first.StatusCode != http.StatusAccepted {
		t.Fatalf("first half: %s", first.Status)
	}

	b.restart()
	where := b.send(http.MethodGet, b.moved(first), "", nil)
	if want := fmt.Sprintf("0-%d", half-1); where.StatusCode != http.StatusNoContent || where.Header.Get("Range") != want {
		t.Fatalf("after the restart: %s, range %q, want %s", where.Status, where.Header.Get("Range"), want)
	}
	if twice := b.send(http.MethodPatch, b.moved(where), fmt.Sprintf("0-%d", half-1), content[:half]); twice.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("the first half once more: %s", twice.Status)
	}
	second := b.send(http.MethodPatch, b.moved(where), fmt.Sprintf("%d-%d", half, len(content)-1), content[half:])
	if second.StatusCode != http.StatusAccepted {
		t.Fatalf("second half: %s", second.Status)
	}
	end := b.send(http.MethodPut, b.moved(second)+"&digest="+url.QueryEscape(digest), "", nil)
	if end.StatusCode != http.StatusCreated {
		t.Fatalf("end: %s", end.Status)
	}
	response, err := http.Get(b.server.URL + "/v2/open/model/blobs/" + digest)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(content), err)
	}
}

func TestAContentThatIsNotWhatItsDigestSaysIsRefused(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	begun := b.send(http.MethodPost, b.server.URL+"/v2/open/model/blobs/uploads/", "", nil)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("right")))
	end := b.send(http.MethodPut, b.moved(begun)+"&digest="+url.QueryEscape(digest), "", []byte("wrong"))
	if end.StatusCode != http.StatusBadRequest {
		t.Errorf("status %s", end.Status)
	}
}

func TestListenSaysWhyNot(t *testing.T) {
	t.Parallel()
	l, err := registry.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for title, c := range map[string]struct {
		address string
		is      error
		want    string
	}{
		"an address in use":           {l.Addr().String(), syscall.EADDRINUSE, "ss -ltnp"},
		"an address of another house": {"192.0.2.1:5000", syscall.EADDRNOTAVAIL, "bridge"},
	} {
		t.Run(title, func(t *testing.T) {
			_, err := registry.Listen(t.Context(), c.address)
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.address) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestTheLogNamesWhatChangedAndWhoWasRefused(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		method string
		user   string
		status int
		level  string
	}{
		"a push":                      {method: http.MethodPut, status: http.StatusCreated, level: "INFO"},
		"a removal":                   {method: http.MethodDelete, status: http.StatusAccepted, level: "INFO"},
		"a pull":                      {method: http.MethodGet, status: http.StatusOK},
		"a challenge":                 {method: http.MethodGet, status: http.StatusUnauthorized},
		"a wrong password":            {method: http.MethodGet, user: "kaito", status: http.StatusUnauthorized, level: "WARN"},
		"a fault":                     {method: http.MethodGet, status: http.StatusInternalServerError, level: "ERROR"},
		"something that is not there": {method: http.MethodHead, status: http.StatusNotFound},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			l, err := registry.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) })
			var log bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- registry.Serve(ctx, l, app, slog.New(slog.NewJSONHandler(&log, nil))) }()
			request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+l.Addr().String()+"/v2/a/b", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.user != "" {
				request.SetBasicAuth(c.user, "wrong")
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			level := ""
			for line := range strings.Lines(log.String()) {
				var entry struct{ Msg, Level string }
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					t.Fatal(err)
				}
				if entry.Msg == "request answered" {
					level = entry.Level
				}
			}
			if level != c.level {
				t.Errorf("logged at %q, want %q:\n%s", level, c.level, log.String())
			}
		})
	}
}

func TestStopLetsARequestEnd(t *testing.T) {
	t.Parallel()
	l, err := registry.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, goOn := make(chan struct{}), make(chan struct{})
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-goOn
		_, _ = io.WriteString(w, "whole")
	})
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- registry.Serve(ctx, l, app, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}()
	body := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + l.Addr().String() + "/v2/")
		if err != nil {
			body <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		content, _ := io.ReadAll(response.Body)
		body <- string(content)
	}()
	<-arrived
	cancel()
	close(goOn)
	if got := <-body; got != "whole" {
		t.Errorf("answer: %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	var messages []string
	for line := range strings.Lines(log.String()) {
		var entry struct{ Msg, Method, Path string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		messages = append(messages, entry.Msg)
	}
	if got := strings.Join(messages, ", "); got != "registry started, request answered, registry stopped" {
		t.Errorf("log: %s", got)
	}
}

// Not parallel: the library's logger is one for the process.
func TestTheLibrarysLogIsOurs(t *testing.T) {
	var log bytes.Buffer
	registry.BridgeLogs(t.Context(), slog.New(slog.NewJSONHandler(&log, nil)))
	logrus.WithField("digest", "sha256:1").Warn("blob is gone")
	logrus.Info("chatter")
	// What a client hears before each push and each password is no fault.
	logrus.WithField("err.code", errcode.ErrorCodeUnauthorized).Error("response completed with error")
	logrus.WithField("err.code", errcode.ErrorCodeBlobUnknown).Error("response completed with error")
	logrus.WithField("err.code", errcode.ErrorCodeManifestUnknown).Error("response completed with error")
	logrus.WithField("err.code", errcode.ErrorCodeNameUnknown).Error("response completed with error")
	logrus.Warn("error authorizing context: basic authentication challenge for realm \"x\": invalid authorization credential")
	var entry map[string]any
	if err := json.Unmarshal(log.Bytes(), &entry); err != nil {
		t.Fatalf("one line of JSON expected: %v: %s", err, log.String())
	}
	if entry["msg"] != "blob is gone" || entry["level"] != "WARN" || entry["digest"] != "sha256:1" || entry["from"] != "distribution" {
		t.Errorf("entry: %v", entry)
	}
}
