package armemulator

import (
	_ "embed" // the messages
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// What Azure says, as published in the named issues, with placeholders for ids and
// numbers. Entries without a source are written after Azure's documentation.
//
//go:embed messages.json
var messagesFile []byte

// Message is one refusal of Azure's.
type Message struct {
	// Name is ours, for scripts of faults.
	Name string `json:"name"`
	// Status is the HTTP status where the call itself is refused.
	Status int `json:"status"`
	// Code and Text are Azure's; Text has placeholders in braces.
	Code string `json:"code"`
	Text string `json:"text"`
	// Subcode and Target are fields that only the container service's own errors have.
	Subcode string `json:"subcode,omitempty"`
	Target  string `json:"target,omitempty"`
	// Wrapped errors stand under "error", as the gateway writes them; the container
	// service writes its own without.
	Wrapped bool `json:"wrapped,omitempty"`
	// Source is where it was seen.
	Source string `json:"source,omitempty"`
}

// Messages are all that the emulator can say, by name.
func Messages() (map[string]Message, error) {
	var all []Message
	if err := json.Unmarshal(messagesFile, &all); err != nil {
		return nil, fmt.Errorf("read the table of Azure's messages: %w", err)
	}
	byName := make(map[string]Message, len(all))
	for _, m := range all {
		if _, twice := byName[m.Name]; twice {
			return nil, fmt.Errorf("two of Azure's messages are called %q", m.Name)
		}
		byName[m.Name] = m
	}
	return byName, nil
}

// refusal is a message with its words filled in, on its way to the client.
type refusal struct {
	Message
	retryAfter time.Duration
}

// say fills in a message: pairs are placeholder, value, placeholder, value.
func (e *Emulator) say(name string, pairs ...string) *refusal {
	m, ok := e.messages[name]
	if !ok {
		m = Message{Name: name, Status: http.StatusInternalServerError, Code: "InternalServerError", Text: name, Wrapped: true}
	}
	defaults := []string{"subscription", e.o.Subscription, "group", e.o.Group, "cluster", e.o.Cluster, "region", e.o.Region}
	return &refusal{Message: m.fill(append(pairs, defaults...))}
}

func (m Message) fill(pairs []string) Message {
	braced := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		braced = append(braced, "{"+pairs[i]+"}", pairs[i+1])
	}
	r := strings.NewReplacer(braced...)
	m.Text, m.Target = r.Replace(m.Text), r.Replace(m.Target)
	return m
}

// reply is the refusal as HTTP.
func (r *refusal) reply() reply {
	out := reply{status: r.Status, header: http.Header{}}
	switch {
	case r.Wrapped:
		out.body = map[string]any{"error": map[string]any{"code": r.Code, "message": r.Text}}
	default:
		body := map[string]any{"code": r.Code, "details": nil, "message": r.Text, "subcode": r.Subcode}
		if r.Target != "" {
			body["target"] = r.Target
		}
		out.body = body
	}
	if r.retryAfter > 0 {
		out.header.Set("Retry-After", seconds(r.retryAfter))
	}
	if r.Status == http.StatusUnauthorized {
		out.header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	return out
}

// failure is the refusal as the end of an operation.
func (r *refusal) failure() *failure { return &failure{Code: r.Code, Message: r.Text} }

// seconds is a duration for Retry-After, rounded up.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d", int64((d+time.Second-1)/time.Second))
}
