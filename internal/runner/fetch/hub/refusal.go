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

	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
)

// secretField is where a user names the Secret with the token.
const secretField = "presetOptions.modelAccessSecret"

// explain turns an answer without content into words for the user. Every case is an
// answer that the hub is known to give.
func (s *Source) explain(resp *http.Response) error {
	code, told := resp.Header.Get("X-Error-Code"), said(resp)
	hub, repo := s.base.Host, s.Repository
	answered := fmt.Sprintf("%s answered %d%s", resp.Request.URL.Host, resp.StatusCode, told)
	away := !strings.EqualFold(resp.Request.URL.Host, hub)
	switch status := resp.StatusCode; {
	case busy(status):
		return &fetch.Error{Reason: ending.WeightsUnreachable, Wait: wait(resp.Header), Message: fmt.Sprintf(
			"%s to %s too often; try again later, or name a token in the Secret of %s if the hub limits strangers", answered, repo, secretField)}
	case away:
		// An address that the hub signed a while ago: the next request gets a new one.
		return errors.New(answered)
	case code == "GatedRepo" || status == http.StatusUnauthorized || status == http.StatusForbidden:
		return s.access(code, status, answered)
	case code == "RevisionNotFound":
		return missing("%s has no revision %q of %s; look at its list of commits", hub, s.Revision, repo)
	case code == "EntryNotFound":
		return missing("%s has no file %q in %s", hub, resp.Request.URL.Path, repo)
	case status == http.StatusNotFound || status == http.StatusGone:
		return missing("%s has no repository %s with revision %q, or none that this token may see; look at the name", hub, repo, s.Revision)
	default:
		return refused("%s to a request for %s; look at the address of the hub", answered, repo)
	}
}

// busy says whether the same request may be answered later.
func busy(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= http.StatusInternalServerError
}

// access says what is wrong with who we are.
func (s *Source) access(code string, status int, answered string) error {
	hub, repo := s.base.Host, s.Repository
	switch {
	case code == "GatedRepo":
		return refused("%s is gated: accept its terms at %s with an account of %s, and put a token of that account under the key HF_TOKEN into the Secret that %s names",
			repo, s.at(s.repository()...), hub, secretField)
	case status == http.StatusUnauthorized && s.Token == "":
		return refused("%s does not show %s to strangers: it does not exist, or it is private or gated; look at the name, and put a token under the key HF_TOKEN into the Secret that %s names",
			hub, repo, secretField)
	case status == http.StatusUnauthorized:
		return refused("%s does not accept the token: put one that is valid, under the key HF_TOKEN, into the Secret that %s names (%s)", hub, secretField, answered)
	default:
		return refused("The token may not read %s: put one that may, under the key HF_TOKEN, into the Secret that %s names (%s)", repo, secretField, answered)
	}
}

func refused(format string, args ...any) error {
	return &fetch.Error{Reason: ending.WeightsRefused, Message: fmt.Sprintf(format, args...)}
}

func missing(format string, args ...any) error {
	return &fetch.Error{Reason: ending.WeightsNotFound, Message: fmt.Sprintf(format, args...)}
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
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil {
		if now, err := http.ParseTime(h.Get("Date")); err == nil && at.After(now) {
			return at.Sub(now)
		}
	}
	if m := rateLimit.FindStringSubmatch(h.Get("RateLimit")); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return time.Duration(n) * time.Second
		}
	}
	return 0
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
