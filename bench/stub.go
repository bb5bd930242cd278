package main

import (
	"io"
	"net/http"
	"time"
)

// beStub as the first argument makes this program the stub engine; the second is its address.
const beStub = "stub-engine"

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
