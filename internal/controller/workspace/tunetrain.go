package workspace

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
)

// Tunings asks the pods of running trainings how far they are, beside the controller.
type Tunings interface {
	// Watch has a pod asked from now on; it returns at once.
	Watch(workspace types.NamespacedName, uid types.UID, address string)
	// Forget ends the questions about a Workspace.
	Forget(workspace types.NamespacedName)
	// Progress is what a pod has said that is worth a status, or nil.
	Progress(workspace types.NamespacedName, uid types.UID) *contract.Progress
	// News are the Workspaces whose progress is worth a pass.
	News() <-chan types.NamespacedName
}

// training finds a node, trains, and takes what came of it.
func (p Planner) training(t *thought) {
	t.accept()
	t.tuned.service = true
	t.tuned.check = fateOfStale(t.checkJob != nil && t.writtenDown())
	pods := ofRole(t.jobPods, v1beta1.RoleTune)
	if t.tuneJob == nil {
		p.beginTraining(t, pods)
		return
	}
	ended, well, why := finished(t.tuneJob, pods)
	if ended && well {
		p.trained(t, pods)
		return
	}
	last := lastFault(t, pods)
	switch {
	case last != nil && last.final:
		t.failForGood(last.reason, last.message)
		t.tuned.train = fateOfStale(!ended && !last.seen) // else its policy ends the Job, and its logs stay
	case ended && last != nil:
		t.failForGood(v1beta1.ReasonAttemptsExhausted, fmt.Sprintf("The training was cut off in %d pods, the last time because %s", attempts(t), last.message))
	case ended:
		t.failForGood(v1beta1.ReasonAttemptsExhausted, fmt.Sprintf("The training's Job has failed and no pod says why: %s", why))
	default:
		p.trains(t, pods, t.started(pods, last))
		return
	}
	p.failedForGood(t)
}

// trained takes the result of a Job that has ended well.
func (p Planner) trained(t *thought, pods []corev1.Pod) {
	if done := results(pods, render.PublishContainer); len(done) > 0 && done[0].Published != nil {
		t.takeResult(done[0])
		p.published(t)
		return
	}
	if len(pods) > 0 && pods[len(pods)-1].Status.Phase == corev1.PodSucceeded {
		// Once more would end the same way, and cost a whole training.
		t.failForGood(v1beta1.ReasonTrainingFailed, "The run has ended well, and what its last container says cannot be read: install operator and runner of one version, then set the annotation "+v1beta1.AnnotationRetry)
		p.failedForGood(t)
		return
	}
	// The pod that knew it is gone: publishing again finds the image and pushes nothing.
	t.tuned.train = remove
	p.trains(t, pods, v1beta1.JobFailed(v1beta1.ReasonJobPending, "What the run has published is looked up again"))
}

// writtenDown is true once the status that stands holds what the check has found.
func (t *thought) writtenDown() bool {
	before := t.ws.Status.Tuning
	return before != nil && before.RunID == t.trial.run && before.Dataset != nil
}

// beginTraining makes the Job where a node can take it.
func (p Planner) beginTraining(t *thought, pods []corev1.Pod) {
	s := &t.trial.status
	s.Phase = v1beta1.TuningWaiting
	fits := p.room(t, longest(*s))
	switch {
	case t.final && provisions(t.ws) && len(t.observed.nodes) > 0:
		// Its type promised more. Written down, lest another such node be made, and another.
		t.failForGood(v1beta1.ReasonDoesNotFit, t.accepted.Message)
		p.failedForGood(t)
		return
	case t.final:
		t.waitsForTuning()
		t.decision.nodes = v1beta1.NodesTooSmall()
		return
	case !fits:
		t.job = v1beta1.JobNotStarted(t.decision.nodes)
	case lingering(pods):
		t.job = v1beta1.JobFailed(v1beta1.ReasonJobPending, "The pod of a Job that was removed is ending; the run goes on from its newest checkpoint")
	default:
		t.tuned.train = create
		s.Attempt = new(int32(1))
		t.job = v1beta1.JobFailed(v1beta1.ReasonJobPending, "The training's pod is being created")
	}
	p.servePrevious(t, t.decision.inferenceWhile(t.job))
}

// longest is the number of tokens of the longest row, or 0 where nobody has counted.
func longest(s v1beta1.TuningStatus) int {
	if s.Dataset == nil || s.Dataset.LongestRow == nil {
		return 0
	}
	return int(*s.Dataset.LongestRow)
}

// trains reports a training whose Job is there.
func (p Planner) trains(t *thought, pods []corev1.Pod, job metav1.Condition) {
	t.askForTrainer()
	if findNodes(p, t); len(t.fit) > 0 {
		t.decision.nodes = v1beta1.NodesCanRun(names(t.fit))
	}
	t.job = job
	s := &t.trial.status
	s.Attempt = new(int32(attempts(t)))
	s.Phase = phaseOf(pods)
	if t.progress != nil && t.progress.RunID == t.trial.run && s.Phase != v1beta1.TuningWaiting {
		takeProgress(s, *t.progress)
	}
	p.servePrevious(t, t.decision.inferenceWhile(job))
}

// started says whether the training has begun, and what keeps it where not.
func (t *thought) started(pods []corev1.Pod, last *fault) metav1.Condition {
	if words := podTrouble(t.observed, pods); words != "" {
		return v1beta1.JobFailed(v1beta1.ReasonJobPending, "The training waits: %s", words)
	}
	before := ""
	if last != nil {
		before = fmt.Sprintf("; this is pod %d of at most %d, because %s", attempts(t), render.MostPods, last.message)
	}
	if phaseOf(pods) == v1beta1.TuningWaiting {
		return v1beta1.JobFailed(v1beta1.ReasonJobPending, "The training's pod is being started%s", before)
	}
	return v1beta1.JobStarted("The training runs on node %q%s", pods[len(pods)-1].Spec.NodeName, before)
}

// inferenceWhile is what the model does until its adapter is there.
func (d decision) inferenceWhile(job metav1.Condition) metav1.Condition {
	if job.Status == metav1.ConditionTrue {
		return v1beta1.InferenceNotReady(v1beta1.ReasonTuning, "The model answers once its tuning has ended: see the condition JobStarted")
	}
	return v1beta1.InferenceWaits(job)
}

// attempts counts the pods of a run.
func attempts(t *thought) int {
	s := t.tuneJob.Status
	return max(1, int(s.Failed+s.Active+s.Succeeded))
}

// lastFault is how the newest pod that failed ended.
func lastFault(t *thought, pods []corev1.Pod) *fault {
	for i := len(pods) - 1; i >= 0; i-- {
		if f := faultOf(t, &pods[i]); f != nil {
			return f
		}
	}
	return nil
}

// phaseOf is what the newest pod does, as its containers tell.
func phaseOf(pods []corev1.Pod) string {
	phase := v1beta1.TuningWaiting
	if len(pods) == 0 {
		return phase
	}
	pod := pods[len(pods)-1]
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.State.Running == nil && s.State.Terminated == nil {
			continue
		}
		switch s.Name {
		case render.PrepareContainer:
			phase = contract.TunePreparing
		case render.TrainContainer:
			phase = contract.TuneLoading
		case render.PublishContainer:
			phase = contract.TunePublishing
		}
	}
	return phase
}

// takeProgress copies what a pod says of itself into the status.
func takeProgress(s *v1beta1.TuningStatus, p contract.Progress) {
	s.Phase = p.Phase
	if p.Phase == contract.TunePreparing || p.TotalSteps == 0 {
		return
	}
	s.Step, s.TotalSteps = new(int32(p.Step)), new(int32(p.TotalSteps))
	s.TokensPerSecond, s.RemainingSeconds = new(int32(p.TokensPerSecond)), new(int32(p.RemainingSeconds))
	if p.Loss != 0 {
		s.Loss = decimal(p.Loss)
	}
	if p.Checkpoint > 0 {
		s.Checkpoint = "step " + strconv.Itoa(p.Checkpoint)
	}
	if p.ResumedFrom > 0 {
		s.ResumedFrom = new(int32(p.ResumedFrom))
	}
	if len(p.Losses) > 0 {
		s.Losses = lossPoints(p.Losses)
	}
}

// takeResult records what the run has published.
func (t *thought) takeResult(r contract.Result) {
	s := &t.trial.status
	s.Phase, s.ServedRunID = v1beta1.TuningPublished, t.trial.run
	s.OutputImage, s.OutputDigest = r.Published.Image, r.Published.Digest
	s.RemainingSeconds, s.Checkpoint = nil, ""
	s.Attempt = new(int32(attempts(t)))
	if d := r.Training; d != nil {
		s.Step, s.TotalSteps = new(int32(d.Steps)), new(int32(d.Steps))
		s.Loss, s.TokensPerSecond, s.TrainingSeconds = decimal(d.LastLoss), new(int32(d.TokensPerSecond)), seconds(d.Seconds)
		if d.ResumedFrom > 0 {
			s.ResumedFrom = new(int32(d.ResumedFrom))
		}
		s.Losses = curve(s.Losses, lossPoints(d.Losses))
	}
	t.warnings = append(t.warnings, v1beta1.AdapterPublished(publishedAt(s)))
}

// publishedAt says where the adapter is.
func publishedAt(s *v1beta1.TuningStatus) string {
	if s.OutputImage == "" {
		return "the volume of tuning.output"
	}
	return s.OutputImage + "@" + s.OutputDigest
}

// curve is the finer of what was told on the way and what was told at the end, in a
// message that has little room; its end is that of the latter.
func curve(way, end []v1beta1.LossPoint) []v1beta1.LossPoint {
	if len(end) == 0 {
		return way
	}
	last := end[len(end)-1]
	if len(way) <= len(end) || *way[len(way)-1].Step > *last.Step {
		return end
	}
	if *way[len(way)-1].Step < *last.Step {
		if len(way) == mostPoints {
			way = way[:mostPoints-1]
		}
		way = append(way, last)
	}
	return way
}

// mostPoints is what the status takes of a curve.
const mostPoints = 64

func lossPoints(points []contract.Point) []v1beta1.LossPoint {
	all := make([]v1beta1.LossPoint, 0, len(points))
	for _, p := range points {
		all = append(all, v1beta1.LossPoint{Step: new(int32(p.Step)), Loss: decimal(p.Loss)})
	}
	return all
}

// decimal is a loss with the digits that mean something.
func decimal(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }

// askProgress has the pod of a running training asked how far it is, and nobody else.
func (r *Reconciler) askProgress(o observed, d decision) {
	key := client.ObjectKeyFromObject(o.ws)
	if pod := trainer(o.jobPods); pod != nil && d.tuning != nil && d.tuning.ServedRunID != d.tuning.RunID && pod.Status.PodIP != "" {
		r.tunings.Watch(key, pod.UID, pod.Status.PodIP)
		return
	}
	r.tunings.Forget(key)
}

// trainer is the newest pod of the training while it runs, or nil.
func trainer(pods []corev1.Pod) *corev1.Pod {
	all := ofRole(pods, v1beta1.RoleTune)
	if len(all) == 0 {
		return nil
	}
	if pod := &all[len(all)-1]; pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
		return pod
	}
	return nil
}
