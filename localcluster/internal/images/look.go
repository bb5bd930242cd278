package images

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"text/tabwriter"
)

// Check says what this machine lacks for building, before anything is begun.
func Check(effectiveUser int) error {
	var missing []error
	if effectiveUser != 0 {
		missing = append(missing, errors.New("building images needs root, for mounts and chroot: run it with sudo"))
	}
	for _, program := range []string{"buildah", "mmdebstrap"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, fmt.Errorf("%s is not installed: apt-get install --no-install-recommends buildah mmdebstrap", program))
		}
	}
	return errors.Join(missing...)
}

// LookAtHost asks apt and pip of this machine how they reach their registries. What
// is not installed has no settings.
func LookAtHost(ctx context.Context, certificates []string) Host {
	h := Host{Apt: lines(ctx, "apt-config", "dump"), Pip: lines(ctx, "python3", "-m", "pip", "config", "list")}
	for _, file := range certificates {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			h.CAFile = file
			break
		}
	}
	return h
}

func lines(ctx context.Context, argv ...string) []string {
	var out bytes.Buffer
	if _, err := execute(ctx, command{argv: argv, log: io.Discard, out: &out}); err != nil {
		return nil
	}
	var all []string
	for s := bufio.NewScanner(&out); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}

// List prints each image with its recipe and what is known of its last build.
func List(options Options, w io.Writer) error {
	b := New(options)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "IMAGE\tDOCKERFILE\tSIZE\tDIGEST")
	for _, image := range Table() {
		r, whole, err := b.store.load(image.Name)
		if err != nil {
			return err
		}
		if !whole {
			_, _ = fmt.Fprintf(t, "%s\t%s\t-\tnot built here\n", image.Name, image.Dockerfile)
			continue
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%.1f MB\t%s\n", image.Name, image.Dockerfile, float64(r.Size())/1e6, r.Digest)
	}
	return t.Flush()
}
