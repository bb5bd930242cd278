package nodeclaim

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/nodeclaim"
)

// eventOfferTried: an offer was not to be had.
const eventOfferTried = "OfferTried"

// notice is something that has happened and is worth telling.
type notice struct {
	reason, message string
}

func warning(reason, message string) notice { return notice{reason, message} }

// turned is the event of a condition that has turned to something a person should know.
// What ends an attempt is told when it is written down, and not here.
func turned(before, after metav1.Condition) (notice, bool) {
	told := []string{
		nodeclaim.ReasonAuthFailed, nodeclaim.ReasonNameTaken, nodeclaim.ReasonInvalid, nodeclaim.ReasonLimitReached, nodeclaim.ReasonCloudUnreachable,
	}
	if after.Status == metav1.ConditionTrue || before.Status == after.Status && before.Reason == after.Reason || !slices.Contains(told, after.Reason) {
		return notice{}, false
	}
	return warning(after.Reason, after.Message), true
}

// tell sends one event.
func (r *Reconciler) tell(claim *nodeclaim.NodeClaim, e notice) {
	const most = 1000 // what Kubernetes keeps of a note
	note := e.message
	if len(note) > most {
		note = strings.ToValidUTF8(note[:most], "") + "…"
	}
	r.o.Recorder.Eventf(claim, nil, corev1.EventTypeWarning, e.reason, "Reconcile", "%s", note)
}

// set puts a condition among others.
func set(all []metav1.Condition, c metav1.Condition) []metav1.Condition {
	meta.SetStatusCondition(&all, c)
	return all
}
