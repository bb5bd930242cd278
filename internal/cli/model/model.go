// Package model is `kaito model`: a model file becomes an image, goes into a
// registry, and tells what it is.
package model

import (
	"log/slog"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/oci"
)

// New is `kaito model`.
func New(sh shell.Shell) *cobra.Command {
	cmd := shell.Group(&cobra.Command{
		Use:   "model",
		Short: "Package, push and inspect models",
		Example: shell.Examples(sh.Name, `
			KAITO model package SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m-instruct
			KAITO model push smollm2-135m-instruct.oci registry.example.com/models/smollm2:gguf
			KAITO model inspect registry.example.com/models/smollm2:gguf`),
	})
	cmd.AddCommand(newPackage(sh), newPush(sh), newInspect(sh))
	return cmd
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
func (f *registryFlags) client(sh shell.Shell, report func(oci.Progress)) (*oci.Client, error) {
	keychain := sh.Keychain
	if f.dockerConfig != "" {
		var err error
		if keychain, err = oci.Keyring(f.dockerConfig); err != nil {
			return nil, err
		}
	}
	if keychain == nil {
		keychain = authn.NewMultiKeychain()
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
		Log:       slog.New(slog.NewTextHandler(sh.Err, &slog.HandlerOptions{ReplaceAttr: noTime})),
		Report:    report,
	}), nil
}

// noTime keeps the clock out of lines that a person reads as they appear.
func noTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
