package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// drainTime is how long requests may take to end when the registry stops. An
	// upload that is cut goes on where it was.
	drainTime = 5 * time.Second
	// headerTime is how long a client may take to send its headers.
	headerTime = 10 * time.Second
)

// Listen opens the address and says what to do when it is taken.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: %w: another registry or program has it (ss -ltnp tells which); stop it or choose another address", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen on %s: %w: no interface of this machine has the address (is the cluster's bridge up?)", address, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// Serve answers requests until the context ends, and then lets those under way
// come to their end.
func Serve(ctx context.Context, l net.Listener, app http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           logged(app, log),
		ReadHeaderTimeout: headerTime,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	log.Info("registry started", "address", l.Addr().String())
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests were cut", "after", drainTime)
		err = server.Close()
	}
	if err != nil {
		return fmt.Errorf("stop the registry: %w", err)
	}
	log.Info("registry stopped")
	return nil
}

// logged writes a line for each request that changes something, and a warning for
// each that came with credentials and was refused.
func logged(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		level := slog.LevelDebug
		switch {
		case seen.status >= http.StatusInternalServerError:
			level = slog.LevelError
		case seen.status == http.StatusUnauthorized && !anonymous(r):
			level = slog.LevelWarn
		case seen.status < http.StatusBadRequest && (r.Method == http.MethodPut || r.Method == http.MethodDelete):
			level = slog.LevelInfo
		}
		log.Log(r.Context(), level, "request answered", "method", r.Method, "path", r.URL.Path,
			"status", seen.status, "client", r.RemoteAddr, "agent", r.UserAgent())
	})
}

// A recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers and passes on.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController (and sendfile) the real writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// ReadFrom keeps the kernel's copy from file to socket for large blobs.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(r.ResponseWriter, src)
}
