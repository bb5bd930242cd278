// Package registry is the registry that a tuning run's adapter goes to: who we are there,
// whether it takes our push, what it holds of this run, and its refusals in words for the
// person who can change something.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

// Where a user names what this package speaks of.
const (
	imageField  = "tuning.output.image"
	secretField = "tuning.output.imagePushSecret"
)

// Options say which output, and how to reach it.
type Options struct {
	// Tune is the run; its output is an image.
	Tune contract.Tune
	// SecretFile is the push Secret's .dockerconfigjson. It is not looked at where the run names none.
	SecretFile string
	// Phase is where the container stands, for endings.
	Phase string
	// Transport carries the requests; nil takes the default.
	Transport http.RoundTripper
	// Sleep waits between attempts.
	Sleep func(context.Context, time.Duration) error
	// Log hears what went wrong and was got over.
	Log *slog.Logger
}

// Output is the place of a run's adapter and checkpoints.
type Output struct {
	// Image is the adapter's image, Checkpoint that of the run's newest checkpoint.
	Image, Checkpoint string
	// Host is the registry.
	Host string
	// Client speaks to it with the push Secret's credentials.
	Client *oci.Client

	o Options
	// repository is HOST/NAME.
	repository string
	// secret is what the push Secret holds; covers says that it has something for this registry.
	secret oci.Secret
	covers bool
}

// Open reads the push Secret. Errors are *ending.Ending.
func Open(o Options) (*Output, error) {
	t := o.Tune.Output
	host, name, err := oci.Registry(t.Image)
	if err != nil || strings.Contains(t.Image, "@") {
		why := "it names a digest, and what is pushed has another"
		if err != nil {
			why = err.Error()
		}
		return nil, final(o.Phase, ending.ConfigInvalid, "%s %q cannot be pushed to: %s; write HOST[:PORT]/REPOSITORY:TAG", imageField, t.Image, why)
	}
	out := &Output{Image: t.Image, Host: host, repository: host + "/" + name, o: o}
	out.Checkpoint = checkpointOf(t.Image, o.Tune.RunID)
	if t.SecretName != "" {
		if err := out.readSecret(); err != nil {
			return nil, err
		}
	}
	scheme := oci.Encrypted
	if t.PlainHTTP {
		scheme = oci.Plain
	}
	out.Client = oci.New(oci.Options{
		Transport: o.Transport, Keychain: out.secret, Scheme: scheme, Sleep: o.Sleep,
		Notice: func(text string) { o.Log.Warn("registry: " + text) },
	})
	return out, nil
}

// checkpointOf is the reference of a run's checkpoint: the output's with a longer tag.
func checkpointOf(image, runID string) string {
	const maxTag = 128
	at, tag := image, "latest"
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		at, tag = image[:i], image[i+1:]
	}
	behind := "-ckpt-" + runID
	return at + ":" + tag[:min(len(tag), maxTag-len(behind))] + behind
}

// readSecret reads the push Secret's file.
func (out *Output) readSecret() error {
	name := out.o.Tune.Output.SecretName
	raw, err := os.ReadFile(out.o.SecretFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return out.unusable("Secret %q of %s does not exist, or has no key .dockerconfigjson; create it with %s", name, secretField, out.create())
	case err != nil:
		return fmt.Errorf("read the push Secret: %w", err)
	}
	if out.secret, err = oci.ParseSecret(raw); err != nil {
		return out.unusable("Secret %q of %s is not of type kubernetes.io/dockerconfigjson: %v; create it with %s", name, secretField, plain(err), out.create())
	}
	out.covers, err = out.secret.Covers(out.Image)
	if errors.Is(err, oci.ErrSecretElsewhere) {
		return out.unusable("Secret %q of %s names %s without a user and password, because `docker login` has put them into a program of the machine where it ran; create it with %s",
			name, secretField, out.Host, out.create())
	}
	return err //nolint:wrapcheck // about the reference, which was read before
}

// plain are our words for what is wrong with a Secret's content, which is never shown.
func plain(err error) string {
	if errors.Is(err, oci.ErrSecretEmpty) {
		return `its .dockerconfigjson has no "auths"`
	}
	return err.Error()
}

// create is the command that makes the Secret.
func (out *Output) create() string {
	name := out.o.Tune.Output.SecretName
	if name == "" {
		name = "NAME"
	}
	return fmt.Sprintf("`kubectl create secret docker-registry %s --docker-server=%s --docker-username=USER --docker-password=PASSWORD`", name, out.Host)
}

// Try finds out whether the output takes a push. Errors are *ending.Ending, unless ctx ended.
func (out *Output) Try(ctx context.Context) error {
	return out.Explain(ctx, out.Client.TryPush(ctx, out.Image))
}

// Published says whether the output's tag holds this run's adapter, and its digest. Who
// may push may not be allowed to look, which is an *oci.AccessError.
func (out *Output) Published(ctx context.Context) (digest string, ok bool, err error) {
	notes, at, err := out.Look(ctx, out.Image)
	if err != nil {
		return "", false, err
	}
	return at.String(), notes[adapter.AnnotationRun] == out.o.Tune.RunID, nil
}

// Look answers the annotations of what a reference points at and its digest, both empty
// where there is nothing.
func (out *Output) Look(ctx context.Context, ref string) (map[string]string, v1.Hash, error) {
	raw, found, err := out.Client.Manifest(ctx, ref)
	var missing *oci.MissingError
	if errors.As(err, &missing) {
		return nil, v1.Hash{}, nil
	}
	if err != nil {
		return nil, v1.Hash{}, err //nolint:wrapcheck // it names the reference
	}
	var m v1.Manifest
	if json.Unmarshal(raw, &m) != nil {
		return nil, found.Digest, nil // somebody else's, whatever it is
	}
	return m.Annotations, found.Digest, nil
}

// Digest is a reference to a manifest in the output's repository.
func (out *Output) Digest(digest string) string { return out.repository + "@" + digest }

// RemoveCheckpoint removes this run's checkpoint; one that is not there is no error.
func (out *Output) RemoveCheckpoint(ctx context.Context) error {
	return out.Client.Delete(ctx, out.Checkpoint) //nolint:wrapcheck // it names the reference
}
