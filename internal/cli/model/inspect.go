package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/modelimage"
	"kaito.sh/kaito/internal/oci"
)

// inspected is what -o json and -o yaml print.
type inspected struct {
	// Digest is empty for a model that is not packaged.
	Digest string `json:"digest,omitempty"`
	modelimage.Image
}

// newInspect is `kaito model inspect`.
func newInspect(sh shell.Shell) *cobra.Command {
	var flags registryFlags
	output := "table"
	cmd := &cobra.Command{
		Use:   "inspect REF|DIR|FILE",
		Short: "Print the facts of a model",
		Long: `Print the facts of a model: of an image in a registry, a packaged image on
disk, a GGUF file, or a folder in transformers form. Nothing but headers is read.`,
		Example: shell.Examples(sh.Name, `
			KAITO model inspect SmolLM2-135M-Instruct.Q4_1.gguf
			KAITO model inspect smollm2-135m-instruct.oci
			KAITO model inspect registry.example.com/models/smollm2:gguf -o yaml`),
		Args: shell.Exactly("REF|DIR|FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := writers()[output]
			if !ok {
				return shell.Usage(cmd, "-o %s is not one of table, json and yaml", output)
			}
			found, err := find(cmd, sh, flags, args[0])
			if err != nil {
				return err
			}
			return write(sh.Out, found)
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", output, "`FORMAT`: table, json or yaml")
	return cmd
}

// find looks on disk first: a name that exists there is not a reference.
func find(cmd *cobra.Command, sh shell.Shell, flags registryFlags, what string) (inspected, error) {
	if _, err := os.Stat(what); err == nil {
		image, digest, err := modelimage.Inspect(what)
		if err != nil {
			return inspected{}, fmt.Errorf("inspect model: %w", err)
		}
		return inspected{Digest: digest, Image: image}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return inspected{}, fmt.Errorf("inspect model: %w", err)
	}
	client, err := flags.client(sh, sh.Progress("reading"), func(oci.Progress) {})
	if err != nil {
		return inspected{}, err
	}
	raw, descriptor, err := client.Manifest(cmd.Context(), what)
	if err != nil {
		return inspected{}, fmt.Errorf("inspect model: there is no such file or folder, and as an image: %w", flags.advise(err))
	}
	image, err := modelimage.ReadManifest(raw)
	if err != nil {
		return inspected{}, fmt.Errorf("inspect %s: %w", what, err)
	}
	return inspected{Digest: descriptor.Digest.String(), Image: image}, nil
}

// writers are the values of -o.
func writers() map[string]func(io.Writer, inspected) error {
	return map[string]func(io.Writer, inspected) error{
		"table": writeTable,
		"json": func(w io.Writer, x inspected) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(x)
		},
		"yaml": func(w io.Writer, x inspected) error {
			raw, err := yaml.Marshal(x)
			if err != nil {
				return fmt.Errorf("write facts: %w", err)
			}
			_, err = w.Write(raw)
			return err
		},
	}
}

// row is one line of the table; a value that is not known has none.
type row struct {
	name, value string
}

func writeTable(w io.Writer, x inspected) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows(x) {
		if r.value != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", r.name, r.value)
		}
	}
	_, _ = fmt.Fprintf(t, "files\t%d, %s\n", len(x.Files), shell.Bytes(x.Bytes))
	for _, f := range x.Files {
		_, _ = fmt.Fprintf(t, "  %s\t%s\n", f.Path, shell.Bytes(f.Bytes))
	}
	return t.Flush()
}

func rows(x inspected) []row {
	f := x.Facts
	license := f.License
	if f.NoLicense != "" {
		license = "none: " + f.NoLicense
	}
	weights := ""
	if f.WeightsBytes > 0 {
		weights = shell.Bytes(f.WeightsBytes)
	}
	return []row{
		{"name", f.Name},
		{"digest", x.Digest},
		{"form", f.Form},
		{"architecture", f.Architecture},
		{"parameters", number(f.Parameters)},
		{"context", number(f.Context)},
		{"layers", number(f.Layers)},
		{"heads", number(f.Heads)},
		{"key-value heads", number(f.KVHeads)},
		{"head dimension", number(f.HeadDim)},
		{"hidden size", number(f.Hidden)},
		{"vocabulary", number(f.Vocabulary)},
		{"quantization", f.Quantization},
		{"weights", weights},
		{"chat template", f.ChatTemplate},
		{"license", license},
		{"source", f.Source},
		{"revision", f.Revision},
	}
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
