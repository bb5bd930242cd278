package workspace

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render/podtemplate"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/tuning"
)

// refusePlaces looks at all that names a place, and tells all that is wrong at once.
func refusePlaces(_ Planner, t *thought) bool {
	in, out := t.ws.Tuning.Input, t.ws.Tuning.Output
	var wrongIn, wrongOut []string
	if in.Image != "" {
		if _, err := name.ParseReference(in.Image); err != nil {
			wrongIn = append(wrongIn, notAnImage("tuning.input.image", in.Image))
		}
	}
	for _, secret := range in.ImagePullSecrets {
		wrongIn = append(wrongIn, notASecret("tuning.input.imagePullSecrets", secret)...)
	}
	var err error
	if t.trial.input, err = volumeOf(in.VolumeSource); err != nil {
		wrongIn = append(wrongIn, fmt.Sprintf("tuning.input.volumeSource %v", err))
	}
	if out.Image != "" {
		wrongOut = append(wrongOut, notAnOutput(out.Image)...)
	}
	if out.ImagePushSecret != "" {
		wrongOut = append(wrongOut, notASecret("tuning.output.imagePushSecret", out.ImagePushSecret)...)
	}
	if t.trial.output, err = volumeOf(out.VolumeSource); err != nil {
		wrongOut = append(wrongOut, fmt.Sprintf("tuning.output.volumeSource %v", err))
	}
	reason := v1beta1.ReasonInvalidInput
	if len(wrongIn) == 0 {
		reason = v1beta1.ReasonInvalidOutput
	}
	if all := slices.Concat(wrongIn, wrongOut); len(all) > 0 {
		t.accepted, t.final = v1beta1.Refused(reason, "%s", strings.ToUpper(all[0][:1])+strings.Join(all, "; ")[1:]), true
		return true
	}
	return false
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

// volumeOf reads a volume strictly: what the API server would drop or refuse later is
// told with its place now. The error goes on behind the name of the field.
func volumeOf(raw *runtime.RawExtension) (*corev1ac.VolumeSourceApplyConfiguration, error) {
	if raw == nil {
		return nil, nil //nolint:nilnil // none was named
	}
	source, err := podtemplate.Volume(raw.Raw)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	return source, nil
}

// readTraining reads the ConfigMap that tuning.config names. A missing one is no failure
// for good: it is watched.
func readTraining(_ Planner, t *thought) bool {
	var text string
	if config := t.ws.Tuning.Config; config != "" {
		if t.config == nil {
			t.accepted = v1beta1.TuningConfigNotFound(config)
			return true
		}
		var there bool
		if text, there = t.config.Data[v1beta1.ConfigKeyTuning]; !there {
			t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidSettings,
				"ConfigMap %q has no key %s: write the settings of the training there", config, v1beta1.ConfigKeyTuning), true
			return true
		}
	}
	settings, err := tuning.Parse([]byte(text), strings.ToLower(string(t.ws.Tuning.Method)), t.model)
	if err != nil {
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidSettings, "ConfigMap %q cannot be used, %s: %v", t.ws.Tuning.Config, v1beta1.ConfigKeyTuning, err), true
		return true
	}
	for _, key := range settings.Ignored {
		t.notes = append(t.notes, "tuning.config: no effect has "+key)
	}
	t.trial.settings = settings
	return false
}

// tuneSource says where the files of the model come from that is tuned. Mount is the
// image that the nodes mount, and empty where a container of the pod fetches.
func (p Planner) tuneSource(t *thought) (source contract.Weights, mount, token string) {
	form := t.model.Forms[model.FormHF]
	source = contract.Weights{Dir: contract.ModelDir, Bytes: int64(form.Size)}
	image := options(t.ws).Image
	if image == "" && form.Hub != nil {
		source.Hub = &contract.WeightsHub{Endpoint: p.Sources.Hub, Repository: form.Hub.Repository, Revision: form.Hub.Revision, Files: form.Hub.Files}
		if token = options(t.ws).ModelAccessSecret; token != "" {
			source.Hub.TokenFile = contract.HubTokenFile
		}
		return source, "", token
	}
	if image == "" {
		image = fmt.Sprintf("%s/%s:%s", p.Sources.Models, t.model.ID, model.FormHF)
	}
	source.Image = &contract.WeightsImage{Reference: image, PlainHTTP: p.Sources.PlainHTTP}
	for _, secret := range p.pullSecrets(t.ws) {
		source.Image.Credentials = append(source.Image.Credentials, contract.PullSecretFile(secret))
	}
	if mountable(t.observed) {
		mount = image
	}
	return source, mount, ""
}

// mountable says whether every node that the selector selects can mount an image.
func mountable(o observed) bool {
	for i := range o.nodes {
		if tooOld(&o.nodes[i]) != "" {
			return false
		}
	}
	return len(o.nodes) > 0
}
