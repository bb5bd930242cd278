// Package chat is `kaito chat`: a conversation with the model of a Workspace, in a
// terminal or for one question. The way goes through the API server, so that
// nothing needs to be forwarded or exposed.
package chat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

// waitByDefault is how long --wait waits without a value.
const waitByDefault = 10 * time.Minute

// maxQuestion is what is read from a pipe.
const maxQuestion = 16 << 20

// options are the flags and the argument.
type options struct {
	cluster     cluster.Flags
	workspace   string
	url         string
	message     string
	system      string
	temperature float64
	maxTokens   int
	wait        time.Duration
	raw         bool
	ask         request
}

// New is `kaito chat`.
func New(sh shell.Shell) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "chat WORKSPACE",
		Short: "Talk to the model of a Workspace",
		Long: `Talk to the model of a Workspace, through the API server: no port is forwarded and
no Service exposed, the right to use pods/portforward is enough.

In a terminal the conversation goes on until Ctrl-D; Ctrl-C stops an answer, and
ends the conversation where none is being given. /help lists the commands.
With --message, or with a question on standard input, it is one question: the
answer goes to standard output, everything else to standard error.`,
		Example: shell.Examples(sh.Name, `
			KAITO chat smollm2
			KAITO chat smollm2 --message "What is the capital of France?"
			git diff | KAITO chat smollm2 --system "Write a commit message for this change"
			KAITO chat smollm2 --wait --temperature 0 --max-tokens 100

			# Any OpenAI API, without a cluster
			KAITO chat --url http://localhost:8080 --model smollm2-135m-instruct`),
		Args: shell.AtMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.read(cmd, args); err != nil {
				return err
			}
			where, err := o.site(sh)
			if err != nil {
				return err
			}
			return run(cmd.Context(), sh, where, o)
		},
	}
	o.cluster.Bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.url, "url", "", "`ADDRESS` of an OpenAI API, instead of a Workspace's")
	f.StringVarP(&o.message, "message", "m", "", "ask this one `QUESTION` and end")
	f.StringVar(&o.ask.Model, "model", "", "`NAME` of an adapter or model that is served (default: the one that the Workspace answers with)")
	f.StringVar(&o.system, "system", "", "`TEXT` that the conversation begins with, for the model alone")
	f.Float64Var(&o.temperature, "temperature", 0, "`NUMBER` from 0 (always the likeliest word) to 2 (default: the engine's own)")
	f.IntVar(&o.maxTokens, "max-tokens", mostTokens, "`NUMBER` of tokens that an answer may have")
	f.DurationVar(&o.wait, "wait", 0, "wait for a Workspace that is not ready, this long (10m where no `TIME` is given)")
	f.Lookup("wait").NoOptDefVal = waitByDefault.String()
	f.BoolVar(&o.raw, "raw", false, "write control characters of an answer to the terminal as they are")
	return cmd
}

// read checks what was given together.
func (o *options) read(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 && o.url == "":
		return shell.Usage(cmd, "WORKSPACE is missing")
	case len(args) == 1 && o.url != "":
		return shell.Usage(cmd, "WORKSPACE and --url exclude each other")
	case cmd.Flags().Changed("message") && strings.TrimSpace(o.message) == "":
		return shell.Usage(cmd, "--message is empty")
	case o.url != "" && !isAddress(o.url):
		return shell.Usage(cmd, "--url %q is not an address like http://host:port", o.url)
	}
	if len(args) == 1 {
		o.workspace = args[0]
	}
	return o.readSampling(cmd)
}

func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// mostTokens is what an answer may have unless the user says otherwise: a small model
// that repeats itself would go on to the end of its context.
const mostTokens = 1024

// readSampling takes numbers only where they were given: 0 is a temperature.
func (o *options) readSampling(cmd *cobra.Command) error {
	if cmd.Flags().Changed("temperature") {
		if o.temperature < 0 || o.temperature > 2 {
			return shell.Usage(cmd, "--temperature %v is not between 0 and 2", o.temperature)
		}
		o.ask.Temperature = &o.temperature
	}
	if o.maxTokens < 1 {
		return shell.Usage(cmd, "--max-tokens %d is not 1 or more", o.maxTokens)
	}
	o.ask.MaxTokens = &o.maxTokens
	return nil
}

func (o *options) site(sh shell.Shell) (*site, error) {
	if o.url != "" {
		return direct(o.url, &http.Transport{Proxy: http.ProxyFromEnvironment}), nil
	}
	c, err := cluster.Open(sh, o.cluster)
	if err != nil {
		return nil, err
	}
	return through(c, o.workspace), nil
}

// run is one question, or a conversation where a person sits at both ends.
func run(ctx context.Context, sh shell.Shell, where *site, o options) error {
	t := &talk{sh: sh, site: where, ask: o.ask, system: o.system, wait: o.wait, out: sh.Text(), thoughts: io.Discard}
	if o.raw {
		t.out = sh.Out
	}
	t.reset()
	switch {
	case o.message != "":
		return o.advise(sh, t.single(ctx, o.message))
	case !sh.InTerminal:
		raw, err := io.ReadAll(io.LimitReader(sh.In, maxQuestion))
		if err != nil {
			return fmt.Errorf("read the question: %w", err)
		}
		if strings.TrimSpace(string(raw)) == "" {
			return fmt.Errorf("standard input holds no question; for a conversation run %s chat in a terminal, or pass --message", sh.Name)
		}
		return o.advise(sh, t.single(ctx, strings.TrimRight(string(raw), "\n")))
	}
	// The person may have to wait, and may stop that.
	if err := t.find(ctx); err != nil {
		return o.advise(sh, err)
	}
	e, err := newEditor(sh)
	if err != nil {
		return err
	}
	defer e.Close()
	stop := e.endWith(ctx)
	defer stop()
	if sh.OutTerminal {
		t.thoughts = faint{t.out, sh.Out}
	}
	return t.converse(ctx, e)
}
