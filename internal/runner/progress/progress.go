// Package progress answers GET /progress for the containers of a tuning pod: one number
// board that the work writes and the operator reads.
package progress

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
)

// Path is where a Board answers.
const Path = "/progress"

// patience is how long a client may take with its request, and the last answer at the end.
const patience = 5 * time.Second

// Board holds how far the work is. It is safe for concurrent use.
type Board struct {
	mu  sync.Mutex
	now contract.Progress
}

// NewBoard makes a board that stands at the beginning of phase.
func NewBoard(runID, phase string) *Board {
	return &Board{now: contract.Progress{RunID: runID, Phase: phase}}
}

// Update changes what the board says, all at once for those who read it.
func (b *Board) Update(change func(*contract.Progress)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.now)
}

// Now is a copy of what the board says.
func (b *Board) Now() contract.Progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.now
	out.Losses = slices.Clone(out.Losses)
	return out
}

// ServeHTTP answers GET and HEAD of Path with the progress as JSON.
func (b *Board) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != Path {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is answered here", http.StatusMethodNotAllowed)
		return
	}
	body, err := json.Marshal(b.Now())
	if err != nil { // a loss that is no number, the only value that JSON has no word for
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a reader that left is its own affair
}

// Serve answers for the board on port until stop is called, which closes port.
func (b *Board) Serve(port net.Listener, log *slog.Logger) (stop func()) {
	server := &http.Server{
		Handler: b, ReadHeaderTimeout: patience, WriteTimeout: patience, IdleTimeout: patience,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(port) // it ends with ErrServerClosed, by stop
	}()
	return func() {
		_ = server.Close() // an answer is one write: there is nothing to wait for
		<-ended
	}
}

// Listen opens the port at address, host:port.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	port, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the port for %s: %w", Path, err)
	}
	return port, nil
}
