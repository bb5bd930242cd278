package model

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/hub"
	"kaito.sh/kaito/internal/licence"
	"kaito.sh/kaito/internal/modelfiles"
)

// importFlags are the flags of `kaito model import`.
type importFlags struct {
	revision, endpoint, tokenFile string
	file                          string
	id, licence                   string
	pickles                       bool
	out                           string
}

// newImport is `kaito model import`.
func newImport(sh shell.Shell) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import PATH|OWNER/NAME",
		Short: "Write the catalog file of a model, from its files or from a hub",
		Long: `Write the catalog file of a model: what it is, what it needs, and where each fact comes from.

Facts are read from config.json, and from the headers of safetensors and GGUF files, of a
folder, of one GGUF file, or of a repository of a hub. Of a hub a few small files are read and
the first bytes of large ones, at a commit that the file then names. What no file says is left
out: plans bound it from above and say so. Weights that are pickles are refused.`,
		Example: shell.Examples(sh.Name, `
			# A model of a hub, at the commit that main means now
			KAITO model import Qwen/Qwen3-4B

			# A gated one, of a mirror, at a tag
			KAITO model import meta-llama/Llama-3.1-8B --endpoint https://hub.example.com --revision v1 --token-file token

			# Models of your own: a folder as transformers writes it, a GGUF file
			KAITO model import ./our-model --licence MIT
			KAITO model import our-model.Q4_K_M.gguf --id our-model

			# Where it runs
			KAITO plan our-model --catalog our-model.yaml`),
		Args: shell.Exactly("PATH or OWNER/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, sh, args[0])
		},
	}
	f.bind(cmd.Flags())
	bothSpellings(cmd.Flags(), "license", "licence")
	return cmd
}

func (f *importFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.revision, "revision", "main", "commit, tag or branch `NAME` of the hub")
	flags.StringVar(&f.endpoint, "endpoint", "", "`URL` of the hub (default: $HF_ENDPOINT, or https://huggingface.co)")
	flags.StringVar(&f.tokenFile, "token-file", "", "`FILE` with a token of the hub (default: $HF_TOKEN)")
	flags.StringVar(&f.file, "file", "", "`NAME` of the GGUF file, where there are several")
	flags.StringVar(&f.id, "id", "", "`ID` of the model, as a Workspace will name it (default: from its name)")
	flags.StringVar(&f.licence, "licence", "", "SPDX `ID` of the licence, or its publisher's name (default: what the model says)")
	flags.BoolVar(&f.pickles, "allow-pickles", false, "take weights that are pickles, where there are no others: loading them can run code")
	flags.StringVarP(&f.out, "out", "o", "", "`FILE` to write, - is standard output (default: ID.yaml here)")
}

func (f importFlags) run(cmd *cobra.Command, sh shell.Shell, where string) error {
	got, err := f.read(cmd.Context(), sh, where)
	if err != nil {
		return advised(err)
	}
	m := &got.model
	if f.id != "" {
		m.ID = f.id
	}
	if f.licence != "" {
		m.Licence = f.licence
		m.Redistributable = licence.Redistributable(f.licence)
		got.absent = slices.DeleteFunc(got.absent, func(fact string) bool { return fact == "licence" })
	}
	hidden, err := hides(*m)
	if err != nil {
		return err
	}
	if m.Licence == "" {
		return shell.Usage(cmd, "the model names no licence: say with --licence ID under which one you have it")
	}
	raw, err := catalog.Write(catalog.Page{Model: *m, Source: got.source, Comments: got.comments()})
	if err != nil {
		return err
	}
	if f.out == "-" {
		_, err := sh.Out.Write(raw)
		return err
	}
	if f.out == "" {
		f.out = m.ID + ".yaml"
	}
	if err := write(f.out, raw); err != nil {
		return err
	}
	_, _ = fmt.Fprint(sh.Err, got.said(), hidden, got.next(sh.Name, where, f.out))
	_, err = fmt.Fprintln(sh.Out, f.out)
	return err
}

// advised adds the flag that helps.
func advised(err error) error {
	var of *hub.Error
	if errors.As(err, &of) && of.Kind == hub.Unreachable && of.Status == 0 {
		return fmt.Errorf("%w; name a mirror with --endpoint or $HF_ENDPOINT, or import the folder or GGUF file of a model that was fetched elsewhere", err)
	}
	var refused *modelfiles.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Reason {
	case modelfiles.Ambiguous:
		return fmt.Errorf("%w; say which with --file NAME", err)
	case modelfiles.OnlyPickles:
		return fmt.Errorf("%w; if you trust whoever made them, --allow-pickles takes them", err)
	}
	return err
}

// write writes a file, and never over one that holds something else.
func write(name string, raw []byte) error {
	old, err := os.ReadFile(name)
	switch {
	case err == nil && bytes.Equal(old, raw):
		return nil
	case err == nil:
		return fmt.Errorf("%q is there already and holds something else: remove it, or name another file with -o", name)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look at %q: %w", name, err)
	}
	err = os.WriteFile(name, raw, 0o644)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %q: make it, or name another file with -o", filepath.Dir(name))
	case err != nil:
		return fmt.Errorf("write the catalog file: %w", err)
	}
	return nil
}
