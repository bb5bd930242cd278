package model

import (
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/modelimage"
)

// newPackage is `kaito model package`.
func newPackage(sh shell.Shell) *cobra.Command {
	var o modelimage.Options
	cmd := &cobra.Command{
		Use:   "package PATH --name ID",
		Short: "Turn a model file or folder into an OCI image",
		Long: `Turn a GGUF file, or a folder in transformers form, into an OCI image layout.

The image has one uncompressed layer a file, under /model, with the licence as
/model/LICENSE and the facts of the model as annotations. The same input gives
the same digest. Files are checked first: what is cut off, incomplete, or could
run code when it is loaded is refused.`,
		Example: shell.Examples(sh.Name, `
			# One GGUF file; its licence is in its metadata
			KAITO model package SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m-instruct

			# A folder as transformers writes it, with the licence text and where it came from
			KAITO model package ./phi-4 --name phi-4 --license-file LICENSE \
			  --source https://huggingface.co/microsoft/phi-4 --revision 187ef03

			# A model of your own, which nobody licenses to you
			KAITO model package ./our-model --name our-model --no-license "trained by us, internal use"`),
		Args: shell.Exactly("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Name == "" {
				return shell.Usage(cmd, "--name is missing")
			}
			o.Path = args[0]
			if o.Out == "" {
				o.Out = path.Base(o.Name) + ".oci"
			}
			return pack(cmd, sh, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "`ID` of the model, as a Workspace names it")
	f.StringVarP(&o.Out, "out", "o", "", "`DIR` for the OCI image layout (default: ID.oci here)")
	f.StringVar(&o.LicenseFile, "license-file", "", "`FILE` with the licence's text (default: LICENSE in the folder)")
	f.StringVar(&o.License, "license", "", "SPDX `ID` of the licence (default: what the model says, or what its text is)")
	f.StringVar(&o.NoLicense, "no-license", "", "`REASON` why the model has no licence")
	f.StringVar(&o.Source, "source", "", "`URL` of where the model came from")
	f.StringVar(&o.Revision, "revision", "", "`REVISION` of the source")
	bothSpellings(f, "licence", "license")
	return cmd
}

func pack(cmd *cobra.Command, sh shell.Shell, o modelimage.Options) error {
	p := sh.Progress("packaging")
	o.Report = func(at modelimage.Progress) { p.At(at.Done, at.Total) }
	r, err := modelimage.Package(cmd.Context(), o)
	took := p.End()
	if err != nil {
		return fmt.Errorf("package model: %w", err)
	}
	if len(r.Left) > 0 {
		_, _ = fmt.Fprintf(sh.Err, "left out: %s\n", strings.Join(r.Left, ", "))
	}
	state := "packaged"
	if r.Unchanged {
		state = "unchanged"
	}
	_, _ = fmt.Fprintf(sh.Err, "%s %s in %s: %s, %s\n", state, r.Image.Facts.Name, r.Dir, shell.Bytes(r.Image.Bytes), shell.Duration(took))
	_, err = fmt.Fprintln(sh.Out, r.Digest)
	return err
}
