// Package refusal holds the ways in which a serving pod says no: the error body of
// the OpenAI API under /v1 and the reference's {"detail": ...} elsewhere.
package refusal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Refusal is one answer that is not the engine's.
type Refusal struct {
	// Status is the HTTP status.
	Status int
	// Message tells the user what to do.
	Message string
	// Type, Param and Code are those of the OpenAI error body.
	Type, Param, Code string
	// RetryAfter is in seconds; zero sends no such header.
	RetryAfter int
	// Allow lists the methods of a 405.
	Allow string
	// Close asks the client to open its next connection elsewhere.
	Close bool
}

// Types of errors as the OpenAI API and the reference name them.
const (
	typeInvalid  = "invalid_request_error"
	typeRequests = "requests"
	typeServer   = "server_error"
)

// Error returns the message, so that a refusal can travel as an error.
func (r *Refusal) Error() string { return r.Message }

// Shape writes a refusal in the form that one part of the API promises.
type Shape func(w http.ResponseWriter, r *Refusal)

// OpenAI writes {"error": {"message", "type", "param", "code"}}.
func OpenAI(w http.ResponseWriter, r *Refusal) {
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	write(w, r, map[string]body{"error": {r.Message, r.Type, orNull(r.Param), orNull(r.Code)}})
}

// Detail writes {"detail": message}; only an overload has the OpenAI form, as in the reference.
func Detail(w http.ResponseWriter, r *Refusal) {
	if r.Status == http.StatusTooManyRequests {
		OpenAI(w, r)
		return
	}
	write(w, r, map[string]string{"detail": r.Message})
}

// BadRequest is a 400 about the field param, which may be empty.
func BadRequest(param, message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Message: message, Type: typeInvalid, Param: param}
}

// NotFound is a 404 for a path that the pod does not serve.
func NotFound() *Refusal {
	return &Refusal{Status: http.StatusNotFound, Message: "Not Found", Type: typeInvalid, Code: "not_found"}
}

// UnknownModel is the OpenAI API's 404 for a model that is not served here.
func UnknownModel(asked string, served []string) *Refusal {
	return &Refusal{
		Status: http.StatusNotFound, Type: typeInvalid, Param: "model", Code: "model_not_found",
		Message: fmt.Sprintf("The model `%s` does not exist here; served: %s", asked, strings.Join(served, ", ")),
	}
}

// Method is a 405.
func Method(allow string) *Refusal {
	return &Refusal{
		Status: http.StatusMethodNotAllowed, Message: "Method Not Allowed; use " + allow,
		Type: typeInvalid, Code: "method_not_allowed", Allow: allow,
	}
}

// TooLarge is a 413 for a body above limit bytes.
func TooLarge(limit int64) *Refusal {
	return &Refusal{
		Status: http.StatusRequestEntityTooLarge, Type: typeInvalid, Code: "request_too_large", Close: true,
		Message: fmt.Sprintf("The request body is larger than the %d bytes allowed here", limit),
	}
}

// MediaType is a 415 for a body that is not JSON.
func MediaType(got string) *Refusal {
	return &Refusal{
		Status: http.StatusUnsupportedMediaType, Type: typeInvalid, Code: "unsupported_media_type",
		Message: fmt.Sprintf("Unsupported Media Type %q; send JSON with the header Content-Type: application/json", got),
	}
}

// Slow is a 408 for a body that did not arrive in time.
func Slow() *Refusal {
	return &Refusal{
		Status: http.StatusRequestTimeout, Type: typeInvalid, Code: "request_timeout", Close: true,
		Message: "The request body did not arrive in time",
	}
}

// Overload is the reference's 429, with a Retry-After that the reference lacks.
func Overload(limit int) *Refusal {
	return &Refusal{
		Status: http.StatusTooManyRequests, Type: typeRequests, Code: "rate_limit_exceeded", RetryAfter: 1,
		Message: fmt.Sprintf("Too many requests: %d are in flight here; try again later", limit),
	}
}

// NotReady is a 503 while the engine cannot answer; phase says why.
func NotReady(phase string) *Refusal {
	return &Refusal{
		Status: http.StatusServiceUnavailable, Type: typeServer, Code: "not_ready", RetryAfter: 2,
		Message: fmt.Sprintf("The model is not ready to answer (phase %q); try again later", phase),
	}
}

// Stopping is a 503 of a pod that goes away; the next connection reaches another.
func Stopping() *Refusal {
	return &Refusal{
		Status: http.StatusServiceUnavailable, Type: typeServer, Code: "stopping", RetryAfter: 1, Close: true,
		Message: "This pod is stopping; try again",
	}
}

// Follower is a 503 of a pod that computes for another one, which answers.
func Follower() *Refusal {
	return &Refusal{
		Status: http.StatusServiceUnavailable, Type: typeServer, Code: "follower",
		Message: "This pod computes for the first pod of its Workspace, which answers: ask the Service",
	}
}

// BadGateway is a 502 for an engine that did not answer.
func BadGateway() *Refusal {
	return &Refusal{
		Status: http.StatusBadGateway, Type: typeServer, Code: "engine_unreachable",
		Message: "The engine did not answer; the pod's log says why",
	}
}

// FromEngine passes on what the engine itself said.
func FromEngine(status int, message string) *Refusal {
	return &Refusal{Status: status, Message: message, Type: typeServer}
}

func write(w http.ResponseWriter, r *Refusal, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(r.RetryAfter))
	}
	if r.Allow != "" {
		h.Set("Allow", r.Allow)
	}
	if r.Close {
		h.Set("Connection", "close")
	}
	w.WriteHeader(r.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client may have gone, which nobody needs to hear
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
