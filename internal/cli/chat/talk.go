package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

// Bounds of patience.
const (
	// busyTries is how often a server with too many requests is asked.
	busyTries = 60
	// brokenTries is how often a question is asked that broke before its answer.
	brokenTries = 3
	// look is the pause between two looks at a Workspace that is waited for.
	look = 2 * time.Second
)

// talk is one conversation.
type talk struct {
	sh   shell.Shell
	site *site
	// ask is what each request says besides its messages.
	ask request
	// system begins the history, where there is one.
	system string
	// wait is how long a Workspace that is not ready is waited for.
	wait time.Duration
	// out takes the answers, thoughts what a model thinks before; both may be read by a person.
	out, thoughts io.Writer

	history []message
	place   place
}

// note is a line to the person that is no answer.
func (t *talk) note(format string, args ...any) {
	_, _ = fmt.Fprintln(t.sh.Err, shell.Clean(fmt.Sprintf(format, args...)))
}

// reset begins anew.
func (t *talk) reset() {
	t.history = nil
	if t.system != "" {
		t.history = []message{{Role: "system", Content: t.system}}
	}
}

// answer asks the question and writes the answer as it comes. Both join the
// history, unless there was no answer: then the question may be asked again.
func (t *talk) answer(ctx context.Context, question string) error {
	q := t.ask
	q.Messages = append(append([]message{}, t.history...), message{Role: "user", Content: question})
	got, err := t.insist(ctx, q)
	if got.text == "" && err != nil {
		return err
	}
	if got.text != "" && !strings.HasSuffix(got.text, "\n") {
		_, _ = fmt.Fprintln(t.out)
	}
	t.history = append(q.Messages, message{Role: "assistant", Content: got.text, stopped: err != nil})
	if got.end == "length" {
		t.note("The answer ends here because it has reached its limit of tokens: --max-tokens, or the model's context")
	}
	return err
}

// insist asks until an answer begins, or there is no use in asking again.
func (t *talk) insist(ctx context.Context, q request) (part, error) {
	began := t.sh.Now()
	for busy, broken := 0, 0; ; {
		if err := t.find(ctx); err != nil {
			return part{}, err
		}
		got, err := t.once(ctx, q)
		if err == nil || got.text != "" || ctx.Err() != nil {
			return got, err
		}
		var (
			no     *refusal
			denied *cluster.DeniedError
			pause  time.Duration
		)
		switch {
		case errors.As(err, &no):
			busy++
			because, again := t.patience(no, busy, began)
			if !again {
				return got, err
			}
			pause = max(no.retryAfter, time.Second)
			t.note("%s: asking again in %s", because, shell.Duration(pause))
		case errors.As(err, &denied):
			return got, err
		default:
			if broken++; broken == brokenTries {
				return got, err
			}
			pause = time.Second
			t.note("%v: trying again", err)
		}
		t.site.leave()
		if err := t.sh.Sleep(ctx, pause); err != nil {
			return got, stopped(ctx, err)
		}
	}
}

// patience says what a refusal waits for that passes by itself.
func (t *talk) patience(no *refusal, tries int, began time.Time) (because string, again bool) {
	switch {
	case no.status == http.StatusTooManyRequests:
		return "The model has too many requests", tries <= busyTries
	case no.status == http.StatusServiceUnavailable && no.code == "stopping":
		return "The pod stops", tries <= busyTries
	case no.status == http.StatusServiceUnavailable:
		return no.message, t.sh.Now().Before(began.Add(t.wait))
	}
	return "", false
}

// once asks once, and gathers what comes.
func (t *talk) once(ctx context.Context, q request) (part, error) {
	var (
		got  part
		text strings.Builder
	)
	err := t.site.stream(ctx, q, func(p part) {
		if p.thought != "" {
			got.thought += p.thought
			_, _ = io.WriteString(t.thoughts, p.thought)
		}
		if p.text != "" {
			if text.Len() == 0 && got.thought != "" {
				_, _ = io.WriteString(t.thoughts, "\n\n")
			}
			text.WriteString(p.text)
			_, _ = io.WriteString(t.out, p.text)
		}
		if p.end != "" {
			got.end = p.end
		}
	})
	got.text = text.String()
	return got, err
}

// find looks for the place that answers, and says when it is another one.
func (t *talk) find(ctx context.Context) error {
	next, err := t.site.look(ctx)
	var waits *NotReadyError
	if errors.As(err, &waits) && t.wait > 0 {
		next, err = t.await(ctx, waits)
	}
	if err != nil {
		return stopped(ctx, err)
	}
	if t.place != (place{}) && next != t.place {
		if next.name == t.place.name {
			t.note("%s is gone: a new one of that name answers from here on", upper(t.place.name))
		} else {
			t.note("%s is gone: %s answers from here on", upper(t.place.name), next.name)
		}
		t.site.leave()
	}
	t.place = next
	return nil
}

// await waits for a Workspace, and says what for whenever that changes.
func (t *talk) await(ctx context.Context, waits *NotReadyError) (place, error) {
	deadline, said := t.sh.Now().Add(t.wait), ""
	for {
		if waits.State == v1beta1.StateFailed {
			return place{}, fmt.Errorf("%w; waiting does not help", waits)
		}
		if waits.Because != said {
			said = waits.Because
			t.note("Waiting for Workspace %q: %s", waits.Name, said)
		}
		if !t.sh.Now().Before(deadline) {
			return place{}, fmt.Errorf("%w; waited for %s", waits, shell.Duration(t.wait))
		}
		if err := t.sh.Sleep(ctx, look); err != nil {
			return place{}, err
		}
		next, err := t.site.look(ctx)
		if err == nil || !errors.As(err, &waits) {
			return next, err
		}
	}
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
