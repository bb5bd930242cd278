package workspace

import (
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodeshape"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/render/podtemplate"
	"kaito.sh/kaito/internal/sizing"
)

// Planner decides. It holds what is the same for every Workspace.
type Planner struct {
	// Catalog is the models that are shipped.
	Catalog *catalog.Catalog
	// Instances is what is published of the nodes that do not say what their GPUs are.
	Instances *instance.Table
	// Images says what pods are made of.
	Images Images
	// Sources say where weights come from.
	Sources Sources
	// AMDGroups own the devices of AMD's GPUs on nodes.
	AMDGroups []int64
	// NoProvisioning is true where no nodes are to be made.
	NoProvisioning bool
	// NoHubModels is true where the hub is never asked what a model is.
	NoHubModels bool
}

// Images are the references that the operator was given.
type Images struct {
	// Runner is the image that holds kaito-runner.
	Runner string
	// Engines are the images of the servers, by engine; ROCm are those for AMD's GPUs.
	Engines, ROCm map[string]string
	// Gate reads and tokenizes data, Tuner trains on CPUs and TunerGPU on GPUs.
	Gate, Tuner, TunerGPU string
}

// engine is the image of a plan's server.
func (i Images) engine(plan model.Plan) string {
	if plan.Vendor() == model.AMD {
		return i.ROCm[plan.Engine]
	}
	return i.Engines[plan.Engine]
}

// groups are those that a plan's pods need to open the devices of GPUs.
func (p Planner) groups(plan model.Plan) []int64 {
	if plan.Vendor() == model.AMD {
		return p.AMDGroups
	}
	return nil
}

// decision is what a pass has chosen: conditions, what to apply, what to report.
type decision struct {
	accepted, nodes, inference metav1.Condition
	// claims is NodeClaimReady, wish what is wanted of NodeClaims; both of a Workspace whose
	// nodes are made for it.
	claims metav1.Condition
	wish   wish
	// again is when the next pass is due at the latest; 0 waits for news.
	again time.Duration
	// final is true when only an edit can help.
	final bool
	// serving is what to apply; nil leaves the children as they are. planned is what a reader
	// asks of its plan.
	serving *render.Serving
	planned sizing.Figures
	// warnings are events that no condition tells.
	warnings []metav1.Condition
	// facts are the objects that keep what a model of the hub is.
	facts facts
	// workers are the nodes that pods run on.
	workers []string
	// startup is how long the start took; nil leaves what stands.
	startup *v1beta1.StartupStatus

	// Of a tuning alone: job and succeeded are its conditions, summary is WorkspaceReady
	// where that does not follow from the others.
	job, succeeded, summary metav1.Condition
	// tuning is how the run goes; nil leaves what stands.
	tuning *v1beta1.TuningStatus
	// tuned is what becomes of the objects of a tuning; nil: it is none.
	tuned *tuned
}

// step is one question; it may end the pass with an answer.
type step func(Planner, *thought) (done bool)

// thought is what the steps so far have found out.
type thought struct {
	observed
	decision
	model model.Model
	// template is the user's own pod template, as it is applied, or nil.
	template *podtemplate.Template
	// settings are what the user's ConfigMap asks of the engine.
	settings engine.Settings
	// adapters are served beside the model.
	adapters []render.Adapter
	// notes are what the condition Accepted says besides.
	notes []string
	// fit are the nodes that can take a pod, as shapes.
	fit []model.NodeShape
	// old names the nodes that match and cannot mount a model image, with what they have.
	old []string
	// instance is the type of the nodes that are made.
	instance instance.Type
	// short says why fewer nodes are there than are wanted.
	short metav1.Condition
	// trial is what a tuning knows besides.
	trial trial
}

// decide is pure: the same observation gives the same decision.
func (p Planner) decide(o observed) decision {
	if o.models != nil {
		p.Catalog = o.models
	}
	if o.ws.Tuning != nil {
		return p.decideTuning(o)
	}
	t := &thought{observed: o}
	t.workers = workers(o.pods)
	t.facts.drop = o.hub.ask == nil
	for _, s := range []step{refuseWhatComesLater, refuseStrangers, readTemplate, findModel, refuseCode, readAdapters, refuseImage, readSettings, refuseSelector, refuseInstanceType, askForServers, findNodes, fitTemplate, fitModel, noteSettings} {
		if s(p, t) {
			t.waits()
			return p.settle(t)
		}
	}
	t.decision.inference = judge(t)
	t.decision.startup = startup(t)
	return p.settle(t)
}

// settle says where the nodes stand that are made for the Workspace.
func (p Planner) settle(t *thought) decision {
	if provisions(t.ws) {
		t.decision.claims = p.claims(t)
		if t.short.Type != "" && t.decision.nodes.Status == metav1.ConditionTrue {
			t.decision.nodes = t.short
		}
	}
	return t.decision
}

// refuseStrangers does not take over what somebody else has made.
func refuseStrangers(_ Planner, t *thought) bool {
	if len(t.strangers) == 0 {
		return awaitLeftovers(t)
	}
	t.accepted = v1beta1.Refused(v1beta1.ReasonNameTaken,
		"%s in this namespace belongs to somebody else: remove it, or give the Workspace another name", t.strangers[0])
	t.final = true
	return true
}

// awaitLeftovers lets the garbage collector finish: the pass comes again with each that goes.
func awaitLeftovers(t *thought) bool {
	if len(t.leftovers) == 0 {
		return false
	}
	t.accepted = v1beta1.Refused(v1beta1.ReasonNameTaken,
		"%s of an earlier Workspace of this name is being removed; this one goes on by itself", t.leftovers[0])
	return true
}

// readTemplate reads what the API server has taken without a look.
func readTemplate(_ Planner, t *thought) bool {
	if t.ws.Inference.Template == nil {
		return false
	}
	template, err := podtemplate.Parse(t.ws.Inference.Template.Raw)
	if err != nil {
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidTemplate, "The pod template in inference.template cannot be used: %v", err), true
		return true
	}
	t.template, t.notes = template, sizing.Notes(t.ws)
	t.accepted = v1beta1.AcceptedTemplate(t.notes...)
	return false
}

func findModel(p Planner, t *thought) bool {
	if t.template != nil {
		return false
	}
	if t.hub.ask != nil {
		return p.findHubModel(t)
	}
	found, no := sizing.FindModel(p.Catalog, t.ws.Inference.Preset.Name)
	if t.object(no) {
		return true
	}
	t.model, t.notes = found, append(sizing.Notes(t.ws), sizing.OriginNotes(p.Catalog, found)...)
	t.accepted = v1beta1.Accepted(found.ID, t.notes...)
	return false
}

func refuseSelector(_ Planner, t *thought) bool { return t.object(sizing.BadSelector(t.selectorError)) }

// refuseWhatComesLater is honest about a field that this version does not act on.
func refuseWhatComesLater(_ Planner, t *thought) bool { return t.object(sizing.Unsupported(t.ws)) }

// object takes up an objection, if there is one, and says so.
func (t *thought) object(no *sizing.Objection) bool {
	if no == nil {
		return false
	}
	t.accepted, t.final = no.Condition, !no.Waits
	return true
}

// findNodes keeps the nodes that can take a pod now. Missing ones are no
// rejection: nodes may join later.
func findNodes(p Planner, t *thought) bool {
	if provisions(t.ws) {
		return p.findMade(t)
	}
	if len(t.observed.nodes) == 0 {
		t.decision.nodes = v1beta1.NoMatchingNode(metav1.FormatLabelSelector(t.ws.Resource.LabelSelector))
		return true
	}
	not := p.pick(t, sizing.Unusable)
	if len(t.fit) == 0 {
		t.decision.nodes = v1beta1.NodesNotReady(not)
		return true
	}
	return t.narrow()
}

// narrow leaves of the nodes the part that resource.partition asks for.
func (t *thought) narrow() bool {
	if t.template != nil {
		return false
	}
	part, err := sizing.OfPartition(t.ws.Resource.Partition, t.fit)
	if err != nil {
		t.accepted, t.fit, t.final = v1beta1.Refused(v1beta1.ReasonDoesNotFit, "%s", sizing.Sentence(err)), nil, true
		t.decision.nodes = v1beta1.NodesTooSmall()
		return true
	}
	t.fit = part
	return false
}

// pick sorts the nodes into those that can take a pod now and those that cannot, which
// it returns with why.
func (p Planner) pick(t *thought, judge func(*corev1.Node) string) (not []string) {
	t.fit, t.old = nil, nil
	for i := range t.observed.nodes {
		n := &t.observed.nodes[i]
		if why := tooOld(n); why != "" && n.DeletionTimestamp.IsZero() {
			t.old = append(t.old, n.Name+" "+why)
		}
		if why := judge(n); why != "" {
			not = append(not, n.Name+" "+why)
			continue
		}
		t.fit = append(t.fit, nodeshape.Of(n, p.Instances, t.taken[n.Name])...)
	}
	t.stayWithin()
	slices.Sort(not)
	slices.Sort(t.old)
	return not
}

// fitTemplate runs as many pods as the user says, and takes their word for what fits.
func fitTemplate(_ Planner, t *thought) bool {
	if t.template == nil {
		return false
	}
	t.decision.nodes = v1beta1.NodesCanRun(names(t.fit))
	t.serving = &render.Serving{Workspace: t.ws, Template: t.template, Plan: model.Plan{Nodes: podsOf(t.ws)}}
	return false
}

// names are those of nodes, sorted.
func names(nodes []model.NodeShape) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fitModel plans the model for the nodes and says what to apply.
func fitModel(p Planner, t *thought) bool {
	if t.template != nil {
		return false
	}
	plan, nodes, err := estimate.Best(t.model, t.wishes(), t.fit)
	if tooFew(t, err) {
		return true
	}
	if err != nil {
		// Told as a failure, because nothing that is there can help; a larger node that joins is judged at once.
		t.accepted = v1beta1.Refused(v1beta1.ReasonDoesNotFit, "%s", sizing.Sentence(err))
		t.decision.nodes, t.final = v1beta1.NodesTooSmall(), true
		return true
	}
	if t.refuseUnserved(plan) {
		return true
	}
	if t.object(sizing.RemoteCode(t.model, plan.Engine, t.settings)) {
		return true
	}
	start, err := sizing.Command(t.model, plan, t.settings, t.loras())
	if err != nil {
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidSettings, "%s", sizing.Sentence(err)), true
		return true
	}
	t.decision.nodes, t.planned = v1beta1.NodesReady(nodes), t.figures(plan, nodes)
	t.serving = &render.Serving{
		Workspace: t.ws, Model: t.model, Plan: plan,
		Command: start,
		Images: render.Images{
			Runner: p.Images.Runner,
			Engine: p.Images.engine(plan),
		},
		Weights: p.weights(t, plan, sizing.Options(t.ws).Image), PullSecrets: p.pullSecrets(t.ws),
		Adapters: t.adapters, Groups: p.groups(plan),
	}
	p.ignoreImage(t)
	t.notes = slices.Concat(t.notes, planNotes(*t.serving), adapterNotes(*t.serving))
	t.accepted = v1beta1.Accepted(t.model.ID, t.notes...)
	return false
}

// tooFew says that nodes of the kind could serve the model together if there were more of
// them: no failure, because nodes may join.
func tooFew(t *thought, err error) bool {
	var few *estimate.TooFewNodesError
	if !errors.As(err, &few) {
		return false
	}
	t.decision.nodes = v1beta1.TooFewNodes(few)
	if provisions(t.ws) && t.short.Type != "" {
		t.decision.nodes = t.short // which says what the further ones wait for
	}
	return true
}

// waits says why there is no server, or that an older one goes on.
func (t *thought) waits() {
	because := t.accepted
	if t.decision.nodes.Type == "" {
		t.decision.nodes = v1beta1.NodesUnjudged()
	} else if t.accepted.Status == metav1.ConditionTrue {
		because = t.decision.nodes
	}
	t.inference = stands(t.observed, because)
}

// stands says that an older server goes on as it was, or what is waited for where there is none.
func stands(o observed, because metav1.Condition) metav1.Condition {
	if answersStill(o) && len(o.strangers) == 0 {
		return v1beta1.ServingPreviousVersion(o.ws.Name)
	}
	return v1beta1.InferenceWaits(because)
}

// answersStill is true while an older server answers. One of several nodes answers only as
// a whole; pods of a template are each on their own.
func answersStill(o observed) bool {
	if o.server == nil || o.server.Status.ReadyReplicas == 0 {
		return false
	}
	own := o.ws.Inference != nil && o.ws.Inference.Template != nil
	return own || o.server.Status.ReadyReplicas >= o.server.Status.Replicas
}
