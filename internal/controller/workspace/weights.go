package workspace

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/sizing"
)

// Sources say where weights come from when a Workspace does not.
type Sources struct {
	// Models is the prefix below which model images stand.
	Models string
	// PlainHTTP allows the runner to fetch from registries without TLS.
	PlainHTTP bool
	// Hub is the address of the hub.
	Hub string
	// PullSecrets are the names of Secrets that each namespace with a Workspace may hold.
	PullSecrets []string
	// AllowCIDRs are ranges of addresses that data may be fetched from though they are not public.
	AllowCIDRs []string
	// Authorities are certificates in PEM of further authorities that sign for hosts of data, or empty.
	Authorities string
	// Namespace is the operator's own, from where it asks pods; empty is not known.
	Namespace string
}

// refuseImage looks at the one reference that a user writes.
func refuseImage(_ Planner, t *thought) bool { return t.object(sizing.Image(t.ws)) }

// weights says how the files of a plan come into its pods: from the hub where the
// catalog names a repository, else from a model image, which the nodes mount where
// all of them can and the runner fetches where one cannot. An image that the user
// names comes first: it is the way around a hub that cannot be reached.
func (p Planner) weights(t *thought, plan model.Plan, image string) render.Weights {
	form := t.model.Forms[plan.Form]
	fetch := &contract.Weights{Dir: contract.ModelDir, Bytes: int64(form.Size)}
	if image == "" && form.Hub != nil {
		fetch.Hub = &contract.WeightsHub{
			Endpoint: p.Sources.Hub, Repository: form.Hub.Repository, Revision: form.Hub.Revision, Files: form.Hub.Files,
		}
		token := sizing.Options(t.ws).ModelAccessSecret
		if token != "" {
			fetch.Hub.TokenFile = contract.HubTokenFile
		}
		return render.Weights{Fetch: fetch, TokenSecret: token}
	}
	if image == "" {
		image = fmt.Sprintf("%s/%s:%s", p.Sources.Models, t.model.ID, plan.Form)
	}
	if len(t.old) == 0 {
		return render.Weights{Image: image}
	}
	fetch.Image = &contract.WeightsImage{Reference: image, PlainHTTP: p.Sources.PlainHTTP}
	for _, secret := range p.pullSecrets(t.ws) {
		fetch.Image.Credentials = append(fetch.Image.Credentials, contract.PullSecretFile(secret))
	}
	return render.Weights{Fetch: fetch}
}

// pullSecrets are those that the user names and those that every Workspace has, each once.
func (p Planner) pullSecrets(ws *v1beta1.Workspace) []string {
	all := slices.Clone(sizing.Options(ws).ImagePullSecrets)
	for _, secret := range p.Sources.PullSecrets {
		if !slices.Contains(all, secret) {
			all = append(all, secret)
		}
	}
	return all
}

// ignoreImage goes back to where the weights would come from without the user's image
// once a pod has found no model in it. The operator does not speak to registries, so a
// pod has to try; the StatefulSet remembers what came of it.
func (p Planner) ignoreImage(t *thought) {
	image := sizing.Options(t.ws).Image
	if image == "" {
		return
	}
	known := t.server != nil && t.server.Annotations[v1beta1.AnnotationIgnoredImage] == image
	found := current(t) && slices.ContainsFunc(t.pods, withoutModel)
	if !known && !found {
		return
	}
	t.serving.Weights = p.weights(t, t.serving.Plan, "")
	t.serving.Weights.Ignored = image
	if !known {
		t.warnings = append(t.warnings, v1beta1.ImageIgnored(image))
	}
}

// withoutModel is true of a pod whose runner found no files that its engine can load.
func withoutModel(p corev1.Pod) bool {
	return p.DeletionTimestamp.IsZero() && slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		last := end(s)
		return last != nil && ofWeights()[told(last).Reason] == v1beta1.ReasonWeightsUnusable
	})
}
