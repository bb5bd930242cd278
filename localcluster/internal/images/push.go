package images

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// reach asks the registry whether it is there, before an hour of building is spent.
func reach(ctx context.Context, registry string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+registry+"/v2/", nil)
	if err != nil {
		return fmt.Errorf("registry %q is not HOST:PORT: %w", registry, err)
	}
	answer, err := (&http.Client{Transport: http.DefaultTransport}).Do(request)
	if err != nil {
		return fmt.Errorf("the registry %s does not answer: %w; start the cluster (kaito local up), name another with --registry, or build only with --no-push", registry, err)
	}
	return answer.Body.Close()
}

// push brings an image into the registry unless it is there whole, and answers what
// it did for the table.
func (b *Builder) push(ctx context.Context, image string, r Record) (string, error) {
	if b.options.Registry == "" {
		return "", nil
	}
	tag, err := name.NewTag(b.options.Registry+"/kaito/"+image+":"+Tag, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("registry %q: %w", b.options.Registry, err)
	}
	if present(ctx, tag, r) {
		return ", in the registry", nil
	}
	whole, err := r.Image()
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, whole, remote.WithContext(ctx), remote.WithJobs(2)); err != nil {
		return "", fmt.Errorf("push image %q to %s: %w; the layers are kept, run the same command again to go on", image, b.options.Registry, err)
	}
	return ", pushed", nil
}

// present asks with HEAD whether the tag has the digest and every layer is there. A
// registry that answers anything else is pushed to, which says what is wrong.
func present(ctx context.Context, tag name.Tag, r Record) bool {
	head, err := remote.Head(tag, remote.WithContext(ctx))
	if err != nil || head.Digest.String() != r.Digest {
		return false
	}
	for _, blob := range r.Layers {
		if !held(ctx, tag.Repository, blob) {
			return false
		}
	}
	return true
}

func held(ctx context.Context, repository name.Repository, blob v1.Layer) bool {
	digest, err := blob.Digest()
	if err != nil {
		return false
	}
	found, err := remote.Layer(repository.Digest(digest.String()), remote.WithContext(ctx))
	if err != nil {
		return false
	}
	_, err = found.Size() // a HEAD of the blob
	return err == nil
}
