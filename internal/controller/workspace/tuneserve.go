package workspace

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/sizing"
)

// What the small pods on every node take beside ours: DNS, network, agents. Who has room
// only without them has none, and a run that waits for a server to leave waits for ever.
const (
	othersCPU    = 300 * model.Core / 1000
	othersMemory = 512 * model.MiB
)

// published goes on from an adapter that is where it was wanted: a server answers with
// it, unless nobody wants one.
func (p Planner) published(t *thought) {
	s := &t.trial.status
	s.Phase, s.FailureReason, s.FailureMessage = v1beta1.TuningPublished, "", ""
	t.accept()
	t.tuned.service = true
	t.job = v1beta1.JobStarted("The training has ended and its adapter is published")
	t.succeeded = v1beta1.TuningSucceeded(publishedAt(s))
	if t.checkJob != nil {
		t.tuned.check = remove
	}
	if !sizing.ServesTuned(t.ws) {
		t.tuned.stop = true
		t.release()
		t.decision.nodes = v1beta1.NodesNotNeeded()
		if provisions(t.ws) {
			t.decision.nodes = v1beta1.NodesAwaited(p.claims(t))
		}
		t.inference, t.summary = v1beta1.NotRequested(), v1beta1.Succeeded()
		return
	}
	if !p.serveAdapter(t) {
		return
	}
	t.inference = judge(t)
	if t.inference.Reason == v1beta1.ReasonInferencePending {
		t.inference.Reason = v1beta1.ReasonStarting
	}
	t.decision.startup = startup(t)
}

// servePrevious lets the adapter of an earlier run answer as long as there is room for
// it; otherwise the model does what the condition says.
func (p Planner) servePrevious(t *thought, otherwise metav1.Condition) {
	t.inference = otherwise
	if t.succeeded.Type == "" {
		t.succeeded = v1beta1.TuningNotFinished(otherwise)
	}
	s := t.trial.status
	if s.ServedRunID == "" || !sizing.ServesTuned(t.ws) {
		return
	}
	nodes, accepted := t.decision.nodes, t.accepted
	served := p.serveAdapter(t)
	t.decision.nodes, t.accepted = nodes, accepted
	if !served {
		return
	}
	if training := t.tuned.train == create || t.tuneJob != nil && t.tuned.train == leave && s.Phase != v1beta1.TuningFailed; training && !together(t) {
		t.serving, t.tuned.stop = nil, true
		return
	}
	if condition := judge(t); condition.Status == metav1.ConditionTrue {
		t.inference = v1beta1.ServingPreviousRun(t.ws.Name, s.ServedRunID)
	} else if s.Phase == v1beta1.TuningFailed {
		t.inference = condition
	}
}

// serveAdapter plans a server for the base model and the adapter that is published, as
// for any other Workspace. It says whether there is one.
func (p Planner) serveAdapter(t *thought) bool {
	t.fit, t.old = nil, nil
	t.adapters = []render.Adapter{p.tunedAdapter(t)}
	t.askForTrainer()
	if findNodes(p, t) {
		t.inference = stands(t.observed, t.decision.nodes)
		return false
	}
	plan, nodes, err := estimate.BestAlone(t.model, t.wishes(), t.fit)
	if err != nil {
		t.decision.nodes = v1beta1.NodesTooSmall()
		t.inference = v1beta1.InferenceNotReady(v1beta1.ReasonDoesNotFit, "The adapter is published, and no server fits: %s", sizing.Sentence(err))
		return false
	}
	start, err := sizing.Command(t.model, plan, engine.Settings{}, t.loras())
	if err != nil {
		t.inference = v1beta1.InferenceNotReady(v1beta1.ReasonInvalidSettings, "%s", sizing.Sentence(err))
		return false
	}
	t.decision.nodes, t.planned = v1beta1.NodesReady(nodes), t.figures(plan, nodes)
	t.serving = &render.Serving{
		Workspace: t.ws, Model: t.model, Plan: plan, Command: start,
		Images:  render.Images{Runner: p.Images.Runner, Engine: p.Images.engine(plan)},
		Weights: p.weights(t, plan, ""), PullSecrets: p.pullSecrets(t.ws), Adapters: t.adapters, Groups: p.groups(plan),
	}
	return true
}

// unservable says why the nodes that fit could not serve the model with its adapter, or nothing.
func (p Planner) unservable(t *thought) string {
	t.adapters = []render.Adapter{p.tunedAdapter(t)}
	return sizing.Unservable(t.model, t.wishes(), t.fit)
}

// tunedAdapter is what the last run that ended well has published. It answers under the
// name of the Workspace, and where a request names no model.
func (p Planner) tunedAdapter(t *thought) render.Adapter {
	a := render.Adapter{Adapter: model.Adapter{Name: t.ws.Name, Default: true, Rank: t.trial.settings.Load.Rank}}
	s := t.trial.status
	if s.OutputImage == "" {
		a.Volume = t.trial.output
		return a
	}
	a.Image, a.Digest, a.PlainHTTP = s.OutputImage, s.OutputDigest, p.Sources.PlainHTTP
	if secret := t.ws.Tuning.Output.ImagePushSecret; secret != "" {
		a.Secrets = []string{secret}
	}
	return a
}

// together says whether some node has room for training and server at once.
func together(t *thought) bool {
	train, serve := t.tuned.wants.Plan, t.serving.Plan
	if t.tuneJob != nil && train.Model == "" { // it was planned by an earlier pass
		plan, _, err := estimate.Tune(t.model, t.trial.settings.LoadOf(longest(t.trial.status)), t.fit)
		if err != nil {
			return false
		}
		train = plan
	}
	for _, n := range t.fit {
		enough := n.CPU >= train.CPU+serve.CPU+othersCPU && n.Memory >= train.Memory.Total()+serve.Memory.Total()+othersMemory
		if enough && n.GPUs.Free() >= train.GPUs()+serve.GPUs() {
			return true
		}
	}
	return false
}
