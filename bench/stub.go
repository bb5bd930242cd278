package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// beStub as the first argument makes this program the stub engine; the second is its address.
const beStub = "stub-engine"

// beRelay as the first argument makes this program a relay of bytes from the second, its
// address, to the third.
const beRelay = "tcp-relay"

// roles serves as one of the processes that are measured, if the arguments say so.
func roles(ctx context.Context, args []string) (bool, error) {
	switch {
	case len(args) == 3 && args[1] == beStub:
		return true, serveStub(args[2])
	case len(args) == 4 && args[1] == beRelay:
		return true, serveRelay(ctx, args[2], args[3])
	}
	return false, nil
}

// stubAnswer is what the stub engine answers to everything: the shape of a short answer.
const stubAnswer = `{"id":"chatcmpl-stub","object":"chat.completion","created":1,"model":"stub",` +
	`"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"The capital of France is Paris."}}],` +
	`"usage":{"prompt_tokens":12,"completion_tokens":8,"total_tokens":20}}`

// serveStub is an engine without a model: it reads a request to its end and answers at once.
func serveStub(address string) error {
	server := &http.Server{
		Addr: address, ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout: 5 * time.Second, // as engines have it
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, stubAnswer)
		}),
	}
	return server.ListenAndServe()
}

// serveRelay copies bytes between its clients and another server, both ways.
func serveRelay(ctx context.Context, address, to string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	for {
		in, err := l.Accept()
		if err != nil {
			return err
		}
		out, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
		if err != nil {
			return errors.Join(err, in.Close())
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			go func() {
				_, _ = io.Copy(struct{ io.Writer }{way[1]}, struct{ io.Reader }{way[0]}) // through memory, as the runner does
				_ = in.Close()
				_ = out.Close()
			}()
		}
	}
}
