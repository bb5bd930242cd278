package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/sizing"
)

// facts are what a pass has chosen about the objects with what a model of the hub is.
type facts struct {
	// pin is kept; nil leaves what stands, unless drop is true.
	pin  *render.Pin
	drop bool
	// job is the fate of the Job that reads with a token, question what it reads.
	job      fate
	question render.FactsQuestion
}

// factsChild is one object of those.
type factsChild struct {
	child
	fate   func(facts) fate
	object func(*v1beta1.Workspace, facts) runtime.ApplyConfiguration
	// once is true of what cannot be changed.
	once bool
}

// factsChildren is the one list of them.
func factsChildren() []factsChild {
	return []factsChild{
		{
			child{kind: "ConfigMap", name: render.FactsName, empty: func() client.Object { return &corev1.ConfigMap{} }},
			func(f facts) fate {
				switch {
				case f.pin != nil:
					return create
				case f.drop:
					return remove
				}
				return leave
			},
			func(ws *v1beta1.Workspace, f facts) runtime.ApplyConfiguration { return render.FactsConfig(ws, *f.pin) }, false,
		},
		{
			child{kind: "Job", name: render.FactsName, empty: func() client.Object { return &batchv1.Job{} }},
			func(f facts) fate {
				if f.drop {
					return remove
				}
				return f.job
			},
			func(_ *v1beta1.Workspace, f facts) runtime.ApplyConfiguration { return render.FactsJob(f.question) }, true,
		},
	}
}

// wantedFacts pairs what a decision wants of them with what stands in the cluster.
func wantedFacts(o observed, f facts) []kube.Child {
	var all []kube.Child
	for _, c := range factsChildren() {
		name, have := c.name(o.ws), o.have[handle{c.kind, c.name(o.ws)}]
		switch c.fate(f) {
		case create:
			if have == nil || !c.once {
				all = append(all, kube.Child{Kind: c.kind, Name: name, Object: c.object(o.ws, f), Have: have})
			}
		case remove:
			if have != nil {
				all = append(all, kube.Child{Kind: c.kind, Name: name, Have: have})
			}
		case leave:
		}
	}
	return all
}

// readByJob has a pod of the Workspace's namespace read a model with the token that the
// operator may not see. It is done once the facts are there.
func (p Planner) readByJob(t *thought) (done bool) {
	h := &t.hub
	t.facts.question = p.factsQuestion(t)
	if h.job != nil && h.job.Annotations[v1beta1.AnnotationRunID] != t.facts.question.ID {
		t.facts.job = remove
		t.accepted = v1beta1.ResolvingModel(h.ask.repository, "")
		return true
	}
	if h.job == nil {
		if !lingering(h.pods) {
			t.facts.job = create
		}
		t.stillReading()
		return true
	}
	ended, well, why := finished(h.job, h.pods)
	switch {
	case !ended:
		t.stillReading()
	case well:
		return p.readFound(t)
	default:
		p.readInVain(t, why)
	}
	return true
}

// factsQuestion is what the Job is to read; its id is a hash of it.
func (p Planner) factsQuestion(t *thought) render.FactsQuestion {
	h := &t.hub
	q := render.FactsQuestion{
		Endpoint: p.Sources.Hub, Repository: h.ask.repository, Revision: h.question.Revision, Pickles: h.ask.pickles,
		Secret: sizing.Options(t.ws).ModelAccessSecret, Runner: p.Images.Runner, PullSecrets: p.pullSecrets(t.ws),
	}
	data, err := json.Marshal([]any{q, h.ask.again})
	if err != nil {
		panic("a question is plain data: " + err.Error())
	}
	sum := sha256.Sum256(data)
	q.Workspace, q.ID = t.ws, hex.EncodeToString(sum[:])[:runLetters]
	return q
}

// readFound takes what the Job has found.
func (p Planner) readFound(t *thought) (done bool) {
	for _, pod := range slices.Backward(t.hub.pods) {
		for _, s := range pod.Status.ContainerStatuses {
			var found contract.Found
			if s.State.Terminated == nil || s.State.Terminated.ExitCode != 0 ||
				json.Unmarshal([]byte(s.State.Terminated.Message), &found) != nil || !gitCommit.MatchString(found.Commit) {
				continue
			}
			m, err := catalog.Parse([]byte(found.Model))
			if err != nil {
				t.accepted, t.final = v1beta1.ModelUnusable(fmt.Sprintf("What the hub says of %s is no model: %v", t.hub.ask.repository, err)), true
				return true
			}
			return p.pinNow(t, m, found.Commit)
		}
	}
	// The pod is gone, and with it what it found: it is read again.
	t.facts.job = remove
	t.stillReading()
	return true
}

// stillReading says what keeps the Job from ending. What an earlier try said stays until
// there is something new to say.
func (t *thought) stillReading() {
	how := fmt.Sprintf(" by a pod of this namespace, with Secret %q", sizing.Options(t.ws).ModelAccessSecret)
	if words := podTrouble(t.observed, t.hub.pods); words != "" {
		t.accepted = v1beta1.ResolvingModel(t.hub.ask.repository, how+": "+words)
		return
	}
	before := meta.FindStatusCondition(t.ws.Status.Conditions, v1beta1.ConditionAccepted)
	if before != nil && before.ObservedGeneration == t.ws.Generation && againReasons()[before.Reason] {
		t.accepted, t.final = *before, before.Status == metav1.ConditionFalse
		return
	}
	t.accepted = v1beta1.ResolvingModel(t.hub.ask.repository, how)
}

// againReasons are those that a try of the Job has given and the next may give again.
func againReasons() map[string]bool {
	return map[string]bool{
		v1beta1.ReasonModelGated: true, v1beta1.ReasonModelUnusable: true,
		v1beta1.ReasonHubUnreachable: true, v1beta1.ReasonHubRateLimited: true,
	}
}

// readInVain says why the Job has failed. It goes after a while, and is then made again.
func (p Planner) readInVain(t *thought, why string) {
	said := lastEnding(t.hub.pods)
	repository := t.hub.ask.repository
	if said == nil {
		t.accepted = v1beta1.HubNotAnswering(v1beta1.ReasonHubUnreachable, repository,
			fmt.Sprintf("The pod that reads what %s is, with Secret %q, ended without a result: %s", repository, sizing.Options(t.ws).ModelAccessSecret, why), nil)
		return
	}
	near := p.Catalog.Near(repository)
	switch said.Reason {
	case ending.WeightsRefused:
		t.accepted, t.final = v1beta1.ModelGated(repository, said.Message, nil), true
	case ending.WeightsNotFound:
		t.accepted, t.final = v1beta1.HubModelNotFound(repository, said.Message, near), true
	case ending.WeightsUnreachable:
		t.accepted = v1beta1.HubNotAnswering(v1beta1.ReasonHubUnreachable, repository, said.Message, nil)
	default:
		t.accepted, t.final = v1beta1.ModelUnusable(said.Message), true
	}
}

// lastEnding is what the newest pod that failed has said, or nil.
func lastEnding(pods []corev1.Pod) *ending.Ending {
	for _, pod := range slices.Backward(pods) {
		for _, s := range pod.Status.ContainerStatuses {
			if last := s.State.Terminated; last != nil && last.ExitCode != 0 {
				if said := told(last); said.Reason != "" {
					return &said
				}
			}
		}
	}
	return nil
}
