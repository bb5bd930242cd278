package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// target is one server under load.
type target struct {
	address string
	// request is the whole request as it goes over the wire.
	request []byte
}

// chatRequest is a request for a chat answer as its bytes.
func chatRequest(address string, body []byte) []byte {
	head := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n"+
		"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", address, len(body))
	return append([]byte(head), body...)
}

// line is one kept connection to a target. It writes the request as it is and reads the
// answer, so that most of the time that is measured is the servers'.
type line struct {
	target target
	conn   net.Conn
	in     *bufio.Reader
}

func dial(ctx context.Context, t target) (*line, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &line{target: t, conn: conn, in: bufio.NewReader(conn)}, nil
}

// ask sends the request once and waits for the end of the answer, which must be 200.
func (l *line) ask() error {
	if _, err := l.conn.Write(l.target.request); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK || len(body) == 0 {
		return fmt.Errorf("%s answered %s: %s", l.target.address, resp.Status, body)
	}
	return nil
}

// each runs work on n connections to t at once, and joins what went wrong.
func each(ctx context.Context, t target, n int, work func(i int, l *line) error) error {
	lines := make([]*line, n)
	for i := range lines {
		l, err := dial(ctx, t)
		if err != nil {
			return err
		}
		defer func() { _ = l.conn.Close() }()
		lines[i] = l
	}
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i, l := range lines {
		wait.Go(func() { errs[i] = work(i, l) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// pace is requests at a steady rate, whatever the answers take.
type pace struct {
	now   func() time.Time
	rate  int // requests a second
	lines int // connections that take turns
}

// run asks t for span and returns how long each answer took, from the moment at which
// the request was due where its connection was still busy then.
func (p pace) run(ctx context.Context, t target, span time.Duration) ([]time.Duration, error) {
	every := time.Second * time.Duration(p.lines) / time.Duration(p.rate)
	took := make([][]time.Duration, p.lines)
	begin := p.now().Add(10 * time.Millisecond) // all connections are open by then
	err := each(ctx, t, p.lines, func(i int, l *line) error {
		due := begin.Add(every * time.Duration(i) / time.Duration(p.lines))
		for ; due.Sub(begin) < span; due = due.Add(every) {
			sent := due
			if wait := due.Sub(p.now()); wait > 0 {
				if err := pause(ctx, wait); err != nil {
					return err
				}
				sent = p.now()
			}
			if err := l.ask(); err != nil {
				return err
			}
			took[i] = append(took[i], p.now().Sub(sent))
		}
		return nil
	})
	return slices.Concat(took...), err
}

// flood is as many requests as go through on a number of connections.
type flood struct {
	now   func() time.Time
	lines int
}

// run asks t for span, on each connection once at least, and returns answers a second.
func (f flood) run(ctx context.Context, t target, span time.Duration) (float64, error) {
	counts := make([]int, f.lines)
	begin := f.now()
	err := each(ctx, t, f.lines, func(i int, l *line) error {
		for {
			if err := l.ask(); err != nil {
				return err
			}
			counts[i]++
			if f.now().Sub(begin) >= span || ctx.Err() != nil {
				return ctx.Err()
			}
		}
	})
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / f.now().Sub(begin).Seconds(), err
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// percentile of durations, in milliseconds.
func percentile(of []time.Duration, p float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return float64(sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]) / float64(time.Millisecond)
}
