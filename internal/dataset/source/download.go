package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"kaito.sh/kaito/internal/dataset"
)

// Attempts count anew whenever more of a file is there than ever before.
const (
	attempts   = 4
	firstPause = time.Second
	// politePause is the longest that another side may ask us to wait.
	politePause = 30 * time.Second
	copyBuffer  = 256 << 10
)

// errStalled ends a request through which nothing comes any more.
var errStalled = errors.New("no byte came for too long")

// download is one file on its way to disk.
type download struct {
	*web
	target

	path string
	file *os.File
	sum  hash.Hash
	// at of total bytes are there; total is -1 where the server does not say. most is the largest at.
	at, total, most int64
	// validator is what makes sure that a second request means the same bytes, or empty.
	validator string
	// wait is how long the server asks us to wait.
	wait time.Duration
}

// run fetches the file, however often the line is cut.
func (d *download) run(ctx context.Context) (dataset.File, error) {
	var err error
	if d.file, err = os.Create(d.path); err != nil {
		return dataset.File{}, local("create a file for the data", err)
	}
	defer func() { _ = d.file.Close() }() // closed below where it matters
	d.sum, d.total = sha256.New(), -1
	for tries, pause := 0, firstPause; ; pause *= 2 {
		best := d.most
		if err = d.once(ctx); err == nil {
			break
		}
		var final *Error
		if ctx.Err() != nil {
			return dataset.File{}, context.Cause(ctx)
		}
		if errors.As(err, &final) {
			return dataset.File{}, final
		}
		if d.most > best {
			tries, pause = 0, firstPause
		}
		if tries++; tries >= attempts {
			return dataset.File{}, failed(Unreachable, err, "Tried in vain, %d times, to fetch %s: %v", tries, d.shown, err)
		}
		d.Log.Warn("data: trying again", "what", d.shown, "err", err, "attempt", tries)
		if err := d.Sleep(ctx, max(pause, min(d.wait, politePause))); err != nil {
			return dataset.File{}, err
		}
	}
	if err := d.file.Close(); err != nil {
		return dataset.File{}, local("write the data", err)
	}
	return dataset.File{
		Name: d.name, Size: d.at, SHA256: hex.EncodeToString(d.sum.Sum(nil)),
		Open: func(context.Context) (dataset.Handle, error) { return os.Open(d.path) },
	}, nil
}

// once makes one request and takes what comes.
func (d *download) once(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(answerPatience+dialPatience, func() { cancel(errStalled) })
	defer watch.Stop()
	resp, err := d.ask(ctx)
	if err != nil {
		return d.cause(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := d.begin(resp); err != nil {
		return err
	}
	watch.Reset(d.Stall)
	_, err = io.CopyBuffer(d, &watched{resp.Body, func() { watch.Reset(d.Stall) }}, make([]byte, copyBuffer))
	if err == nil && d.total >= 0 && d.at < d.total {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", d.at, d.cause(ctx, err))
	}
	return nil
}

// cause replaces the error of a request that we ended ourselves.
func (d *download) cause(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return d.explain(err)
}

// ask sends the request, for what is missing if the server can give the rest of the same file.
func (d *download) ask(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return nil, failed(Unusable, nil, "%s is not an address that can be asked", d.shown)
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "kaito/"+d.Version)
	if d.at > 0 && d.validator != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
		req.Header.Set("If-Range", d.validator)
	}
	return d.client.Do(req)
}

// begin looks at the head of an answer, and decides where its bytes go.
func (d *download) begin(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		if err := d.anew(); err != nil {
			return err
		}
		d.total = resp.ContentLength
		d.validator = validator(resp.Header)
	case http.StatusPartialContent:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.at)) {
			d.validator = "" // from the beginning, then
			return fmt.Errorf("the server answers the range from %d with %q", d.at, resp.Header.Get("Content-Range"))
		}
	case http.StatusRequestedRangeNotSatisfiable:
		d.validator = ""
		return fmt.Errorf("the server no longer has what it had")
	default:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // a date, or nothing, is no number
		d.wait = time.Duration(max(seconds, 0)) * time.Second
		if no := d.refusal(resp.StatusCode); no != nil {
			return no
		}
		return fmt.Errorf("the server answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if d.total > d.left {
		return d.tooLarge()
	}
	return nil
}

// validator is what If-Range takes: a strong tag of the content, or its date.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// anew forgets what came so far.
func (d *download) anew() error {
	d.at = 0
	d.sum.Reset()
	_, err := d.file.Seek(0, io.SeekStart)
	return local("begin the file anew", errors.Join(err, d.file.Truncate(0)))
}

// Write keeps what comes.
func (d *download) Write(p []byte) (int, error) {
	if d.at+int64(len(p)) > d.left {
		return 0, d.tooLarge()
	}
	n, err := d.file.Write(p)
	d.sum.Write(p[:n])
	d.at += int64(n)
	d.most = max(d.most, d.at)
	d.Report(d.name, d.at, max(d.total, 0))
	return n, local("write the data", err)
}

func (d *download) tooLarge() error {
	return failed(Full, nil, "The data is larger than %d MB, which is the most that is fetched from addresses; use a smaller part of it, or a volume", d.Most/1_000_000)
}

// watched tells of every byte that comes.
type watched struct {
	io.Reader
	came func()
}

// Read reads on.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.came()
	return n, err
}
