package workspace

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/sizing"
)

// checking has data and push tried, and goes on with the training once both are good.
// No node is asked for before that.
func (p Planner) checking(t *thought) {
	s := &t.trial.status
	s.Phase = v1beta1.TuningChecking
	t.accepted = v1beta1.CheckingDataset()
	if t.checkJob == nil {
		if p.hopeless(t) {
			return
		}
		t.tuned.check = create
		t.stillChecking()
		return
	}
	pods := ofRole(t.jobPods, v1beta1.RoleCheck)
	ended, well, why := finished(t.checkJob, pods)
	if found := checked(pods); ended && well && found != nil {
		s.Dataset, s.Phase = found, v1beta1.TuningWaiting
		t.tuned.wants = p.tuning(t)
		p.training(t)
		return
	}
	refusals, passing := complaints(pods)
	broken := ended && !well && passing == nil && len(pods) > 0
	switch {
	case len(refusals) > 0:
		t.refuseData(refusals)
	case broken:
		t.failForGood(v1beta1.ReasonCheckFailed, fmt.Sprintf("The check ended without a result: %s", cmp.Or(lastWords(pods), why)))
	}
	if s.Phase == v1beta1.TuningFailed {
		t.tuned.check = fateOfStale(!ended) // of two containers the other need not go on
		p.failedForGood(t)
		return
	}
	// A pod that is gone has taken along what it found, and a host that did not answer is asked again.
	t.tuned.check = fateOfStale(ended)
	if passing != nil {
		t.accepted = v1beta1.AcceptedUnknown(string(passing.Reason), "%s; the check is made again by itself", strings.TrimSuffix(passing.Message, "."))
	}
	t.stillChecking()
}

// hopeless refuses what no data set could make fit, where there are nodes or a type to judge by.
func (p Planner) hopeless(t *thought) bool {
	switch {
	case provisions(t.ws):
		p.roomOnType(t, sizing.ShortestRow)
	case len(t.observed.nodes) > 0:
		p.room(t, sizing.ShortestRow)
	}
	if !t.final {
		return false
	}
	nodes := t.decision.nodes
	t.waitsForTuning()
	t.decision.nodes = nodes
	return true
}

// stillChecking says what keeps the pod of the check from ending.
func (t *thought) stillChecking() {
	if t.accepted.Reason == v1beta1.ReasonCheckingDataset {
		before := meta.FindStatusCondition(t.ws.Status.Conditions, v1beta1.ConditionAccepted)
		pods := ofRole(t.jobPods, v1beta1.RoleCheck)
		switch words := podTrouble(t.observed, pods); {
		case words != "":
			t.accepted = v1beta1.AcceptedUnknown(v1beta1.ReasonCheckingDataset, "The data set and the push are to be checked: %s", words)
		case before != nil && before.Status == metav1.ConditionUnknown && before.Reason != v1beta1.ReasonStoppingRun && len(pods) == 0 && before.ObservedGeneration == t.ws.Generation:
			t.accepted = *before // the next try is on its way: nothing new is known
		}
	}
	t.waitsForTuning()
	t.tuned.service = t.have[handle{"Service", t.ws.Name}] != nil
}

// refuseData takes all that is wrong together: whoever corrects it wants to know all of it.
func (t *thought) refuseData(all []ending.Ending) {
	var words []string
	for _, e := range all {
		words = append(words, strings.TrimSuffix(e.Message, "."))
	}
	slices.Sort(words)
	t.failForGood(reasonOf(all[0].Reason), strings.Join(slices.Compact(words), "; "))
}

// checked is what the check has found, or nil.
func checked(pods []corev1.Pod) *v1beta1.DatasetStatus {
	for _, r := range results(pods, render.CheckContainer) {
		if r.Dataset != nil {
			return datasetStatus(*r.Dataset)
		}
	}
	return nil
}

// results are those of a container in pods that have ended well, the newest first.
func results(pods []corev1.Pod, container string) []contract.Result {
	var all []contract.Result
	for _, pod := range slices.Backward(pods) {
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if s.Name != container || s.State.Terminated == nil || s.State.Terminated.ExitCode != 0 {
				continue
			}
			var r contract.Result
			if err := json.Unmarshal([]byte(s.State.Terminated.Message), &r); err == nil && r.Reason == contract.Done {
				all = append(all, r)
			}
		}
	}
	return all
}

// complaints are what the newest pod's containers say that only a user can change, and
// what may pass, the newest of that.
func complaints(pods []corev1.Pod) (final []ending.Ending, passing *ending.Ending) {
	for _, pod := range pods {
		for _, s := range pod.Status.ContainerStatuses {
			last := s.State.Terminated
			if last == nil || last.ExitCode == 0 {
				continue
			}
			said := told(last)
			switch {
			case last.ExitCode == ending.CodeConfig && said.Reason != "":
				final = append(final, said)
			case last.Reason == reasonOOMKilled:
				final = append(final, ending.Ending{Reason: ending.Reason(v1beta1.ReasonCheckFailed), Message: fmt.Sprintf(
					"Container %q of the check used up the memory that it may: split the data into files with smaller row groups", s.Name)})
			case said.Reason == ending.DataUnreachable || said.Reason == ending.PushUnreachable || said.Reason == ending.WeightsUnreachable:
				passing = &said
			}
		}
	}
	if passing != nil && passing.Reason == ending.WeightsUnreachable {
		passing.Reason = ending.Reason(v1beta1.ReasonWeightsUnreachable)
	}
	return final, passing
}

// lastWords are those with which the newest pod's containers failed.
func lastWords(pods []corev1.Pod) string {
	for _, pod := range slices.Backward(pods) {
		var words []string
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if last := s.State.Terminated; last != nil && last.ExitCode != 0 {
				words = append(words, fmt.Sprintf("container %q: %s", s.Name, told(last).Message))
			}
		}
		if pod.Status.Message != "" {
			words = append(words, pod.Status.Message)
		}
		if len(words) > 0 {
			return strings.Join(words, "; ")
		}
	}
	return ""
}

// datasetStatus is a data set as the status shows it.
func datasetStatus(d contract.Dataset) *v1beta1.DatasetStatus {
	skipped := d.EmptyRows + d.LongRows
	return &v1beta1.DatasetStatus{
		Files: new(int32(d.Files)), Rows: &d.Rows, SkippedRows: &skipped, Tokens: &d.Tokens,
		LongestRow: new(int32(d.LongestRow)), Bytes: &d.Bytes, Format: d.Format, Digest: d.Digest,
	}
}
