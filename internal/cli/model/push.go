package model

import (
	"fmt"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/oci"
)

// newPush is `kaito model push`.
func newPush(sh shell.Shell) *cobra.Command {
	var flags registryFlags
	cmd := &cobra.Command{
		Use:   "push DIR REF",
		Short: "Push a packaged model to a registry",
		Long: `Push an OCI image layout to a registry and print REF with the digest.

What the registry has already is skipped. A push that was cut goes on where it
stopped: by itself while this program runs, or when the same command is run again.`,
		Example: shell.Examples(sh.Name, `
			KAITO model push smollm2-135m-instruct.oci registry.example.com/models/smollm2:gguf

			# A registry without TLS, with the credentials of a Secret
			kubectl get secret push -o jsonpath='{.data.\.dockerconfigjson}' | base64 -d > /dev/shm/push.json
			KAITO model push phi-4.oci 10.0.0.5:5000/private/phi-4:hf --insecure --docker-config /dev/shm/push.json`),
		Args: shell.Exactly("DIR", "REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return push(cmd, sh, flags, args[0], args[1])
		},
	}
	flags.bind(cmd)
	return cmd
}

func push(cmd *cobra.Command, sh shell.Shell, flags registryFlags, dir, ref string) error {
	p := sh.Progress("pushing")
	var last oci.Progress
	client, err := flags.client(sh, p, func(at oci.Progress) {
		last = at
		p.At(at.Done, at.Total)
	})
	if err != nil {
		return err
	}
	digest, err := client.Push(cmd.Context(), dir, ref)
	took := p.End()
	if err != nil {
		return flags.advise(err)
	}
	_, _ = fmt.Fprintf(sh.Err, "pushed %s: %s, %s of it were there, %s\n", ref, shell.Bytes(last.Total), shell.Bytes(last.Skipped), shell.Duration(took))
	_, err = fmt.Fprintf(sh.Out, "%s@%s\n", ref, digest)
	return err
}
