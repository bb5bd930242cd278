// Package model is `kaito model`: the facts of a model become a catalog file, and its
// files an image, which goes into a registry and tells what it is.
package model

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/oci"
)

// New is `kaito model`.
func New(sh shell.Shell) *cobra.Command {
	cmd := shell.Group(&cobra.Command{
		Use:   "model",
		Short: "List, import, package, push and inspect models",
		Example: shell.Examples(sh.Name, `
			KAITO model list
			KAITO model import Qwen/Qwen3-4B
			KAITO model package SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m-instruct
			KAITO model push smollm2-135m-instruct.oci registry.example.com/models/smollm2:gguf
			KAITO model inspect registry.example.com/models/smollm2:gguf`),
	})
	cmd.AddCommand(newList(sh), newImport(sh), newPackage(sh), newPush(sh), newInspect(sh))
	return cmd
}

// bothSpellings lets flags be spelled in both ways of English.
func bothSpellings(flags *pflag.FlagSet, other, ours string) {
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, other, ours))
	})
}

// registryFlags are the flags of every verb that speaks to a registry.
type registryFlags struct {
	insecure     bool
	dockerConfig string
}

func (f *registryFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "allow plain HTTP to the registry")
	cmd.Flags().StringVar(&f.dockerConfig, "docker-config", "",
		"`FILE` with credentials, in the form of a kubernetes.io/dockerconfigjson Secret (default: your own Docker or Podman configuration)")
}

// client turns the flags into a client that reports to the shell.
func (f *registryFlags) client(sh shell.Shell, p *shell.Progress, report func(oci.Progress)) (*oci.Client, error) {
	keychain := sh.Keychain
	if f.dockerConfig != "" {
		var err error
		if keychain, err = oci.Keyring(f.dockerConfig); err != nil {
			return nil, err
		}
	}
	scheme := oci.Encrypted
	if f.insecure {
		scheme = oci.Plain
	}
	return oci.New(oci.Options{
		Transport: sh.Transport,
		Keychain:  keychain,
		Scheme:    scheme,
		Sleep:     sh.Sleep,
		Notice:    p.Note,
		Report:    report,
	}), nil
}

// advise adds the flag that helps to an error of a registry.
func (f *registryFlags) advise(err error) error {
	var (
		plain  *oci.PlainHTTPError
		access *oci.AccessError
	)
	switch {
	case errors.As(err, &plain):
		return fmt.Errorf("%w; if that network is yours, allow it with --insecure", err)
	case errors.As(err, &access) && f.dockerConfig != "":
		return fmt.Errorf("%w; the credentials in %s do not suffice", err, f.dockerConfig)
	case errors.As(err, &access):
		return fmt.Errorf("%w; log in there first, or pass credentials with --docker-config FILE", err)
	default:
		return err
	}
}
