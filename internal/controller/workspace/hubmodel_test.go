package workspace

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/resolver"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/testkit"
)

const (
	aCommit = "0123456789abcdef0123456789abcdef01234567"
	bCommit = "89abcdef0123456789abcdef0123456789abcdef"
)

// onHub is what a hub says of a tiny model.
func onHub(commit string) resolver.Facts {
	return resolver.Facts{Commit: commit, Model: model.Model{
		ID: "tiny-chat", HubID: "o/Tiny-Chat", Licence: "MIT", Context: 512, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, Hidden: 64,
		Forms: map[model.Form]model.Weights{model.FormGGUF: {Size: 1000, File: "tiny.gguf", Hub: &model.Hub{Repository: "o/Tiny-Chat", Revision: commit, Files: []string{"tiny.gguf"}}}},
	}}
}

// hubScene is a Workspace with a model of the hub on its way.
type hubScene struct {
	t *testing.T
	observed
	answer resolver.Answer
	last   decision
}

func hubStory(t *testing.T, edits ...func(*v1beta1.Workspace)) *hubScene {
	t.Helper()
	ws := workspace(append([]func(*v1beta1.Workspace){testkit.Preset("o/Tiny-Chat")}, edits...)...)
	return &hubScene{t: t, observed: observed{ws: ws, nodes: []corev1.Node{*testkit.Node("n1")}, have: map[handle]client.Object{}}}
}

// pass decides on what was answered, and writes down what a cluster would.
func (s *hubScene) pass() *hubScene {
	s.t.Helper()
	p := planner(s.t)
	s.models = p.Catalog
	s.hub.ask, s.hub.answer = asked(s.ws, s.models), resolver.Answer{}
	s.hub.readPin(s.have[handle{"ConfigMap", render.FactsName(s.ws)}])
	if s.hub.ask != nil && !s.hub.ask.settledBy(s.hub.pin) {
		s.hub.question = s.hub.ask.question(s.ws, s.hub.pin)
		s.hub.answer = s.answer
	}
	s.last = p.decide(s.observed)
	s.ws.Status = s.last.status(s.ws, metav1.NewTime(time.Unix(0, 0)))
	if pin := s.last.facts.pin; pin != nil {
		m := &corev1.ConfigMap{Data: render.FactsConfig(s.ws, *pin).Data}
		s.have[handle{"ConfigMap", render.FactsName(s.ws)}] = m
	}
	switch s.last.facts.job {
	case create:
		s.hub.job = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1beta1.AnnotationRunID: s.last.facts.question.ID}}, Status: batchv1.JobStatus{Active: 1}}
	case remove:
		s.hub.job, s.hub.pods = nil, nil
	case leave:
	}
	return s
}

func (s *hubScene) says(status metav1.ConditionStatus, reason, words string) *hubScene {
	s.t.Helper()
	c := meta.FindStatusCondition(s.ws.Status.Conditions, v1beta1.ConditionAccepted)
	if c.Status != status || c.Reason != reason || !strings.Contains(c.Message, words) {
		s.t.Errorf("Accepted is %s/%s: %s\nwant %s/%s with %q", c.Status, c.Reason, c.Message, status, reason, words)
	}
	return s
}

// serves says at which commit.
func (s *hubScene) serves(commit string) *hubScene {
	s.t.Helper()
	if s.last.serving == nil {
		s.t.Fatalf("nothing is served: %+v", s.ws.Status.Conditions)
	}
	from := s.last.serving.Weights.Fetch.Hub
	if from.Revision != commit || from.Repository != "o/Tiny-Chat" || s.ws.Status.Plan.ModelRevision != commit {
		s.t.Errorf("served is %+v, the plan says %s, want commit %s", from, s.ws.Status.Plan.ModelRevision, commit)
	}
	return s
}

// jobEnds gives the Job's pod its last words.
func (s *hubScene) jobEnds(code int32, words any) *hubScene {
	s.t.Helper()
	phase, kind := corev1.PodSucceeded, batchv1.JobComplete
	if code != 0 {
		phase, kind = corev1.PodFailed, batchv1.JobFailed
	}
	s.hub.pods = []corev1.Pod{jobPod("chat-facts-x", v1beta1.RoleFacts, phase, endedWith(render.FactsContainer, code, words))}
	s.hub.job.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue}}
	return s
}

func withSecret(ws *v1beta1.Workspace) {
	ws.Inference.Preset.PresetOptions = &v1beta1.PresetOptions{ModelAccessSecret: "hub"}
}

func annotated(key, value string) func(*v1beta1.Workspace) {
	return func(ws *v1beta1.Workspace) { ws.Annotations = map[string]string{key: value} }
}

func TestAModelOfTheHubIsPinnedAndStays(t *testing.T) {
	t.Parallel()
	s := hubStory(t).pass().says(metav1.ConditionUnknown, v1beta1.ReasonResolvingModel, `Model "o/Tiny-Chat" is in no catalog, and is being read from the hub`)
	if s.last.serving != nil || s.ws.Status.State != v1beta1.StatePending {
		t.Errorf("state %s and %v while nothing is known", s.ws.Status.State, s.last.serving)
	}
	facts := onHub(aCommit)
	s.answer = resolver.Answer{Facts: &facts}
	s.pass().says(metav1.ConditionTrue, v1beta1.ReasonAccepted, "its facts are those of o/Tiny-Chat at commit "+aCommit).serves(aCommit)
	first := render.StatefulSet(*s.last.serving)

	// From now on nobody is asked, whatever happens to the branch or the hub.
	moved := onHub(bCommit)
	for name, a := range map[string]resolver.Answer{
		"the branch has moved": {Facts: &moved}, "the hub is down": {Failure: &resolver.Failure{Message: "down"}}, "nothing is known": {},
	} {
		s.answer = a
		s.pass().serves(aCommit)
		if diff := cmp.Diff(first, render.StatefulSet(*s.last.serving)); diff != "" {
			t.Errorf("%s and the pods roll (-before +after):\n%s", name, diff)
		}
	}

	// Asked for, it is read again, and goes on until there is an answer.
	s.ws.Annotations = map[string]string{v1beta1.AnnotationRetry: "1"}
	s.answer = resolver.Answer{}
	s.pass().serves(aCommit).says(metav1.ConditionTrue, v1beta1.ReasonAccepted, "annotation kaito.sh/retry has it read again")
	if diff := cmp.Diff(first, render.StatefulSet(*s.last.serving)); diff != "" {
		t.Errorf("pods roll before the model is read again (-before +after):\n%s", diff)
	}
	s.answer = resolver.Answer{Failure: &resolver.Failure{Why: resolver.Unreachable, Message: "the hub does not answer"}, Again: time.Second}
	if s.pass().serves(aCommit).says(metav1.ConditionTrue, v1beta1.ReasonAccepted, "The hub does not answer"); s.last.again != time.Second {
		t.Errorf("the next pass is due after %v, want a second", s.last.again)
	}
	s.answer = resolver.Answer{Facts: &moved}
	s.pass().serves(bCommit)
	s.answer = resolver.Answer{}
	s.pass().serves(bCommit)
}

func TestAPinThatWasLostIsReadAtTheCommitThatRuns(t *testing.T) {
	t.Parallel()
	facts := onHub(aCommit)
	s := hubStory(t)
	s.answer = resolver.Answer{Facts: &facts}
	s.pass().serves(aCommit)
	s.have = map[handle]client.Object{}
	s.pass().serves(aCommit)
	if got := s.hub.question.Revision; got != aCommit {
		t.Errorf("the hub is asked for %q, want the commit that runs", got)
	}
	// Another model is asked for at its own branch.
	s.ws.Inference.Preset.Name, s.have, s.answer = "o/other", map[handle]client.Object{}, resolver.Answer{}
	if s.pass(); s.hub.question.Revision != mainBranch {
		t.Errorf("another model is asked for at %q", s.hub.question.Revision)
	}
}

func TestWhatTheHubSaysBecomesACondition(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		failure resolver.Failure
		edit    func(*v1beta1.Workspace)
		status  metav1.ConditionStatus
		reason  string
		words   string
		state   v1beta1.WorkspaceState
	}{
		"a model that is not shown to strangers": {
			resolver.Failure{Why: resolver.Hidden, Message: "o/Tiny-Chat is gated: accept its terms"},
			nil,
			metav1.ConditionFalse, v1beta1.ReasonModelGated, "O/Tiny-Chat is gated: accept its terms", v1beta1.StateFailed,
		},
		"a name that nearly is one of the catalog": {
			resolver.Failure{Why: resolver.Hidden, Message: "The hub does not show it to strangers"},
			testkit.Preset("HuggingFaceTB/SmolLM2-135M-Instrct"),
			metav1.ConditionFalse, v1beta1.ReasonModelGated, "or did you mean smollm2-135m-instruct of the catalog", v1beta1.StateFailed,
		},
		"a model that is not there": {
			resolver.Failure{Why: resolver.NotFound, Message: "The hub has no repository o/Tiny-Chat"},
			nil,
			metav1.ConditionFalse, v1beta1.ReasonModelNotFound, "The hub has no repository", v1beta1.StateFailed,
		},
		"a hub that does not answer": {
			resolver.Failure{Why: resolver.Unreachable, Message: "hub.example does not answer"},
			nil,
			metav1.ConditionUnknown, v1beta1.ReasonHubUnreachable, "Hub.example does not answer; it is asked again by itself", v1beta1.StatePending,
		},
		"a hub that does not answer about a name that nearly is one of the catalog": {
			resolver.Failure{Why: resolver.Unreachable, Message: "hub.example does not answer"},
			testkit.Preset("microsoft/Phi-4-mini-instrct"),
			metav1.ConditionUnknown, v1beta1.ReasonHubUnreachable, "or did you mean phi-4-mini-instruct", v1beta1.StatePending,
		},
		"a hub that wants fewer requests": {
			resolver.Failure{Why: resolver.Limited, Message: "Too many requests"},
			nil,
			metav1.ConditionUnknown, v1beta1.ReasonHubRateLimited, "Too many requests; it is asked again", v1beta1.StatePending,
		},
		"files that make no sense": {
			resolver.Failure{Why: resolver.Unusable, Message: "config.json claims NaN layers"},
			nil,
			metav1.ConditionFalse, v1beta1.ReasonModelUnusable, "Config.json claims NaN layers", v1beta1.StateFailed,
		},
		"pickles": {
			resolver.Failure{Why: resolver.Pickles, Message: "only pickles"},
			nil,
			metav1.ConditionFalse, v1beta1.ReasonModelUnusable, `set the annotation kaito.sh/allow-pickle to "true"`, v1beta1.StateFailed,
		},
		"an annotation that means nothing": {
			resolver.Failure{},
			annotated(v1beta1.AnnotationAllowPickle, "yes"),
			metav1.ConditionFalse, v1beta1.ReasonInvalidAnnotation, `"true" or "false"`, v1beta1.StateFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hubStory(t)
			if tc.edit != nil {
				tc.edit(s.ws)
			}
			s.answer = resolver.Answer{Failure: &tc.failure, Again: time.Minute}
			facts := onHub(aCommit)
			if tc.failure.Message == "" {
				s.answer = resolver.Answer{Facts: &facts}
			}
			s.pass().says(tc.status, tc.reason, tc.words)
			if s.ws.Status.State != tc.state || s.last.again != s.answer.Again || s.last.serving != nil {
				t.Errorf("state %s, again after %v, want %s and %v", s.ws.Status.State, s.last.again, tc.state, s.answer.Again)
			}
		})
	}
}

func TestAGatedModelIsReadByAJob(t *testing.T) {
	t.Parallel()
	hidden := resolver.Answer{Failure: &resolver.Failure{Why: resolver.Hidden, Message: "Gated"}, Again: time.Minute}
	s := hubStory(t, withSecret)
	s.answer = hidden
	s.pass().says(metav1.ConditionUnknown, v1beta1.ReasonResolvingModel, `by a pod of this namespace, with Secret "hub"`)
	if s.last.facts.job != create {
		t.Fatalf("the Job is %v, want it made", s.last.facts.job)
	}
	made := render.FactsJob(s.last.facts.question)
	volumes := made.Spec.Template.Spec.Volumes
	if len(volumes) != 1 || *volumes[0].Secret.SecretName != "hub" {
		t.Errorf("the Job mounts %+v, want the Secret alone", volumes)
	}
	command := strings.Join(made.Spec.Template.Spec.Containers[0].Command, " ")
	if want := "/kaito-runner facts --endpoint https://huggingface.co --repository o/Tiny-Chat --revision main --token-file /etc/kaito-secrets/hub/HF_TOKEN"; command != want {
		t.Errorf("it runs %s, want %s", command, want)
	}
	s.pass().says(metav1.ConditionUnknown, v1beta1.ReasonResolvingModel, "by a pod")
	if s.last.facts.job != leave {
		t.Error("a Job that runs is not left alone")
	}

	// A token that is refused is the user's to change; once the Job is gone it is tried again, and says so until it knows better.
	s.jobEnds(2, ending.Ending{Reason: ending.WeightsRefused, Message: "huggingface.co does not accept the token", ExitCode: 2})
	s.pass().says(metav1.ConditionFalse, v1beta1.ReasonModelGated, "Huggingface.co does not accept the token")
	s.hub.job, s.hub.pods = nil, nil
	s.pass().says(metav1.ConditionFalse, v1beta1.ReasonModelGated, "does not accept the token")
	if s.last.facts.job != create {
		t.Error("it is not tried again")
	}
	// A new value of the annotation does not wait for that.
	s.ws.Annotations = map[string]string{v1beta1.AnnotationRetry: "now"}
	if s.pass(); s.last.facts.job != remove {
		t.Error("the Job of the question before is not removed")
	}
	s.pass()
	data, err := catalog.Write(catalog.Page{Model: onHub(aCommit).Model})
	if err != nil {
		t.Fatal(err)
	}
	s.jobEnds(0, contract.Found{Reason: contract.Done, Commit: aCommit, Model: string(data)})
	s.pass().says(metav1.ConditionTrue, v1beta1.ReasonAccepted, "at commit "+aCommit).serves(aCommit)
	if s.last.serving.Weights.TokenSecret != "hub" {
		t.Error("the runner has no token to fetch the weights with")
	}
	if s.pass().serves(aCommit); s.last.facts.job != remove {
		t.Error("the Job is not removed once what it found is kept")
	}
}

func TestAJobThatEndsOtherwise(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code   int32
		words  any
		status metav1.ConditionStatus
		reason string
		says   string
		fate   fate
	}{
		"a hub that is away":     {1, ending.Ending{Reason: ending.WeightsUnreachable, Message: "no route"}, metav1.ConditionUnknown, v1beta1.ReasonHubUnreachable, "No route", leave},
		"a model that is none":   {2, ending.Ending{Reason: ending.WeightsNotFound, Message: "it has no such model"}, metav1.ConditionFalse, v1beta1.ReasonModelNotFound, "It has no such model", leave},
		"files without weights":  {2, ending.Ending{Reason: ending.WeightsUnusable, Message: "no weights"}, metav1.ConditionFalse, v1beta1.ReasonModelUnusable, "No weights", leave},
		"a pod that says naught": {137, "", metav1.ConditionUnknown, v1beta1.ReasonHubUnreachable, "ended without a result", leave},
		"facts that are none":    {0, contract.Found{Reason: contract.Done, Commit: aCommit, Model: "id: x"}, metav1.ConditionFalse, v1beta1.ReasonModelUnusable, "is no model", leave},
		"a commit that is none":  {0, contract.Found{Reason: contract.Done, Commit: "main", Model: "{}"}, metav1.ConditionUnknown, v1beta1.ReasonResolvingModel, "by a pod", remove},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hubStory(t, withSecret)
			s.answer = resolver.Answer{Failure: &resolver.Failure{Why: resolver.Hidden, Message: "Gated"}}
			s.pass().jobEnds(tc.code, tc.words).pass().says(tc.status, tc.reason, tc.says)
			if s.last.facts.job != tc.fate {
				t.Errorf("the Job is %v, want %v", s.last.facts.job, tc.fate)
			}
		})
	}
}

func TestCatalogsComeBeforeTheHub(t *testing.T) {
	t.Parallel()
	models := planner(t).Catalog
	for name, want := range map[string]bool{
		"o/Tiny-Chat": true, "HuggingFaceTB/SmolLM2-135M-Instruct": false, "microsoft/phi-4": false, "tiny-chat": false, "../x": false, "o/../x": false, "o/x/y": false,
	} {
		if got := asked(workspace(testkit.Preset(name)), models) != nil; got != want {
			t.Errorf("%q is asked of the hub: %v, want %v", name, got, want)
		}
	}
	if asked(tuningWorkspace(), models) != nil {
		t.Error("a tuning asks the hub")
	}
	// A preset that goes back to the catalog leaves nothing behind.
	s := hubStory(t)
	facts := onHub(aCommit)
	s.answer = resolver.Answer{Facts: &facts}
	s.pass()
	s.ws.Inference.Preset.Name = "smollm2-135m-instruct"
	if s.pass(); !s.last.facts.drop || s.last.facts.pin != nil {
		t.Errorf("what is known of the hub's model stays: %+v", s.last.facts)
	}
}

func TestForeignCodeRunsOnlyByAnnotation(t *testing.T) {
	t.Parallel()
	facts := onHub(aCommit)
	facts.Model.RemoteCode = true
	facts.Model.Architectures = []string{"LlamaForCausalLM"}
	facts.Model.Forms = map[model.Form]model.Weights{model.FormHF: {Size: 1 << 30, Hub: &model.Hub{Repository: "o/Tiny-Chat", Revision: aCommit}}}
	s := hubStory(t)
	s.nodes = []corev1.Node{*withGPUs(testkit.Node("n1"), "1", a100()...)}
	s.answer = resolver.Answer{Facts: &facts}
	s.pass().says(metav1.ConditionFalse, v1beta1.ReasonRemoteCode, `set the annotation kaito.sh/trust-remote-code to "true"`)
	s.ws.Annotations = map[string]string{v1beta1.AnnotationTrustRemoteCode: "true"}
	s.pass().says(metav1.ConditionTrue, v1beta1.ReasonAccepted, "").serves(aCommit)
	if args := strings.Join(s.last.serving.Command.Args, " "); !strings.Contains(args, "--trust-remote-code") {
		t.Errorf("vLLM is not told: %s", args)
	}

	// A setting alone does not allow it, for any model.
	o := observed{
		ws: workspace(func(ws *v1beta1.Workspace) { ws.Inference.Config = "c" }), nodes: []corev1.Node{*testkit.Node("n1")},
		config: &corev1.ConfigMap{Data: map[string]string{v1beta1.ConfigKeyInference: "vllm: {trust-remote-code: true}"}},
	}
	if c := planner(t).decide(o).accepted; c.Reason != v1beta1.ReasonInvalidSettings || !strings.Contains(c.Message, v1beta1.AnnotationTrustRemoteCode) {
		t.Errorf("a setting allows what an annotation must: %+v", c)
	}
	o.config.Data[v1beta1.ConfigKeyInference] = "vllm: {trust-remote-code: false}"
	if c := planner(t).decide(o).accepted; c.Status != metav1.ConditionTrue {
		t.Errorf("a setting that forbids it is refused: %+v", c)
	}
}

// A hub has models of which no engine has code: that is said before anything is made.
func TestAHubModelWithoutCodeIsRefused(t *testing.T) {
	t.Parallel()
	facts := onHub(aCommit)
	facts.Model.Architectures = []string{"OddForCausalLM"}
	facts.Model.Forms = map[model.Form]model.Weights{model.FormHF: {Size: 1 << 20, Hub: &model.Hub{Repository: "o/Tiny-Chat", Revision: aCommit}}}
	s := hubStory(t)
	s.answer = resolver.Answer{Facts: &facts}
	if s.pass().last.serving != nil {
		t.Errorf("it is served: %+v", s.last.serving)
	}
	s.says(metav1.ConditionFalse, v1beta1.ReasonDoesNotFit, "OddForCausalLM")
}

// Ids are made of names by rules; a pin that was lost is found by the id, whatever the name is made of.
func TestALostPinOfAnOddNameComesBackAtItsCommit(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for _, repository := range []string{"o/Tiny-Chat", "o/Tiny_Chat--v2._x", "o/tiny.gguf"} {
		ws := workspace(testkit.Preset(repository))
		ws.Status.Plan = &v1beta1.PlanStatus{Model: model.IDOf(repository), ModelRevision: commit}
		if q := asked(ws, planner(t).Catalog).question(ws, nil); q.Revision != commit {
			t.Errorf("%s is asked for at %q, want the commit that served", repository, q.Revision)
		}
	}
}
