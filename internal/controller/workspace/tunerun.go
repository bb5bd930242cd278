package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/sizing"
)

// runLetters is the length of a run's id: enough that no two runs of a Workspace share one.
const runLetters = 12

// nameRun says which run is asked for, and begins its status anew where it is another
// than the one that stands there. What is published stays published.
func nameRun(p Planner, t *thought) bool {
	source, _, _ := p.tuneSource(t)
	t.trial.run = runID(t.ws.Tuning, t.trial.settings.Values, render.Revision(source))
	return false
}

// runID is the first letters of a hash over all that an adapter depends on: what the
// user asks for, the settings as they were read, and the weights.
func runID(stanza *v1beta1.TuningSpec, settings contract.Settings, revision string) string {
	data, err := json.Marshal([]any{stanza, settings, revision})
	if err != nil {
		panic("a stanza and its settings are plain data: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:runLetters]
}

// stopOtherRun ends the Jobs of another run, and those of a failed one that is to be
// tried again, and waits until their pods have gone: a training that is told to stop
// writes a checkpoint first.
func stopOtherRun(_ Planner, t *thought) bool {
	s := &t.trial.status
	other, retry := s.RunID != t.trial.run, t.retried()
	stale := func(j *batchv1.Job) bool {
		return j != nil && (retry || j.Annotations[v1beta1.AnnotationRunID] != t.trial.run)
	}
	t.tuned.check, t.tuned.train = fateOfStale(stale(t.checkJob)), fateOfStale(stale(t.tuneJob))
	if t.tuned.check == remove || t.tuned.train == remove || (other || retry) && t.ends() {
		t.accepted = v1beta1.StoppingRun()
		return true
	}
	again := t.ws.Annotations[v1beta1.AnnotationRetry]
	switch {
	case other:
		t.trial.status = v1beta1.TuningStatus{
			RunID: t.trial.run, Phase: v1beta1.TuningChecking, Retry: again,
			ServedRunID: s.ServedRunID, OutputImage: s.OutputImage, OutputDigest: s.OutputDigest,
		}
	case retry:
		s.Retry, s.FailureReason, s.FailureMessage, s.Phase = again, "", "", v1beta1.TuningWaiting
		if s.Dataset == nil {
			s.Phase = v1beta1.TuningChecking
		}
	}
	return false
}

// retried is true of a failed run that the user wants tried again.
func (t *thought) retried() bool {
	s, again := t.trial.status, t.ws.Annotations[v1beta1.AnnotationRetry]
	return s.RunID == t.trial.run && s.Phase == v1beta1.TuningFailed && again != "" && again != s.Retry
}

// ends is true while pods of Jobs that have gone still end.
func (t *thought) ends() bool {
	return t.checkJob == nil && lingering(ofRole(t.jobPods, v1beta1.RoleCheck)) || t.tuneJob == nil && lingering(ofRole(t.jobPods, v1beta1.RoleTune))
}

func fateOfStale(stale bool) fate {
	if stale {
		return remove
	}
	return leave
}

// lingering is true while a pod of a Job that has gone still ends.
func lingering(pods []corev1.Pod) bool {
	for i := range pods {
		if phase := pods[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			return true
		}
	}
	return false
}

// finished says whether a Job has ended, and how. Jobs and pods are watched apart: while
// a pod of a Job that has ended still seems to run, its last words are on their way.
func finished(j *batchv1.Job, pods []corev1.Pod) (ended, well bool, why string) {
	if lingering(pods) {
		return false, false, ""
	}
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return true, true, ""
		case batchv1.JobFailed:
			return true, false, c.Message
		}
	}
	return false, false, ""
}

// failForGood records that the run needs the user.
func (t *thought) failForGood(reason, message string) {
	s := &t.trial.status
	s.Phase, s.FailureReason, s.FailureMessage = v1beta1.TuningFailed, reason, message
}

// failedForGood says so until an edit makes another run, or the annotation asks for another try.
func (p Planner) failedForGood(t *thought) {
	s := &t.trial.status
	t.final = true
	if s.Dataset == nil { // it was the check
		t.accepted = v1beta1.Refused(s.FailureReason, "%s", s.FailureMessage)
		t.waitsForTuning()
		t.final = true
		return
	}
	t.accept()
	if !t.servesEarlier() {
		t.release() // a retry asks again
	}
	if !findNodes(p, t) {
		t.decision.nodes = v1beta1.NodesCanRun(names(t.fit))
	}
	t.job = v1beta1.JobFailed(s.FailureReason, "%s", s.FailureMessage)
	t.succeeded = v1beta1.WorkspaceFailed(t.job)
	t.tuned.service = true
	p.servePrevious(t, v1beta1.InferenceWaits(t.job))
}

// servesEarlier is true where the adapter of an earlier run is to go on answering.
func (t *thought) servesEarlier() bool {
	return t.trial.status.ServedRunID != "" && sizing.ServesTuned(t.ws)
}
