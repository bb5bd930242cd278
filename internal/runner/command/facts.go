package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/hub"
	hubfacts "kaito.sh/kaito/internal/hub/facts"
	"kaito.sh/kaito/internal/modelfiles"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/phase"
)

// mostFound is what the kubelet keeps of the termination message of a pod with one container.
const mostFound = 4 << 10

// factsFlags are those of facts.
type factsFlags struct {
	endpoint, repository, revision string
	tokenFile                      string
	pickles                        bool
	terminationLog                 string
	logLevel                       slog.Level
}

func factsCommand(w World) *cobra.Command {
	var f factsFlags
	cmd := &cobra.Command{
		Use:   "facts --repository OWNER/NAME",
		Short: "Read what a model of the hub is, with a token",
		Long: `Read what a model of the hub is, without fetching it: a few small files and the beginnings of
large ones, at the commit that the revision means now.

The termination log says what was found, as JSON, or how it ended. The exit code is 2 where
the same would happen again, and 1 where it may pass.`,
		Example: `  # in a pod, for a gated model
  kaito-runner facts --repository meta-llama/Llama-3.1-8B-Instruct --token-file /etc/kaito-secrets/hub/HF_TOKEN

  # on a desk
  kaito-runner facts --repository HuggingFaceTB/SmolLM2-135M-Instruct --termination-log /dev/stdout`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: f.logLevel}))
			found, err := f.read(cmd.Context(), w)
			if err == nil {
				log.Info("facts ended", "repository", f.repository, "bytes", len(found))
				return f.tell(found)
			}
			end := ending.From(err, string(phase.Checking))
			log.Error("facts ended", "reason", end.Reason, "message", end.Message, "exitCode", end.ExitCode)
			return errors.Join(end, f.tell(end.JSON()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.endpoint, "endpoint", "https://huggingface.co", "the hub, which alone sees the token")
	flags.StringVar(&f.repository, "repository", "", "owner/name")
	flags.StringVar(&f.revision, "revision", "main", "commit, tag or branch")
	flags.StringVar(&f.tokenFile, "token-file", contract.HubTokenFile, "file with the token; one that is missing is no token")
	flags.BoolVar(&f.pickles, "allow-pickle", false, "take weights that can run code when they are loaded, where there are no others")
	flags.StringVar(&f.terminationLog, "termination-log", "/dev/termination-log", "file for how it ended; empty writes none")
	flags.TextVar(&f.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	_ = cmd.MarkFlagRequired("repository") // it is there
	return cmd
}

// tell leaves word for the kubelet.
func (f factsFlags) tell(words []byte) error {
	if f.terminationLog == "" {
		return nil
	}
	if err := os.WriteFile(f.terminationLog, words, 0o644); err != nil {
		return fmt.Errorf("write termination message: %w", err)
	}
	return nil
}

// read is the termination message of a model that was found.
func (f factsFlags) read(ctx context.Context, w World) ([]byte, error) {
	raw, err := os.ReadFile(f.tokenFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, factsEnd(ending.WeightsRefused, ending.CodeConfig, "The token for the hub cannot be read: %v", err)
	}
	answer, err := hubfacts.Read(ctx, hubfacts.Options{ //nolint:gosec // words about a token, none itself
		Endpoints:  []hubfacts.Endpoint{{URL: f.endpoint, Token: string(bytes.TrimSpace(raw))}},
		Repository: f.repository, Revision: f.revision, AllowPickles: f.pickles,
		TokenPlace: "under the key HF_TOKEN into the Secret that presetOptions.modelAccessSecret names",
		Agent:      "kaito-runner/" + w.Version,
	})
	if err != nil {
		return nil, f.refused(err)
	}
	answer.Model.Licence = cmp.Or(answer.Model.Licence, catalog.LicenceUnstated)
	model, err := catalog.Write(catalog.Page{Model: answer.Model})
	if err != nil {
		return nil, factsEnd(ending.WeightsUnusable, ending.CodeConfig, "%v", err)
	}
	found, err := json.Marshal(contract.Found{Reason: contract.Done, Commit: answer.Commit, Model: string(model)})
	if err != nil || len(found) > mostFound {
		return nil, factsEnd(ending.WeightsUnusable, ending.CodeConfig, "What %s is cannot be told in %d bytes (%v)", f.repository, mostFound, err)
	}
	return found, nil
}

// refused turns the errors of a reading into endings.
func (f factsFlags) refused(err error) error {
	var of *hub.Error
	var files *modelfiles.Refusal
	switch {
	case errors.As(err, &files) && files.Reason == modelfiles.OnlyPickles:
		return factsEnd(ending.WeightsUnusable, ending.CodeConfig,
			"%s has its weights as pickles alone, which can run code when they are loaded: where you trust it set the annotation kaito.sh/allow-pickle of the Workspace to \"true\"", f.repository)
	case errors.As(err, &files):
		return factsEnd(ending.WeightsUnusable, ending.CodeConfig, "%s", files.Message)
	case !errors.As(err, &of):
		return factsEnd(ending.WeightsUnreachable, ending.CodeFailed, "%v", err)
	}
	switch of.Kind {
	case hub.NotFound:
		return factsEnd(ending.WeightsNotFound, ending.CodeConfig, "%s", of.Message)
	case hub.Gated, hub.Denied:
		return factsEnd(ending.WeightsRefused, ending.CodeConfig, "%s", of.Message)
	case hub.Hostile:
		return factsEnd(ending.WeightsUnusable, ending.CodeConfig, "%s", of.Message)
	case hub.Limited, hub.Unreachable, hub.Refused:
	}
	return factsEnd(ending.WeightsUnreachable, ending.CodeFailed, "%s", of.Message)
}

func factsEnd(reason ending.Reason, code int, format string, args ...any) error {
	return &ending.Ending{Reason: reason, Message: fmt.Sprintf(format, args...), ExitCode: code, Phase: string(phase.Checking)}
}
