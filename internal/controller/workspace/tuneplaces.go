package workspace

import (
	"fmt"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/sizing"
)

// refusePlaces looks at all that names a place.
func refusePlaces(_ Planner, t *thought) bool {
	if t.object(sizing.Places(t.ws)) {
		return true
	}
	var in, out error
	t.trial.input, in = volume(t.ws.Tuning.Input.VolumeSource)
	t.trial.output, out = volume(t.ws.Tuning.Output.VolumeSource)
	switch {
	case in != nil:
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidInput, "Field tuning.input.volumeSource cannot be used: %v", in), true
	case out != nil:
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidOutput, "Field tuning.output.volumeSource cannot be used: %v", out), true
	}
	return t.final
}

// readTraining reads the ConfigMap that tuning.config names, and what annotations ask of
// the server for what is tuned.
func readTraining(_ Planner, t *thought) bool {
	settings, notes, no := sizing.TrainingSettings(t.ws, t.config, t.model)
	t.notes, t.trial.settings = append(t.notes, notes...), settings
	if t.object(no) {
		return true
	}
	t.settings.Wishes, no = sizing.Asked(t.ws, t.model, nil)
	return t.object(no)
}

// tuneSource says where the files of the model come from that is tuned. Mount is the
// image that the nodes mount, and empty where a container of the pod fetches.
func (p Planner) tuneSource(t *thought) (source contract.Weights, mount, token string) {
	form := t.model.Forms[model.FormHF]
	source = contract.Weights{Dir: contract.ModelDir, Bytes: int64(form.Size)}
	image := sizing.Options(t.ws).Image
	if image == "" && form.Hub != nil {
		source.Hub = &contract.WeightsHub{Endpoint: p.Sources.Hub, Repository: form.Hub.Repository, Revision: form.Hub.Revision, Files: form.Hub.Files}
		if token = sizing.Options(t.ws).ModelAccessSecret; token != "" {
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
