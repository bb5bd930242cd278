// Package gate bounds how many requests are at the engine at once and, when the
// pod stops, lets those in flight finish while no new one comes in.
package gate

import (
	"errors"
	"sync"
)

// Why a request may not enter.
var (
	// ErrFull means that as many requests as allowed are in flight.
	ErrFull = errors.New("as many requests as allowed are in flight")
	// ErrClosed means that the pod stops.
	ErrClosed = errors.New("the pod stops")
)

// Gate counts requests in flight. It is safe for concurrent use.
type Gate struct {
	limit int

	mu     sync.Mutex
	inside int
	closed bool
	idle   chan struct{}
}

// New makes an open gate for at most limit requests at once.
func New(limit int) *Gate {
	return &Gate{limit: limit, idle: make(chan struct{})}
}

// Enter admits one request, which must call leave exactly once, or returns ErrFull or ErrClosed.
func (g *Gate) Enter() (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, ErrClosed
	case g.inside >= g.limit:
		return nil, ErrFull
	}
	g.inside++
	return sync.OnceFunc(g.leave), nil
}

// InFlight is how many requests are inside.
func (g *Gate) InFlight() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// Close admits nobody any more. The channel that it returns is closed once the last request has left.
func (g *Gate) Close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		g.settle()
	}
	return g.idle
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.settle()
}

// settle tells that a closed gate is empty; the caller holds the lock.
func (g *Gate) settle() {
	if g.closed && g.inside == 0 {
		close(g.idle)
	}
}
