package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// errStalled ends a request through which nothing comes any more.
var errStalled = errors.New("no byte came for too long")

// stream is the bytes of one part, over as many requests as it takes.
type stream struct {
	ctx   context.Context
	part  Part
	tries patience
	stall time.Duration
	at    int64
	moved func(at int64)

	// The open request, if there is one.
	request context.Context
	cancel  context.CancelCauseFunc
	body    io.ReadCloser
	watch   *time.Timer
}

// Read reads on, if need be with a new request from the byte that is missing.
func (s *stream) Read(p []byte) (int, error) {
	for s.at < s.part.Size {
		n, err := s.once(p)
		if n > 0 {
			s.tries.advanced()
			s.at += int64(n)
			s.moved(s.at)
			return n, nil
		}
		if err == nil {
			continue
		}
		s.close()
		if err := s.tries.after(s.ctx, err); err != nil {
			return 0, err
		}
	}
	s.close()
	return 0, io.EOF
}

// once reads from the open request, or opens one.
func (s *stream) once(p []byte) (int, error) {
	if s.body == nil {
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	s.watch.Reset(s.stall)
	n, err := s.body.Read(p[:min(int64(len(p)), s.part.Size-s.at)])
	s.watch.Stop()
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%d of %d bytes came: %w", s.at+int64(n), s.part.Size, io.ErrUnexpectedEOF)
	}
	return n, s.cause(err)
}

// open makes a request that ends when nothing comes through it.
func (s *stream) open() error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.request, s.cancel = ctx, cancel
	s.watch = time.AfterFunc(s.stall, func() { cancel(errStalled) })
	body, err := s.part.Open(ctx, s.at)
	s.watch.Stop()
	s.body = body
	return s.cause(err)
}

// cause replaces the error of a request that we ended ourselves.
func (s *stream) cause(err error) error {
	if err != nil && errors.Is(context.Cause(s.request), errStalled) {
		return fmt.Errorf("%w (%s)", errStalled, s.stall)
	}
	return err
}

// skip passes over n bytes that are known from elsewhere.
func (s *stream) skip(n int64) {
	s.close()
	s.at += n
	s.moved(s.at)
}

// close ends the request.
func (s *stream) close() {
	if s.body != nil {
		_ = s.body.Close()
		s.body = nil
	}
	if s.cancel != nil {
		s.watch.Stop()
		s.cancel(nil)
		s.cancel = nil
	}
}

// tally is a stream whose beginning, or a piece of it, may be on our disk already.
// All bytes are added up, whichever way they come.
type tally struct {
	net *stream
	sum hash.Hash
	// known is what is on disk of what comes next; nil is nothing.
	known io.Reader
	// used says that bytes of our disk were taken for the other side's.
	used bool
}

// Read takes what is known from disk and the rest from the other side.
func (t *tally) Read(p []byte) (int, error) {
	if t.known != nil {
		n, err := t.known.Read(p)
		if n > 0 {
			t.used = true
			t.sum.Write(p[:n])
			t.net.skip(int64(n))
			return n, nil
		}
		if !errors.Is(err, io.EOF) {
			return 0, local("read what an earlier run brought", err)
		}
		t.known = nil
	}
	n, err := t.net.Read(p)
	t.sum.Write(p[:n])
	return n, err
}
