package hub

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind is why a hub did not give what it was asked for.
type Kind string

const (
	// NotFound is a repository, revision or file that is not there, or not for this token.
	NotFound Kind = "NotFound"
	// Gated is a repository whose terms somebody has to accept first.
	Gated Kind = "Gated"
	// Denied is a token that is missing, not valid, or not enough.
	Denied Kind = "Denied"
	// Limited is a hub that asks us to come back later.
	Limited Kind = "Limited"
	// Unreachable is a line or a hub that does not work right now: no answer, an answer
	// that is cut off, or an error of the hub's own.
	Unreachable Kind = "Unreachable"
	// Refused is any other answer that is no content.
	Refused Kind = "Refused"
	// Hostile is an answer that no hub gives, and that must not be believed.
	Hostile Kind = "Hostile"
)

// Error is what came instead of an answer, in words for the person who can change it.
type Error struct {
	// Kind is for the program, to branch on.
	Kind Kind
	// Message is one sentence.
	Message string
	// Status is the HTTP status; 0 where there was none.
	Status int
	// Wait is how long the hub asked us to wait; 0 where it did not.
	Wait time.Duration
	// Err is the cause, where there is one. It is part of the text.
	Err error
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Passes says whether the same request may go well later, with nothing changed.
func (e *Error) Passes() bool { return e.Kind == Limited || e.Kind == Unreachable }

// cut says whether the line broke, before an answer or within one.
func cut(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == Unreachable && e.Status == 0
}

func hostile(format string, args ...any) error {
	return &Error{Kind: Hostile, Message: fmt.Sprintf(format, args...)}
}

// line is a problem on the way to the hub.
func (r *Repository) line(err error) error {
	return &Error{Kind: Unreachable, Err: err, Message: fmt.Sprintf("Asked %s for %s: %v", r.base.Host, r.Repository, err)}
}

// explain turns an answer without content into words for the user. Every case is an
// answer that the hub is known to give.
func (r *Repository) explain(resp *http.Response) error {
	code, told := resp.Header.Get("X-Error-Code"), said(resp)
	hub, repo := r.base.Host, r.Repository
	answered := fmt.Sprintf("%s answered %d%s", resp.Request.URL.Host, resp.StatusCode, told)
	away := !strings.EqualFold(resp.Request.URL.Host, hub)
	e := &Error{Status: resp.StatusCode}
	says := func(kind Kind, format string, args ...any) error {
		e.Kind, e.Message = kind, fmt.Sprintf(format, args...)
		return e
	}
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests:
		e.Wait = wait(resp.Header)
		return says(Limited, "%s to %s too often; try again later, or put a token %s if the hub limits strangers", answered, repo, r.TokenPlace)
	case status == http.StatusRequestTimeout || status >= http.StatusInternalServerError:
		e.Wait = wait(resp.Header)
		return says(Unreachable, "%s to %s too often; try again later", answered, repo)
	case away:
		// An address that the hub signed a while ago: the next request gets a new one.
		e.Err = errors.New(answered)
		return says(Unreachable, "%s to a request for %s", answered, repo)
	case code == "GatedRepo" || status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind, e.Message = r.access(code, status, answered)
		return e
	case code == "RevisionNotFound":
		return says(NotFound, "%s has no revision %q of %s; look at its list of commits", hub, r.Revision, repo)
	case code == "EntryNotFound":
		return says(NotFound, "%s has no file %q in %s", hub, resp.Request.URL.Path, repo)
	case status == http.StatusNotFound || status == http.StatusGone:
		return says(NotFound, "%s has no repository %s with revision %q, or none that this token may see; look at the name", hub, repo, r.Revision)
	default:
		return says(Refused, "%s to a request for %s; look at the address of the hub", answered, repo)
	}
}

// access says what is wrong with who we are.
func (r *Repository) access(code string, status int, answered string) (Kind, string) {
	hub, repo, place := r.base.Host, r.Repository, r.TokenPlace
	switch {
	case code == "GatedRepo":
		return Gated, fmt.Sprintf("%s is gated: accept its terms at %s with an account of %s, and put a token of that account %s", repo, r.Page(), hub, place)
	case status == http.StatusUnauthorized && r.Token == "":
		return Denied, fmt.Sprintf("%s does not show %s to strangers: it does not exist, or it is private or gated; look at the name, and put a token %s", hub, repo, place)
	case status == http.StatusUnauthorized:
		return Denied, fmt.Sprintf("%s does not accept the token: put one that is valid %s (%s)", hub, place, answered)
	default:
		return Denied, fmt.Sprintf("The token may not read %s: put one that may %s (%s)", repo, place, answered)
	}
}

// maxSaid is as much as we repeat of a stranger's words.
const maxSaid = 200

// said is what the hub gives as its reason.
func said(resp *http.Response) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, resp.Header.Get("X-Error-Message"))
	if text == "" {
		text = http.StatusText(resp.StatusCode)
	}
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + "…"
	}
	if text == "" {
		return ""
	}
	return " (" + strings.TrimSuffix(text, ".") + ")"
}

// rateLimit is the header of the IETF's draft, as the hub writes it: "api";r=0;t=55.
var rateLimit = regexp.MustCompile(`;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)`)

// wait is how long the hub asks us to wait. A date counts from the hub's own.
func wait(h http.Header) time.Duration {
	after := h.Get("Retry-After")
	if n, err := strconv.Atoi(after); err == nil && n > 0 {
		return seconds(n)
	}
	if at, err := http.ParseTime(after); err == nil {
		if now, err := http.ParseTime(h.Get("Date")); err == nil && at.After(now) {
			return at.Sub(now)
		}
	}
	if m := rateLimit.FindStringSubmatch(h.Get("RateLimit")); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return seconds(n)
		}
	}
	return 0
}

// seconds is a number of seconds of a stranger's: a day at most.
func seconds(n int) time.Duration {
	const day = 24 * 3600
	return time.Duration(min(n, day)) * time.Second
}

// withoutQuery takes signatures out of the address that an error names.
func withoutQuery(err error) error {
	var at *url.Error
	if !errors.As(err, &at) {
		return err
	}
	if u, parse := url.Parse(at.URL); parse == nil {
		u.RawQuery, u.Fragment, u.User = "", "", nil
		return &url.Error{Op: at.Op, URL: u.String(), Err: at.Err}
	}
	return at.Err
}
