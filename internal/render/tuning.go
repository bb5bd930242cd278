package render

import (
	"cmp"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/tuning"
)

// Tuning is all that the objects of a tuning Workspace are made from, before and
// while it trains.
type Tuning struct {
	// Workspace is what the user wrote.
	Workspace *v1beta1.Workspace
	// RunID identifies the run, Attempt counts its starts from 1 on; a check has none.
	RunID   string
	Attempt int
	// Model, Plan and Settings are what is trained, where, and how. A check needs no plan.
	Model    model.Model
	Plan     model.TunePlan
	Settings tuning.Settings
	// Images are what the pods are made of.
	Images TuningImages
	// Source is where the files of the model come from; the check fetches what tokenizes
	// in any case. Mount is the image that the nodes mount, and empty where prepare fetches.
	Source contract.Weights
	Mount  string
	// TokenSecret is the name of a Secret with the token for the hub, or empty.
	TokenSecret string
	// PullSecrets are the names of Secrets in the namespace of the Workspace that open
	// the registries of the images above and of the weights. One that is missing is passed over.
	PullSecrets []string
	// InputVolume and OutputVolume are set where the user names volumes.
	InputVolume, OutputVolume *corev1ac.VolumeSourceApplyConfiguration
	// PlainHTTP lets the runner use registries that do not speak HTTPS.
	PlainHTTP bool
	// AllowCIDRs are ranges of addresses that may be fetched from though they are not public.
	AllowCIDRs []string
	// Authorities are certificates in PEM of further authorities that sign for hosts of data, or empty.
	Authorities string
	// DataDigest and DataBytes are what the check has found; a check has none.
	DataDigest string
	DataBytes  model.Bytes
	// OperatorNamespace is where the operator runs, which asks pods how far they are;
	// empty is any namespace.
	OperatorNamespace string
}

// TuningImages are the images of a check and of a tuning pod, as full references.
type TuningImages struct {
	// Runner holds the runner, Gate what reads and tokenizes data, Tuner what trains.
	Runner, Gate, Tuner string
}

// TuneConfigName is the name of the ConfigMap that holds the tuning's contract.
func TuneConfigName(ws *v1beta1.Workspace) string { return ws.Name + "-tune" }

// CheckJobName is the name of the Job that checks data and the push.
func CheckJobName(ws *v1beta1.Workspace) string { return ws.Name + "-check" }

// TuneConfig is the ConfigMap that every container of a check and of a tuning pod reads.
func TuneConfig(t Tuning) *corev1ac.ConfigMapApplyConfiguration {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // templates are full of angle brackets, and people read them here
	e.SetIndent("", "  ")
	if err := e.Encode(TuneContract(t)); err != nil {
		panic("the tuning's contract holds only text and numbers: " + err.Error())
	}
	data := map[string]string{path.Base(contract.TuneFile): text.String()}
	if t.Authorities != "" {
		data[path.Base(authoritiesFile)] = t.Authorities
	}
	return corev1ac.ConfigMap(TuneConfigName(t.Workspace), t.Workspace.Namespace).
		WithLabels(labels(t.Workspace)).
		WithAnnotations(map[string]string{v1beta1.AnnotationRunID: t.RunID}).
		WithOwnerReferences(owner(t.Workspace)).
		WithData(data)
}

// TuneContract is what the containers of a check and of a tuning pod are told.
func TuneContract(t Tuning) contract.Tune {
	stanza := t.Workspace.Tuning
	return contract.Tune{
		APIVersion: contract.Version,
		Workspace:  t.Workspace.Name,
		RunID:      t.RunID,
		Attempt:    t.Attempt,
		Method:     strings.ToLower(string(stanza.Method)),
		Model: contract.TuneModel{
			ID: t.Model.ID, HubID: cmp.Or(t.Model.HubID, t.Model.ID), Revision: Revision(t.Source), Context: t.Model.Context,
			MaxLength: t.Settings.MaxLength, ChatTemplate: engine.ChatTemplate(t.Model), Fetch: t.Mount == "",
		},
		Weights: t.Source,
		Input: contract.TuneInput{
			URLs: stanza.Input.URLs, Image: inputImage(t), Volume: t.InputVolume != nil,
			AllowCIDRs: t.AllowCIDRs, CAFile: caFile(t), Digest: t.DataDigest,
		},
		Output: contract.TuneOutput{
			Image: stanza.Output.Image, PlainHTTP: t.PlainHTTP && stanza.Output.Image != "", SecretName: stanza.Output.ImagePushSecret, Volume: t.OutputVolume != nil,
		},
		Settings: settings(t),
		Threads:  max(1, t.Plan.Threads),
	}
}

// authoritiesFile is where the pods that fetch data find Tuning.Authorities.
const authoritiesFile = contract.ConfigDir + "/ca.crt"

// caFile is where further authorities stand, or empty.
func caFile(t Tuning) string {
	if t.Authorities == "" {
		return ""
	}
	return authoritiesFile
}

// Revision names the weights that are tuned: a revision of the hub, or an image.
func Revision(source contract.Weights) string {
	if source.Hub != nil {
		return source.Hub.Revision
	}
	return source.Image.Reference
}

// settings are the user's, with what the plan has decided: what is reserved and what
// runs are the same.
func settings(t Tuning) contract.Settings {
	all := contract.Settings{}
	for section, values := range t.Settings.Values {
		all[section] = maps.Clone(values)
	}
	if t.Plan.Model != "" && all[tuning.SectionTraining] != nil {
		all[tuning.SectionTraining]["gradient_checkpointing"] = t.Plan.Recompute
	}
	return all
}

// inputImage is the image with the data, or nil.
func inputImage(t Tuning) *contract.WeightsImage {
	in := t.Workspace.Tuning.Input
	if in.Image == "" {
		return nil
	}
	image := &contract.WeightsImage{Reference: in.Image, PlainHTTP: t.PlainHTTP}
	for _, secret := range inputSecrets(t) {
		image.Credentials = append(image.Credentials, contract.PullSecretFile(secret))
	}
	return image
}

// inputSecrets may open the registry of the data: the user's own first, each once.
func inputSecrets(t Tuning) []string {
	all := slices.Clone(t.Workspace.Tuning.Input.ImagePullSecrets)
	for _, secret := range t.PullSecrets {
		if !slices.Contains(all, secret) {
			all = append(all, secret)
		}
	}
	return all
}
