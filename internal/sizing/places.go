package sizing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/podtemplate"
)

// Places looks at all that names a place of a tuning, and tells all that is wrong at once.
func Places(ws *v1beta1.Workspace) *Objection {
	in, out := ws.Tuning.Input, ws.Tuning.Output
	var wrongIn, wrongOut []string
	if in.Image != "" {
		if _, err := name.ParseReference(in.Image); err != nil {
			wrongIn = append(wrongIn, notAnImage("tuning.input.image", in.Image))
		}
	}
	for _, secret := range in.ImagePullSecrets {
		wrongIn = append(wrongIn, notASecret("tuning.input.imagePullSecrets", secret)...)
	}
	if err := volume(in.VolumeSource); err != nil {
		wrongIn = append(wrongIn, fmt.Sprintf("tuning.input.volumeSource %v", err))
	}
	if out.Image != "" {
		wrongOut = append(wrongOut, notAnOutput(out.Image)...)
	}
	if out.ImagePushSecret != "" {
		wrongOut = append(wrongOut, notASecret("tuning.output.imagePushSecret", out.ImagePushSecret)...)
	}
	if err := volume(out.VolumeSource); err != nil {
		wrongOut = append(wrongOut, fmt.Sprintf("tuning.output.volumeSource %v", err))
	}
	reason := v1beta1.ReasonInvalidInput
	if len(wrongIn) == 0 {
		reason = v1beta1.ReasonInvalidOutput
	}
	if all := slices.Concat(wrongIn, wrongOut); len(all) > 0 {
		return refuse(reason, "%s", strings.ToUpper(all[0][:1])+strings.Join(all, "; ")[1:])
	}
	return nil
}

func notAnImage(field, image string) string {
	return fmt.Sprintf("%s %q is no name of an image: write REGISTRY/REPOSITORY:TAG, the repository in lower case", field, image)
}

// notAnOutput says why an adapter cannot be pushed under a name.
func notAnOutput(image string) []string {
	const field = "tuning.output.image"
	ref, err := name.ParseReference(image)
	if err != nil {
		return []string{notAnImage(field, image)}
	}
	if _, digest := ref.(name.Digest); digest {
		return []string{fmt.Sprintf("%s %q names a digest, which nobody can know before the training: write a tag", field, image)}
	}
	return nil
}

// notASecret says that no Secret can have a name.
func notASecret(field, secret string) []string {
	if len(validation.IsDNS1123Subdomain(secret)) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s %q can be the name of no Secret, because names are lower-case letters, digits, '-' and '.': "+
		"make one with `kubectl create secret docker-registry` and name it", field, secret)}
}

// volume looks at a volume strictly: what the API server would drop or refuse later is
// told with its place now. The error goes on behind the name of the field.
func volume(raw *runtime.RawExtension) error {
	if raw == nil {
		return nil
	}
	if err := podtemplate.CheckVolume(raw.Raw); err != nil {
		return fmt.Errorf("cannot be used: %w", err)
	}
	return nil
}
