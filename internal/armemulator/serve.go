package armemulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// reply is an answer before it is written.
type reply struct {
	status int
	header http.Header
	body   any
}

// maxBody is far more than any agent pool needs.
const maxBody = 1 << 20

// serve answers one call of Resource Manager's.
func (e *Emulator) serve(w http.ResponseWriter, r *http.Request) {
	c, known := route(r)
	if !known {
		e.answer(w, r, e.refuse(e.say("no-such-type", "version", r.URL.Query().Get("api-version"))))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		e.answer(w, r, e.refuse(e.say("body", "details", err.Error())))
		return
	}
	c.body = body
	var unread *refusal
	if c.verb == VerbPut {
		c.want, unread = e.read(c)
	}
	e.counted(c.verb)
	if early, struck := e.before(c); struck {
		e.answer(w, r, early)
		return
	}
	refused := e.let(c)
	if refused == nil {
		refused = unread
	}
	if refused != nil {
		e.answer(w, r, e.refuse(refused))
		return
	}
	out := e.dispatch(c)
	if out.status < http.StatusMultipleChoices {
		out = e.after(c, out)
	}
	e.answer(w, r, out)
}

func (e *Emulator) counted(v Verb) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.Counts.Requests[v]++
}

// refuse counts a refusal and makes it an answer.
func (e *Emulator) refuse(r *refusal) reply {
	e.rejected(r.Code)
	return r.reply()
}

// let says whether the call may be made at all: who asks, in which version, of what.
func (e *Emulator) let(c *call) *refusal {
	if refused := e.authorize(c); refused != nil {
		return refused
	}
	version := c.r.URL.Query().Get("api-version")
	versions := APIVersions()
	if c.verb == VerbPoll {
		versions = append(versions, operationsVersion)
	}
	switch {
	case version == "":
		return e.say("missing-api-version")
	case !slices.Contains(versions, version):
		return e.say("invalid-api-version", "version", version, "versions", strings.Join(versions, ","))
	case !strings.EqualFold(c.subscription, e.o.Subscription):
		return e.say("subscription-not-found", "subscription", c.subscription)
	case c.group != "" && !strings.EqualFold(c.group, e.o.Group):
		return e.say("group-not-found", "group", c.group)
	case c.cluster != "" && !strings.EqualFold(c.cluster, e.o.Cluster):
		return e.say("cluster-not-found", "cluster", c.cluster, "group", c.group)
	}
	return nil
}

// authorize checks the bearer token and what its identity may do.
func (e *Emulator) authorize(c *call) *refusal {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return e.say("no-token")
	}
	if e.o.Tokens == nil {
		return nil
	}
	identity, refused := e.o.Tokens.check(e, token)
	if refused != nil {
		return refused
	}
	if action := c.action(); action != "" && !identity.may(action) {
		return e.say("forbidden", "client", identity.ClientID, "action", action, "scope", strings.TrimSuffix(c.r.URL.Path, "/"))
	}
	return nil
}

// before lets a fault strike that keeps the call from being made.
func (e *Emulator) before(c *call) (reply, bool) {
	if slow := e.strike(c, DoSlow); slow != nil {
		select {
		case <-e.o.Clock.After(time.Duration(slow.Delay)):
		case <-c.r.Context().Done():
		}
	}
	p := e.strike(c, DoRefuse, DoReset)
	if p == nil {
		return reply{}, false
	}
	if p.Do == DoReset {
		panic(http.ErrAbortHandler)
	}
	return e.refuse(e.words(p, c)), true
}

// after lets a fault strike that spoils the answer of a call which was made.
func (e *Emulator) after(c *call, out reply) reply {
	p := e.strike(c, DoResetAfter, DoRefuseAfter)
	switch {
	case p == nil:
		return out
	case p.Do == DoResetAfter:
		panic(http.ErrAbortHandler)
	}
	return e.refuse(e.words(p, c))
}

func (e *Emulator) dispatch(c *call) reply {
	switch c.verb {
	case VerbPut, VerbDelete, VerbAbort, VerbDeleteMachines:
		return e.change(c)
	case VerbPoll:
		return e.poll(c)
	case VerbList:
		return e.list(c)
	case VerbGet:
		return e.get(c)
	case VerbListMachines, VerbGetMachine:
		return e.machines(c)
	default:
		return e.cluster(c)
	}
}

// answer writes a reply with the headers that all of Resource Manager's have.
func (e *Emulator) answer(w http.ResponseWriter, r *http.Request, out reply) {
	now := e.o.Clock.Now()
	e.mu.Lock()
	id := e.unique()
	e.mu.Unlock()
	h := w.Header()
	for k, v := range out.header {
		h[k] = v
	}
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("Cache-Control", "no-cache")
	h.Set("x-ms-request-id", id)
	h.Set("x-ms-correlation-request-id", id)
	h.Set("x-ms-ratelimit-remaining-subscription-global-reads", "16499")
	e.o.Log.Info("answered", "method", r.Method, "path", r.URL.Path, "status", out.status)
	if out.body == nil {
		w.WriteHeader(out.status)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(out.status)
	if err := json.NewEncoder(w).Encode(out.body); err != nil {
		e.o.Log.Debug("an answer was not read", "err", err)
	}
}

// link is an address of this service as the client reaches it.
func (c *call) link(format string, args ...any) string {
	scheme := "https"
	if c.r.TLS == nil {
		scheme = "http"
	}
	return scheme + "://" + c.host + fmt.Sprintf(format, args...)
}
