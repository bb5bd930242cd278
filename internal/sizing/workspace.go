package sizing

import (
	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/tuning"
)

// Facts are what is known of models and machines.
type Facts struct {
	Models *catalog.Catalog
	Types  *instance.Table
}

// Reading is a Workspace with a preset, read and found good as far as that can be seen
// without a cluster.
type Reading struct {
	Model model.Model
	// Settings and Adapters are those of a server, also of one for what was tuned.
	Settings engine.Settings
	Adapters []model.Adapter
	// Training are the settings of a tuning.
	Training tuning.Settings
	// Type is resource.instanceType, or nil where nodes of the user's own are used.
	Type *instance.Type
	// Partition is the part of a node's GPUs that is asked for, or nil.
	Partition *v1beta1.PartitionSpec
	// Notes are what the condition Accepted says besides.
	Notes []string
}

// Read looks at a Workspace with a preset in the order in which the controller does, with
// the ConfigMap that it names, or nil.
func Read(known Facts, ws *v1beta1.Workspace, config *corev1.ConfigMap) (r Reading, no *Objection) {
	if no = Unsupported(ws); no != nil {
		return r, no
	}
	r.Partition = ws.Resource.Partition
	if ws.Tuning != nil {
		no = r.readTuning(known, ws, config)
	} else {
		no = r.readServing(known, ws, config)
	}
	if no != nil {
		return r, no
	}
	_, err := Selector(ws)
	if no = BadSelector(err); no != nil || ws.Resource.InstanceType == "" {
		return r, no
	}
	made, notes, no := MachineOf(ws, known.Types)
	if no != nil {
		return r, no
	}
	r.Type, r.Notes = &made.Type, append(r.Notes, notes...)
	return r, nil
}

func (r *Reading) readServing(known Facts, ws *v1beta1.Workspace, config *corev1.ConfigMap) (no *Objection) {
	if r.Model, no = FindModel(known.Models, ws.Inference.Preset.Name); no != nil {
		return no
	}
	r.Notes = append(Notes(ws), OriginNotes(known.Models, r.Model)...)
	if no = ForeignCode(ws, r.Model); no != nil {
		return no
	}
	if r.Adapters, no = Adapters(ws, r.Model, false); no != nil {
		return no
	}
	if no = Image(ws); no != nil {
		return no
	}
	var notes []string
	r.Settings, notes, no = Settings(ws, config, r.Model)
	r.Notes = append(r.Notes, notes...)
	return no
}

func (r *Reading) readTuning(known Facts, ws *v1beta1.Workspace, config *corev1.ConfigMap) (no *Objection) {
	if r.Model, no = FindTunable(known.Models, ws); no != nil {
		return no
	}
	if note := r.Model.Tuning.Note; note != "" {
		r.Notes = append(r.Notes, note)
	}
	if no = Places(ws); no != nil {
		return no
	}
	var notes []string
	r.Training, notes, no = TrainingSettings(ws, config, r.Model)
	r.Notes = append(r.Notes, notes...)
	if no != nil {
		return no
	}
	r.Settings.Wishes, no = Asked(ws, r.Model, nil)
	if ServesTuned(ws) {
		r.Adapters = []model.Adapter{{Name: ws.Name, Default: true, Rank: r.Training.Load.Rank}}
	}
	return no
}

// Wishes are what the settings ask of a plan, with the adapters.
func (r Reading) Wishes() model.Wishes {
	return WithPartition(r.Partition, WithAdapters(r.Settings.Wishes, r.Adapters))
}

// Check refuses a plan with which settings or adapters do not go together.
func (r Reading) Check(plan model.Plan) *Objection {
	if no := RemoteCode(r.Model, plan.Engine, r.Settings); no != nil {
		return no
	}
	if no := UnservedAdapters(r.Model, plan, r.Adapters); no != nil {
		return no
	}
	if _, err := Command(r.Model, plan, r.Settings, r.Adapters); err != nil {
		return refuse(v1beta1.ReasonInvalidSettings, "%s", Sentence(err))
	}
	return nil
}
