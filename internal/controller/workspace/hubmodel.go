package workspace

import (
	"cmp"
	"context"
	"fmt"
	"regexp"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/resolver"
	"kaito.sh/kaito/internal/sizing"
)

// Models says what models of the hub are. It answers at once, with what is known.
type Models interface {
	// Answer has the rest found out for the Workspace.
	Answer(workspace types.NamespacedName, q resolver.Question) resolver.Answer
	// News are the Workspaces for whose question there is an answer.
	News() <-chan types.NamespacedName
}

// mainBranch is what a model of the hub means that names no revision.
const mainBranch = "main"

// gitCommit is what names a commit for ever.
var gitCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// ask is what a Workspace wants to know of the hub.
type ask struct {
	repository string
	pickles    bool
	// again is the annotation's value: a new one asks anew.
	again string
}

// hubModel is what is known of a model of the hub, where a Workspace names one.
type hubModel struct {
	// ask is nil where no model of the hub is named.
	ask *ask
	// pin is what was found before, or nil; pinned is its model.
	pin    *render.Pin
	pinned model.Model
	// answer is what the resolver says, where it was asked.
	answer resolver.Answer
	// question is what it was asked.
	question resolver.Question
	// job reads with a token; pods are its.
	job  *batchv1.Job
	pods []corev1.Pod
}

// asked is what a preset wants of the hub, or nil: the name is of the form owner/name and
// no catalog has it. Only what is served: what is tuned is in the catalog.
func asked(ws *v1beta1.Workspace, models *catalog.Catalog) *ask {
	if ws.Inference == nil || ws.Inference.Preset == nil || ws.Inference.Template != nil || models == nil {
		return nil
	}
	name := ws.Inference.Preset.Name
	if _, known := models.Lookup(name); known || !catalog.IsHubID(name) || len(models.InTheWay(name)) > 0 {
		return nil
	}
	return &ask{repository: name, pickles: sizing.AllowsPickles(ws), again: ws.Annotations[v1beta1.AnnotationRetry]}
}

// observeModel reads what is known of a model of the hub, and asks for the rest.
func (r *Reconciler) observeModel(ctx context.Context, o *observed) error {
	if !r.planner.NoHubModels {
		o.hub.ask = asked(o.ws, o.models)
	}
	strangers, leftovers := o.strangers, o.leftovers
	for _, c := range factsChildren() {
		if err := o.look(ctx, r.cached, c.child); err != nil {
			return err
		}
	}
	if o.hub.ask == nil {
		o.strangers, o.leftovers = strangers, leftovers // nothing is wanted where they stand
	}
	o.hub.readPin(o.have[handle{"ConfigMap", render.FactsName(o.ws)}])
	if o.hub.ask == nil || o.hub.ask.settledBy(o.hub.pin) {
		return nil
	}
	o.hub.question = o.hub.ask.question(o.ws, o.hub.pin)
	o.hub.answer = r.models.Answer(client.ObjectKeyFromObject(o.ws), o.hub.question)
	return nil
}

// readPin reads what was kept; what was spoilt by hand is read again from the hub.
func (h *hubModel) readPin(kept client.Object) {
	h.pin = nil
	m, ok := kept.(*corev1.ConfigMap)
	if !ok {
		return
	}
	pin := render.ReadPin(m)
	if found, err := catalog.Parse([]byte(pin.Model)); err == nil && gitCommit.MatchString(pin.Commit) && engine.CheckFacts(found) == nil {
		h.pin, h.pinned = &pin, atCommit(found, pin)
	}
}

// about is true of a pin that was found for the same question, be it long ago.
func (a *ask) about(pin *render.Pin) bool {
	return pin != nil && pin.Repository == a.repository && pin.Pickles == a.pickles
}

// settledBy is true where a pin answers all that is asked.
func (a *ask) settledBy(pin *render.Pin) bool {
	return a.about(pin) && (a.again == "" || a.again == pin.Again)
}

// question is what the resolver is asked. Where the pin was lost, the status still has the
// commit that runs.
func (a *ask) question(ws *v1beta1.Workspace, pin *render.Pin) resolver.Question {
	q := resolver.Question{Namespace: ws.Namespace, Repository: a.repository, Revision: mainBranch, Pickles: a.pickles, Again: a.again}
	if plan := ws.Status.Plan; pin == nil && plan != nil && plan.Model == model.IDOf(a.repository) && gitCommit.MatchString(plan.ModelRevision) {
		q.Revision = plan.ModelRevision
	}
	return q
}

// atCommit has the forms of a model come from one commit.
func atCommit(m model.Model, pin render.Pin) model.Model {
	forms := map[model.Form]model.Weights{}
	for name, w := range m.Forms {
		files := []string(nil)
		if w.Hub != nil {
			files = w.Hub.Files
		}
		w.Hub = &model.Hub{Repository: pin.Repository, Revision: pin.Commit, Files: files}
		forms[name] = w
	}
	m.Forms = forms
	return m
}

// findHubModel takes what is known of a model of the hub, or says what is waited for.
func (p Planner) findHubModel(t *thought) (done bool) {
	h := &t.hub
	switch {
	case !h.ask.about(h.pin):
		return p.findAnew(t)
	case h.ask.settledBy(h.pin):
		t.facts.job = fateOfStale(h.job != nil)
		return t.takePin(*h.pin, h.pinned)
	case !p.findAnew(t):
		return false
	}
	// What runs goes on until there is something newer.
	t.final = false
	return t.takePin(*h.pin, h.pinned, fmt.Sprintf("annotation %s has it read again: %s", v1beta1.AnnotationRetry, t.accepted.Message))
}

// findAnew takes what the resolver says, or a Job where that is not enough.
func (p Planner) findAnew(t *thought) (done bool) {
	answer := t.hub.answer
	t.again = answer.Again
	switch {
	case answer.Facts != nil:
		return p.pinNow(t, answer.Facts.Model, answer.Facts.Commit)
	case answer.Failure != nil:
		return p.notFound(t, *answer.Failure)
	}
	t.accepted = v1beta1.ResolvingModel(t.hub.ask.repository, "")
	return true
}

// pinNow keeps what was found, from this pass on.
func (p Planner) pinNow(t *thought, found model.Model, commit string) (done bool) {
	h := &t.hub
	pin := render.Pin{Repository: h.ask.repository, Commit: commit, Pickles: h.ask.pickles, Again: h.ask.again}
	found = atCommit(found, pin)
	found.Licence = cmp.Or(found.Licence, catalog.LicenceUnstated)
	file, err := catalog.Write(catalog.Page{Model: found})
	if err == nil {
		err = engine.CheckFacts(found)
	}
	if err != nil {
		t.accepted, t.final = v1beta1.ModelUnusable(fmt.Sprintf("What the hub says of %s is no model that can be run: %v", h.ask.repository, err)), true
		return true
	}
	pin.Model = string(file)
	return t.takePin(pin, found)
}

// takePin goes on with a pin.
func (t *thought) takePin(pin render.Pin, found model.Model, notes ...string) (done bool) {
	t.facts.pin = &pin
	t.model = engine.Served(found)
	t.notes = append(sizing.Notes(t.ws), fmt.Sprintf("its facts are those of %s at commit %s", pin.Repository, pin.Commit))
	t.notes = append(t.notes, notes...)
	t.accepted = v1beta1.Accepted(found.ID, t.notes...)
	return false
}

// notFound says why there is no model.
func (p Planner) notFound(t *thought, f resolver.Failure) (done bool) {
	near := p.Catalog.Near(t.hub.ask.repository)
	switch f.Why {
	case resolver.Hidden:
		if sizing.Options(t.ws).ModelAccessSecret != "" {
			return p.readByJob(t)
		}
		t.accepted, t.final = v1beta1.ModelGated(t.hub.ask.repository, f.Message, near), true
	case resolver.NotFound:
		t.accepted, t.final = v1beta1.HubModelNotFound(t.hub.ask.repository, f.Message, near), true
	case resolver.Pickles:
		t.accepted, t.final = v1beta1.OnlyPickles(t.hub.ask.repository), true
	case resolver.Unusable:
		t.accepted, t.final = v1beta1.ModelUnusable(f.Message), true
	case resolver.Limited:
		t.accepted = v1beta1.HubNotAnswering(v1beta1.ReasonHubRateLimited, t.hub.ask.repository, f.Message, near)
	case resolver.Unreachable:
		t.accepted = v1beta1.HubNotAnswering(v1beta1.ReasonHubUnreachable, t.hub.ask.repository, f.Message, near)
	}
	return true
}
