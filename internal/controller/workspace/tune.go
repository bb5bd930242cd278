package workspace

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/sizing"
	"kaito.sh/kaito/internal/tuning"
)

// trial is what the steps of a tuning have found out, beside what a thought holds.
type trial struct {
	// settings are the user's training_config.yaml, read and checked.
	settings tuning.Settings
	// input and output are the user's volumes, where the Workspace names any.
	input, output *corev1ac.VolumeSourceApplyConfiguration
	// run identifies what is asked for now.
	run string
	// status is how the run goes; it becomes the decision's.
	status v1beta1.TuningStatus
}

// fate is what a pass does with a Job. Its template cannot be changed, so it is made
// once for a run, and then left alone or removed.
type fate int

const (
	leave fate = iota
	create
	remove
)

// tuned is what a pass has chosen about the objects of a tuning.
type tuned struct {
	// wants is what objects are rendered from.
	wants render.Tuning
	// check and train are the fates of the two Jobs.
	check, train fate
	// stop is true where the server makes room for the training.
	stop bool
	// service is true once the Service may stand: no pod that trains is ever behind it.
	service bool
}

// decideTuning is pure, as decide is.
func (p Planner) decideTuning(o observed) decision {
	t := &thought{observed: o, decision: decision{tuned: &tuned{}}}
	if before := o.ws.Status.Tuning; before != nil {
		t.trial.status = *before.DeepCopy()
	}
	t.workers = workers(slices.Concat(o.pods, o.jobPods))
	t.job = v1beta1.JobNotStarted(v1beta1.CheckingDataset())
	for _, s := range []step{refuseWhatComesLater, refuseStrangers, findTunable, refusePlaces, readTraining, refuseSelector, refuseInstanceType, nameRun, stopOtherRun} {
		if s(p, t) {
			t.waitsForTuning()
			return p.finish(t)
		}
	}
	p.run(t)
	return p.finish(t)
}

// finish hands over the status of the run.
func (p Planner) finish(t *thought) decision {
	if t.trial.run != "" {
		t.decision.tuning = &t.trial.status
	}
	if t.final && t.tuneJob == nil && !t.servesEarlier() {
		t.release()
	}
	return p.settle(t)
}

// run goes on where the status of the run says it stands.
func (p Planner) run(t *thought) {
	t.tuned.wants = p.tuning(t)
	s := &t.trial.status
	switch {
	case s.ServedRunID == t.trial.run:
		p.published(t)
	case s.Phase == v1beta1.TuningFailed:
		p.failedForGood(t)
	case s.Dataset == nil:
		p.checking(t)
	default:
		p.training(t)
	}
}

// findTunable finds the model and what is known of tuning it.
func findTunable(p Planner, t *thought) bool {
	found, no := sizing.FindTunable(p.Catalog, t.ws)
	t.model = found
	if t.object(no) {
		return true
	}
	t.notes = append(t.notes, sizing.OriginNotes(p.Catalog, found)...)
	if found.Tuning.Note != "" {
		t.notes = append(t.notes, found.Tuning.Note)
	}
	return false
}

// waitsForTuning says why nothing is trained, or that an older adapter goes on answering.
func (t *thought) waitsForTuning() {
	t.decision.nodes = v1beta1.NodesUnjudged()
	t.inference = v1beta1.InferenceWaits(t.accepted)
	if run := t.trial.status.ServedRunID; run != "" && t.server != nil && t.server.Status.ReadyReplicas > 0 && sizing.ServesTuned(t.ws) {
		t.inference = v1beta1.ServingPreviousRun(t.ws.Name, run) // it is left as it is
	}
	t.job = v1beta1.JobNotStarted(t.accepted)
	t.succeeded = v1beta1.TuningNotFinished(t.accepted)
	if t.final {
		t.succeeded = v1beta1.WorkspaceFailed(t.accepted)
	}
}

// accept says that the data is good.
func (t *thought) accept() {
	t.accepted = v1beta1.AcceptedTuning(t.model.ID, t.notes...)
}

// room looks for nodes that can train and then serve, has them made where the Workspace
// asks for that, and plans both. It says whether a run can begin; where not, the
// conditions say why.
func (p Planner) room(t *thought, longest int) bool {
	if provisions(t.ws) {
		if !p.roomOnType(t, longest) {
			return false
		}
		t.askForTrainer()
	}
	return !findNodes(p, t) && p.roomOn(t, longest)
}

// roomOnType judges a type before there is a node of it. What a retired type could take
// is not judged: the cloud's own answer is what its user needs to see.
func (p Planner) roomOnType(t *thought, longest int) bool {
	if t.instance.Retired || len(t.observed.nodes) > 0 {
		return true
	}
	t.fit = []model.NodeShape{sizing.TypeShape(t.instance)}
	fits := p.roomOn(t, longest)
	t.fit, t.decision.nodes = nil, metav1.Condition{}
	if !fits {
		t.decision.nodes = v1beta1.NodesTooSmall()
	}
	return fits
}

// askForTrainer wants the one node on which a run is trained and served.
func (t *thought) askForTrainer() {
	if provisions(t.ws) {
		t.ask(1, t.tuned.wants.Plan.Disk+t.model.Forms[model.FormHF].Size*2+t.tuned.wants.DataBytes)
	}
}

// roomOn plans a training, and the server behind it, on the nodes that fit.
func (p Planner) roomOn(t *thought, longest int) bool {
	plan, nodes, err := estimate.Tune(t.model, t.trial.settings.LoadOf(longest), t.fit)
	if err != nil {
		t.doesNotFit(sizing.Sentence(err))
		return false
	}
	if sizing.ServesTuned(t.ws) {
		if why := p.unservable(t); why != "" {
			t.doesNotFit(sizing.TrainedNotServed(why))
			return false
		}
	}
	t.decision.nodes = v1beta1.NodesReady(nodes)
	t.tuned.wants.Plan = plan
	if plan.GPU != nil {
		t.tuned.wants.Images.Tuner = p.Images.TunerGPU
	}
	return true
}

// doesNotFit refuses; a larger node that joins is judged at once.
func (t *thought) doesNotFit(why string) {
	t.accepted = v1beta1.Refused(v1beta1.ReasonDoesNotFit, "%s", sizing.OfType(why, t.instance))
	t.decision.nodes, t.final = v1beta1.NodesTooSmall(), true
}

// tuning is what the objects of a run are rendered from, but for the plan.
func (p Planner) tuning(t *thought) render.Tuning {
	source, mount, token := p.tuneSource(t)
	one := render.Tuning{
		Workspace: t.ws, RunID: t.trial.run, Attempt: 1, Model: t.model, Settings: t.trial.settings,
		Images: render.TuningImages{Runner: p.Images.Runner, Gate: p.Images.Gate, Tuner: p.Images.Tuner},
		Source: source, Mount: mount, TokenSecret: token, PullSecrets: p.pullSecrets(t.ws),
		InputVolume: t.trial.input, OutputVolume: t.trial.output,
		PlainHTTP: p.Sources.PlainHTTP, AllowCIDRs: p.Sources.AllowCIDRs, Authorities: p.Sources.Authorities, OperatorNamespace: p.Sources.Namespace,
	}
	if d := t.trial.status.Dataset; d != nil {
		one.DataDigest = d.Digest
		if d.Bytes != nil {
			one.DataBytes = model.Bytes(*d.Bytes)
		}
	}
	return one
}

// roles splits the pods of a Workspace into those that serve and those of its Jobs.
func roles(pods []corev1.Pod) (serve, jobs []corev1.Pod) {
	for _, pod := range pods {
		switch pod.Labels[v1beta1.LabelRole] {
		case v1beta1.RoleCheck, v1beta1.RoleTune:
			jobs = append(jobs, pod)
		case v1beta1.RoleFacts:
			// see ofRole
		default:
			serve = append(serve, pod)
		}
	}
	return serve, jobs
}

// ofRole are the pods of one Job, the newest last.
func ofRole(pods []corev1.Pod, role string) []corev1.Pod {
	var all []corev1.Pod
	for _, pod := range pods {
		if pod.Labels[v1beta1.LabelRole] == role {
			all = append(all, pod)
		}
	}
	slices.SortStableFunc(all, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return all
}
