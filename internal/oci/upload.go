package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// upload moves one blob to the registry.
type upload struct {
	s     *session
	blob  v1.Descriptor
	open  func() (Content, error)
	chunk int64
	// stall is how long a request may stand still.
	stall time.Duration
	notes *notes
	// at is how much the registry has; moved hears when that changes.
	at    int64
	moved func(at int64)
	// had is how much of it the registry had before this program sent anything.
	had int64
	// whole is set when the registry takes no chunks.
	whole bool
}

// unknownUploadError says that the registry has forgotten an upload, or never said how far it is.
type unknownUploadError struct{ error }

func (e unknownUploadError) Unwrap() error { return e.error }

// run makes one attempt: it looks whether the blob is there, goes on with the
// upload that the notes remember or begins one, and commits. The caller tries again.
func (u *upload) run(ctx context.Context) error {
	there, err := u.exists(ctx)
	if err != nil {
		return err
	}
	if there {
		if u.at == 0 {
			u.had = u.blob.Size
		}
		u.notes.forget()
		return nil
	}
	file, err := u.open()
	if err != nil {
		return finalError{err}
	}
	defer func() { _ = file.Close() }()
	if u.blob.Size <= u.chunk || u.whole {
		return u.inOne(ctx, file)
	}
	return u.inChunks(ctx, file)
}

func (u *upload) exists(ctx context.Context) (bool, error) {
	resp, err := u.send(ctx, http.MethodHead, u.s.base+"/blobs/"+u.blob.Digest.String(), nil, nil)
	if err != nil {
		return false, err
	}
	defer drain(resp)
	return resp.StatusCode == http.StatusOK, check(resp, http.StatusOK, http.StatusNotFound)
}

// inOne sends the blob with the request that commits it.
func (u *upload) inOne(ctx context.Context, file Content) error {
	location, err := u.begin(ctx)
	if err != nil {
		return err
	}
	u.move(0)
	return u.commit(ctx, location, u.body(file, 0, u.blob.Size))
}

// inChunks sends the blob piece by piece and asks the registry how far it is
// whenever the two could disagree.
func (u *upload) inChunks(ctx context.Context, file Content) error {
	location, err := u.resume(ctx)
	if err != nil {
		return err
	}
	resumed := u.at > 0
	for u.at < u.blob.Size {
		next, err := u.patch(ctx, location, file)
		if u.refusedChunk(err) {
			u.whole = true
			u.notes.forget()
			return u.inOne(ctx, file)
		}
		if statusIs(err, http.StatusRequestedRangeNotSatisfiable) {
			next, err = u.again(ctx, location)
		}
		if err != nil {
			return err
		}
		location = next
		u.notes.keep(location)
	}
	err = u.commit(ctx, location, nil)
	if statusIs(err, http.StatusBadRequest) && resumed {
		// The registry kept something else under this upload: only a fresh one can tell whose fault it is.
		u.notes.forget()
		u.move(0)
		return unknownUploadError{errors.New(err.Error())}
	}
	return err
}

// resume continues the upload that the notes remember, if the registry does too.
func (u *upload) resume(ctx context.Context) (string, error) {
	if location := u.notes.location(); location != "" {
		first := u.at == 0
		next, err := u.status(ctx, location)
		if first {
			u.had = u.at
		}
		var unknown unknownUploadError
		if err == nil || !errors.As(err, &unknown) {
			return next, err
		}
		u.notes.forget()
	}
	u.move(0)
	u.had = 0
	location, err := u.begin(ctx)
	if err != nil {
		return "", err
	}
	u.notes.keep(location)
	return location, nil
}

// again asks how far the registry is after it refused our offset. When it is
// where we are, or does not say, the upload is given up and begun anew.
func (u *upload) again(ctx context.Context, location string) (string, error) {
	before := u.at
	next, err := u.status(ctx, location)
	if err == nil && u.at == before {
		err = unknownUploadError{fmt.Errorf("registry refuses byte %d and reports byte %d", before, u.at)}
	}
	if err != nil {
		u.notes.forget()
	}
	return next, err
}

// begin opens an upload.
func (u *upload) begin(ctx context.Context) (string, error) {
	resp, err := u.send(ctx, http.MethodPost, u.s.base+"/blobs/uploads/", nil, nil)
	if err != nil {
		return "", err
	}
	defer drain(resp)
	if err := check(resp, http.StatusAccepted); err != nil {
		return "", err
	}
	if least, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil {
		u.chunk = max(u.chunk, min(least, 1<<30))
	}
	return location(resp)
}

// status asks how far an upload is.
func (u *upload) status(ctx context.Context, at string) (string, error) {
	resp, err := u.send(ctx, http.MethodGet, at, nil, nil)
	if err != nil {
		return "", err
	}
	defer drain(resp)
	if err := check(resp, http.StatusNoContent, http.StatusAccepted, http.StatusOK); err != nil {
		if resp.StatusCode >= 400 && resp.StatusCode < 500 && !refusesUs(resp.StatusCode) {
			return "", unknownUploadError{err}
		}
		return "", err
	}
	_, last, ok := strings.Cut(strings.TrimPrefix(resp.Header.Get("Range"), "bytes="), "-")
	end, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil || end < 0 || end >= u.blob.Size {
		return "", unknownUploadError{fmt.Errorf("registry reports the range %q of an upload of %d bytes", resp.Header.Get("Range"), u.blob.Size)}
	}
	// The protocol cannot tell an empty upload from one byte. A chunk is never one byte, so it is empty.
	if end > 0 {
		end++
	}
	u.move(end)
	if resp.Header.Get("Location") == "" {
		return at, nil
	}
	return location(resp)
}

// patch sends the next chunk.
func (u *upload) patch(ctx context.Context, at string, file Content) (string, error) {
	n := min(u.chunk, u.blob.Size-u.at)
	// The spec asks for START-END here, without a unit and without a total.
	head := http.Header{"Content-Range": {fmt.Sprintf("%d-%d", u.at, u.at+n-1)}}
	resp, err := u.send(ctx, http.MethodPatch, at, u.body(file, u.at, n), head)
	if err != nil {
		return "", err
	}
	defer drain(resp)
	if err := check(resp, http.StatusAccepted, http.StatusNoContent, http.StatusCreated); err != nil {
		return "", err
	}
	u.move(u.at + n)
	return location(resp)
}

// refusedChunk says whether the registry takes no chunks at all: its first answer to one is a refusal.
func (u *upload) refusedChunk(err error) bool {
	var answer *transport.Error
	if u.at != 0 || !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusLengthRequired,
		http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return true
	default:
		return false
	}
}

// commit names the uploaded bytes; the registry compares them with the digest.
func (u *upload) commit(ctx context.Context, at string, body *payload) error {
	target, err := url.Parse(at)
	if err != nil {
		return finalError{fmt.Errorf("read upload location: %w", err)}
	}
	query := target.Query()
	query.Set("digest", u.blob.Digest.String())
	target.RawQuery = query.Encode()
	resp, err := u.send(ctx, http.MethodPut, target.String(), body, nil)
	if err != nil {
		return err
	}
	defer drain(resp)
	if err := check(resp, http.StatusCreated, http.StatusNoContent); err != nil {
		return err
	}
	u.move(u.blob.Size)
	u.notes.forget()
	return nil
}

func (u *upload) move(at int64) {
	u.at = at
	u.moved(at)
}
