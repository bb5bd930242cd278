package tune

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

const (
	// look is the pause between two reads. A read needs the right to get one Workspace, and no
	// more; the operator writes a status at most every few seconds.
	look = 2 * time.Second
	// narrow is the width of a terminal that does not say its own.
	narrow = 80
)

func newWatch(sh shell.Shell) *cobra.Command {
	var flags cluster.Flags
	plain := false
	cmd := &cobra.Command{
		Use:   "watch WORKSPACE",
		Short: "Show how a training goes, until its model answers",
		Long: `Show how a training goes: what is done and what it waits for, a progress bar, loss,
speed, the time that is left, and the loss curve. Without a terminal, or with --plain,
each change is a line.

Ends with 0 once the tuned model answers (or is published, where it is not to be served)
and with 1 when it has failed, in the words of the condition. Ctrl-C leaves the view;
the training goes on.`,
		Example: shell.Examples(sh.Name, `
			KAITO tune watch workspace-tuning-phi-3
			KAITO tune watch workspace-tuning-phi-3 -n team --plain`),
		Args: shell.Exactly("WORKSPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := cluster.Open(sh, flags)
			if err != nil {
				return err
			}
			var s screen = &lines{sh: sh}
			if sh.OutTerminal && !plain {
				s = &painted{sh: sh}
			}
			ctx, stop := sh.Interruptible(cmd.Context())
			defer stop()
			err = follow(ctx, sh, s, func() (*v1beta1.Workspace, error) { return read(ctx, sh, c, args[0]) })
			if errors.Is(context.Cause(ctx), shell.ErrInterrupted) {
				return fmt.Errorf("%w; the training goes on, to see it again: %s tune watch %s -n %s", shell.ErrInterrupted, sh.Name, args[0], c.Namespace)
			}
			return err
		},
	}
	flags.Bind(cmd)
	cmd.Flags().BoolVar(&plain, "plain", false, "a line for each change, in ASCII, also in a terminal")
	return cmd
}

// screen shows a Workspace.
type screen interface {
	// show is called with each reading.
	show(ws *v1beta1.Workspace)
	// trouble says that a reading did not work and is tried again.
	trouble(err error)
	// end is called after the last reading.
	end(ws *v1beta1.Workspace)
}

// follow reads until the run has ended. A cluster that does not answer for a while is
// asked again; what is wrong with the question itself ends it.
func follow(ctx context.Context, sh shell.Shell, s screen, next func() (*v1beta1.Workspace, error)) error {
	seen := false
	for {
		ws, err := next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!seen || !passes(err)):
			return err
		case err != nil:
			s.trouble(err)
		default:
			seen = true
			s.show(ws)
			if o := outcomeOf(ws); o.done {
				s.end(ws)
				return o.err
			}
		}
		if err := sh.Sleep(ctx, look); err != nil {
			return err
		}
	}
}

// passes is true for a cluster that is away, and not for a Workspace that is.
func passes(err error) bool {
	var away *cluster.UnreachableError
	return errors.As(err, &away)
}

// lines is a screen of lines that stay.
type lines struct {
	sh   shell.Shell
	last string
}

func (l *lines) show(ws *v1beta1.Workspace) { l.say(line(ws)) }

func (l *lines) say(text string) {
	if text != l.last {
		_, _ = fmt.Fprintln(l.sh.Text(), text)
		l.last = text
	}
}

func (l *lines) trouble(err error) { l.say("asked in vain, and again: " + err.Error()) }

func (l *lines) end(ws *v1beta1.Workspace) {
	if outcomeOf(ws).err != nil {
		return
	}
	out := l.sh.Text()
	for _, text := range append(append([]string{"Done"}, summary(ws)...), plot(points(ws.Status.Tuning.Losses), narrow, curveHeight, stars())...) {
		_, _ = fmt.Fprintln(out, text)
	}
}

// painted is a screen that is drawn anew in its place.
type painted struct {
	sh    shell.Shell
	drawn int
	last  string
}

func (p *painted) show(ws *v1beta1.Workspace) { p.paint(frame(ws, p.width())) }

func (p *painted) trouble(err error) {
	p.paint(append(strings.Split(p.last, "\n"), shorten("  asked in vain, and again: "+shell.Clean(err.Error()), p.width())))
}

func (p *painted) width() int {
	if p.sh.Width == nil {
		return narrow
	}
	if n := p.sh.Width(); n > 0 {
		return n - 1 // a full line would wrap on some terminals
	}
	return narrow
}

// paint goes up over what was drawn, and clears each line and all below.
func (p *painted) paint(frame []string) {
	text := strings.Join(frame, "\n")
	if text == p.last {
		return
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	for _, l := range frame {
		b.WriteString("\r\x1b[K" + l + "\n")
	}
	b.WriteString("\x1b[J")
	_, _ = fmt.Fprint(p.sh.Out, b.String())
	p.drawn, p.last = len(frame), text
}

func (p *painted) end(ws *v1beta1.Workspace) {
	if outcomeOf(ws).err != nil {
		return
	}
	out := p.sh.Text()
	_, _ = fmt.Fprintln(out)
	for _, text := range summary(ws) {
		_, _ = fmt.Fprintln(out, text)
	}
	_, _ = fmt.Fprintf(out, "\nAsk it: %s chat %s -n %s\nReport: %s tune report %s -n %s\n", p.sh.Name, ws.Name, ws.Namespace, p.sh.Name, ws.Name, ws.Namespace)
}
