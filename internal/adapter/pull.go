package adapter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"kaito.sh/kaito/internal/oci"
)

// PullOptions say which image to pull, and how to reach it.
type PullOptions struct {
	// Reference is the image.
	Reference string
	// Credentials are .dockerconfigjson files; absent ones are skipped.
	Credentials []string
	// PlainHTTP allows a registry without TLS.
	PlainHTTP bool
	// Dir receives the two files; it is made where it is missing.
	Dir string
	// Transport carries the requests; nil takes the default.
	Transport http.RoundTripper
	// Sleep waits between attempts.
	Sleep func(context.Context, time.Duration) error
	// Log hears what went wrong and was got over.
	Log *slog.Logger
}

// Pulled is an adapter that was brought.
type Pulled struct {
	// Name is the image by digest.
	Name string
	// Facts are those of the files in the folder.
	Facts Facts
	// Annotations are the image's own, see Notes.
	Annotations map[string]string
}

// An attempt is followed by a pause that doubles.
const (
	attempts   = 6
	firstPause = time.Second
	longPause  = 30 * time.Second
)

// Pull brings the adapter of an image into a folder. What only the user can change is
// an UnusableError; everything else may pass, and was tried several times.
func Pull(ctx context.Context, o PullOptions) (Pulled, error) {
	rings, err := oci.Keyrings(o.Credentials...)
	if err != nil {
		return Pulled{}, unusable("", "the pull credentials for %s cannot be used: %v; name Secrets of type kubernetes.io/dockerconfigjson", o.Reference, err)
	}
	scheme := oci.Encrypted
	if o.PlainHTTP {
		scheme = oci.Plain
	}
	client := oci.New(oci.Options{Transport: o.Transport, Keychain: rings, Scheme: scheme})
	stage := filepath.Join(o.Dir, ".pull")
	defer func() { _ = os.RemoveAll(stage) }()
	var pause time.Duration
	for n := 1; ; n++ {
		got, err := pull(ctx, client, o, stage)
		var wrong *UnusableError
		switch err = explain(err, o.Reference, len(rings) > 0); {
		case err == nil:
			return got, nil
		case ctx.Err() != nil:
			return Pulled{}, context.Cause(ctx)
		case errors.As(err, &wrong), n == attempts:
			return Pulled{}, err
		}
		pause = min(max(firstPause, 2*pause), longPause)
		wait := pause
		var busy *oci.BusyError
		if errors.As(err, &busy) {
			wait = min(max(wait, busy.After), 5*time.Minute)
		}
		o.Log.Warn("adapter: trying again", "image", o.Reference, "err", err, "pauseSeconds", wait.Seconds(), "attempt", n)
		if err := o.Sleep(ctx, wait); err != nil {
			return Pulled{}, err
		}
	}
}

// pull makes one attempt. The files get their names when all of them are proved.
func pull(ctx context.Context, client *oci.Client, o PullOptions, stage string) (Pulled, error) {
	image, err := client.Open(ctx, o.Reference, runtime.GOARCH)
	if err != nil {
		return Pulled{}, err //nolint:wrapcheck // explained by the caller
	}
	if err := errors.Join(os.RemoveAll(stage), os.MkdirAll(stage, 0o755)); err != nil {
		return Pulled{}, fmt.Errorf("make room for the adapter: %w", err)
	}
	for _, layer := range image.Manifest.Layers {
		if err := takeLayer(ctx, image, layer, stage); err != nil {
			return Pulled{}, err
		}
	}
	if _, err := os.Lstat(filepath.Join(stage, ConfigFile)); errors.Is(err, os.ErrNotExist) {
		return Pulled{}, unusable("", "%s is no adapter image: it holds no /%s/%s", o.Reference, Dir, ConfigFile)
	}
	facts, err := Check(stage)
	if err != nil {
		return Pulled{}, err
	}
	for _, name := range []string{WeightsFile, ConfigFile} {
		if err := os.Rename(filepath.Join(stage, name), filepath.Join(o.Dir, name)); err != nil {
			return Pulled{}, fmt.Errorf("put %q in its place: %w", name, err)
		}
	}
	return Pulled{Name: image.Name, Facts: facts, Annotations: image.Manifest.Annotations}, nil
}

// takeLayer takes what is ours out of a layer and proves the layer.
func takeLayer(ctx context.Context, image *oci.Remote, layer v1.Descriptor, stage string) error {
	if layer.Digest.Algorithm != "sha256" {
		return unusable("", "%s has a layer with the digest %s; only sha256 is understood", image.Name, layer.Digest)
	}
	body, err := image.Blob(ctx, layer, 0)
	if err != nil {
		return err //nolint:wrapcheck // explained by Pull
	}
	defer func() { _ = body.Close() }()
	in := &proof{in: io.LimitReader(body, layer.Size), sum: sha256.New()}
	taken := unpack(in, layer.MediaType, stage)
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("read layer %s: %w", layer.Digest, err)
	}
	if in.err != nil { // the line broke, whatever the archive made of that
		return fmt.Errorf("read layer %s: %w", layer.Digest, in.err)
	}
	if got := hex.EncodeToString(in.sum.Sum(nil)); got != layer.Digest.Hex {
		return fmt.Errorf("layer %s arrived with the digest sha256:%s", layer.Digest, got)
	}
	return taken
}

// explain turns answers that come again into words for the user; others stay as they are.
func explain(err error, ref string, keys bool) error {
	var (
		access  *oci.AccessError
		plain   *oci.PlainHTTPError
		missing *oci.MissingError
		answer  *transport.Error
		wrong   *UnusableError
	)
	switch {
	case err == nil || errors.As(err, &wrong):
		return err
	case errors.As(err, &access) && keys:
		return unusable("", "%s does not let the given credentials read %s (%d); put valid ones into the Secrets that imagePullSecrets names", access.Host, ref, access.Status)
	case errors.As(err, &access):
		return unusable("", "%s does not show %s to strangers (%d): it does not exist, or it is private; name a Secret for %s in imagePullSecrets", access.Host, ref, access.Status, access.Host)
	case errors.As(err, &plain):
		return unusable("", "registry %s answers plain HTTP only; give it TLS, or have it named in the chart value registries.insecure", plain.Host)
	case errors.As(err, &missing):
		return unusable("", "the registry has no image %s; look at the name, tag and digest", ref)
	case errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError &&
		answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusRequestTimeout:
		return unusable("", "the registry does not answer for %s: %v", ref, err)
	case oci.Final(err):
		return unusable("", "%s is no adapter image: %v", ref, strings.TrimPrefix(err.Error(), "read "+ref+": "))
	default:
		return err
	}
}
