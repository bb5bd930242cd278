package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kaito.sh/kaito/internal/runner/ending"
)

// An attempt that failed is followed by a pause that doubles. Attempts count anew
// whenever bytes came through, so that a bad line costs time but never the download.
// All pauses together are about a minute and a half: longer than a registry's restart,
// short enough for the operator to say that something is wrong.
const (
	firstPause = time.Second
	longPause  = 30 * time.Second
	// politePause is the longest that another side may ask us to wait.
	politePause = 5 * time.Minute
	attempts    = 8
)

// patience tries again.
type patience struct {
	sleep func(context.Context, time.Duration) error
	log   *slog.Logger
	what  string
	tries int
	pause time.Duration
}

// advanced makes attempts count anew.
func (p *patience) advanced() { p.tries, p.pause = 0, 0 }

// after decides what follows a failed attempt: nil is another one, after the pause.
func (p *patience) after(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !passing(err) {
		return unreachable(p.what, 1, err)
	}
	if p.tries++; p.tries >= attempts {
		return unreachable(p.what, p.tries, err)
	}
	p.pause = min(max(firstPause, 2*p.pause), longPause)
	pause := p.pause
	var e *Error
	if errors.As(err, &e) && e.Wait > 0 {
		pause = min(e.Wait, politePause)
	}
	p.log.Warn("weights: trying again", "what", p.what, "err", err, "pauseSeconds", pause.Seconds(), "attempt", p.tries)
	return p.sleep(ctx, pause)
}

// unreachable makes an Error of what is none yet.
func unreachable(what string, tries int, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	often := ""
	if tries > 1 {
		often = fmt.Sprintf(", %d times", tries)
	}
	return &Error{Reason: ending.WeightsUnreachable, Err: err, Message: fmt.Sprintf(
		"Tried in vain%s to fetch %s: %v; look at the address, at the name service and at the NetworkPolicies of the namespace", often, what, err)}
}
