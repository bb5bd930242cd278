// Package image reads models from model images in a registry.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
)

// pathAnnotation is the annotation of a layer that says which file it holds.
const pathAnnotation = "sh.kaito.model.path"

// Options say which image, and how to reach it.
type Options struct {
	// Reference is the image.
	Reference string
	// Credentials are .dockerconfigjson files; absent ones are skipped.
	Credentials []string
	// PlainHTTP allows a registry without TLS.
	PlainHTTP bool
	// Patterns choose files; none chooses all.
	Patterns []string
	// Content is what the image holds; the zero value is a model.
	Content fetch.Content
	// Transport carries the requests; nil takes the default.
	Transport http.RoundTripper
}

// Source is one model image.
type Source struct{ Options }

// New makes a source.
func New(o Options) *Source {
	if o.Content == (fetch.Content{}) {
		o.Content = fetch.Model()
	}
	return &Source{Options: o}
}

// Plan reads the manifest; every layer is a part.
func (s *Source) Plan(ctx context.Context) (fetch.Plan, error) {
	rings, err := oci.Keyrings(s.Credentials...)
	if err != nil {
		return fetch.Plan{}, &fetch.Error{Reason: ending.WeightsRefused, Err: err, Message: fmt.Sprintf(
			"The credentials cannot be used: %v; name Secrets of type kubernetes.io/dockerconfigjson in %s", err, s.Content.SecretsField)}
	}
	scheme := oci.Encrypted
	if s.PlainHTTP {
		scheme = oci.Plain
	}
	client := oci.New(oci.Options{Transport: s.Transport, Keychain: rings, Scheme: scheme})
	image, err := client.Open(ctx, s.Reference, runtime.GOARCH)
	if err != nil {
		return fetch.Plan{}, s.explain(err, len(rings) > 0)
	}
	plan := fetch.Plan{Origin: image.Name, Content: s.Content}
	seen := map[v1.Hash]bool{}
	for _, layer := range image.Manifest.Layers {
		if seen[layer.Digest] {
			continue // the same bytes hold the same files
		}
		seen[layer.Digest] = true
		part, err := s.part(image, layer, len(rings) > 0)
		if err != nil {
			return fetch.Plan{}, err
		}
		if held, known := s.held(layer); known && !s.wanted(held) {
			continue
		}
		plan.Parts = append(plan.Parts, part)
	}
	return plan, nil
}

// part is one layer.
func (s *Source) part(image *oci.Remote, layer v1.Descriptor, keys bool) (fetch.Part, error) {
	digest, err := fetch.ParseDigest(fetch.Kind(layer.Digest.Algorithm), layer.Digest.Hex)
	if err != nil || digest.Kind != fetch.SHA256 {
		return fetch.Part{}, fetch.Unusable("%s has a layer with the digest %s; only sha256 is understood", image.Name, layer.Digest)
	}
	form, err := form(layer.MediaType)
	if err != nil {
		return fetch.Part{}, fetch.Unusable("%s has a layer of type %q; %s", image.Name, layer.MediaType, s.Content.Again)
	}
	name, known := s.held(layer)
	if !known {
		name = layer.Digest.String()
	}
	return fetch.Part{
		Name: name, Size: layer.Size, Digest: digest, Form: form, Wanted: s.wanted,
		Open: func(ctx context.Context, from int64) (io.ReadCloser, error) {
			body, err := image.Blob(ctx, layer, from)
			if err != nil {
				return nil, s.explain(err, keys)
			}
			return body, nil
		},
	}, nil
}

// held is the file that a layer says it holds.
func (s *Source) held(layer v1.Descriptor) (string, bool) {
	name := strings.TrimPrefix(layer.Annotations[pathAnnotation], "/"+s.Content.Folder+"/")
	return name, fetch.CheckName(name) == nil
}

// wanted says whether a file is one that the patterns choose.
func (s *Source) wanted(name string) bool {
	return len(s.Patterns) == 0 || slices.ContainsFunc(s.Patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// form says how a layer is packed.
func form(kind types.MediaType) (fetch.Form, error) {
	switch kind {
	case types.OCIUncompressedLayer, types.DockerUncompressedLayer:
		return fetch.Tar, nil
	case types.OCILayer, types.DockerLayer:
		return fetch.TarGzip, nil
	case types.OCILayerZStd:
		return fetch.TarZstd, nil
	default:
		return 0, errors.New("unknown")
	}
}

// explain turns what a registry answered into words for the user. What may pass is
// left as it is.
func (s *Source) explain(err error, keys bool) error {
	var (
		access  *oci.AccessError
		plain   *oci.PlainHTTPError
		missing *oci.MissingError
		busy    *oci.BusyError
		answer  *transport.Error
	)
	switch {
	case errors.As(err, &access) && keys:
		return s.final(ending.WeightsRefused, err, "%s does not let the credentials of %s read %s (%d); put valid ones into a Secret of type kubernetes.io/dockerconfigjson and name it in %s",
			access.Host, s.secrets(), s.Reference, access.Status, s.Content.SecretsField)
	case errors.As(err, &access):
		return s.final(ending.WeightsRefused, err, "%s does not show %s to strangers (%d): it does not exist, or it is private; name a Secret of type kubernetes.io/dockerconfigjson for %s in %s",
			access.Host, s.Reference, access.Status, access.Host, s.Content.SecretsField)
	case errors.As(err, &plain):
		return s.final(ending.WeightsRefused, err, "Registry %s answers plain HTTP only; give it TLS, or have it named among the registries that may do without (chart value registries.insecure)", plain.Host)
	case errors.As(err, &missing):
		return s.final(ending.WeightsNotFound, err, "The registry has no image %s; look at the name, tag and digest (%v)", s.Reference, err)
	case errors.As(err, &busy):
		return &fetch.Error{Reason: ending.WeightsUnreachable, Wait: busy.After, Err: err, Message: fmt.Sprintf(
			"The registry limits requests for %s; try again later, or name credentials in %s (%v)", s.Reference, s.Content.SecretsField, err)}
	case errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError &&
		answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusRequestTimeout:
		return s.final(ending.WeightsRefused, err, "The registry does not answer for %s: %v", s.Reference, err)
	case oci.Final(err):
		return s.final(ending.WeightsUnusable, err, "%s is no image with a %s: %v; %s", s.Reference, s.Content.Noun, err, s.Content.Again)
	default:
		return err
	}
}

func (s *Source) final(why ending.Reason, err error, format string, args ...any) error {
	return &fetch.Error{Reason: why, Err: err, Message: fmt.Sprintf(format, args...)}
}

// secrets names the Secrets by the folders in which they are mounted.
func (s *Source) secrets() string {
	var names []string
	for _, file := range s.Credentials {
		names = append(names, filepath.Base(filepath.Dir(file)))
	}
	return strings.Join(names, ", ")
}
