package nodeclaim

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// step is what a pass does.
type step string

const (
	stepNone     step = "none"     // nothing is ours to do
	stepProtect  step = "protect"  // put the finalizer back
	stepRest     step = "rest"     // say how it stands, and wait
	stepLaunch   step = "launch"   // ask for a machine
	stepFollow   step = "follow"   // look how the machine does
	stepClear    step = "clear"    // remove what is left of an attempt
	stepFinalize step = "finalize" // take everything away
)

// next chooses what a pass does.
func next(o observed) step {
	switch {
	case o.phase == phaseDeletion && o.protected:
		return stepFinalize
	case o.phase == phaseDeletion:
		return stepNone
	case o.book.open() && o.book.attempt.Ended != "":
		return stepClear
	case !o.protected && (o.book.open() || o.phase == phaseReady):
		return stepProtect
	case o.phase == phaseReady:
		return stepRest
	case o.book.open():
		return stepFollow
	case o.book.history.Final, o.waits() > 0:
		return stepRest
	default:
		return stepLaunch
	}
}

// waits is how long until offers are tried again. A time that is further away than any
// wait was written by a clock that was wrong.
func (o observed) waits() time.Duration {
	const longest = 2 * paceLasting
	left := o.book.history.Until.Sub(o.now)
	if o.book.history.Until.IsZero() || left > longest {
		return 0
	}
	return left
}

// decision is what a pass has chosen.
type decision struct {
	// book is what stands in the claim's annotations afterwards, and status in its status.
	book   book
	status nodeclaim.Status

	launched, registered, initialized metav1.Condition
	// node is how the claim's node is to be, nil leaves it as it is.
	node *corev1.Node
	// events are told once the book is written.
	events []notice
	// again says that the machine is to be asked for once more.
	again bool
	// after is when to come again.
	after time.Duration
}

// standing is a decision that changes nothing.
func standing(o observed) decision {
	d := decision{
		book: o.book, status: o.claim.Status,
		launched:    nodeclaim.Condition(o.claim, nodeclaim.ConditionLaunched),
		registered:  nodeclaim.Condition(o.claim, nodeclaim.ConditionRegistered),
		initialized: nodeclaim.Condition(o.claim, nodeclaim.ConditionInitialized),
	}
	if o.book.attempt != nil {
		d.book.attempt = new(attempt)
		*d.book.attempt = *o.book.attempt
	}
	return d
}

// judge decides about an attempt that is under way, by what the cloud has said.
func judge(o observed, a answer) decision {
	d := standing(o)
	d.after = a.left
	m := a.machine
	switch {
	case a.err != nil:
		return d.refuse(o, a.err)
	case m.State != node.Absent && (m.Owner.Cluster != o.owner.Cluster || m.Owner.ClaimUID != o.owner.ClaimUID):
		return d.refuse(o, &node.Error{
			Class: node.Exists, Message: fmt.Sprintf("a machine called %s is there and belongs to somebody else", o.key), Fix: "Remove it by hand if nobody needs it",
		})
	}
	if m.Token != "" {
		d.book.token = m.Token
	}
	switch m.State {
	case node.Failed:
		return d.fail(o, failure(m))
	case node.Absent:
		return d.vanish(o)
	case node.Deleting:
		d.await("The machine is being removed; it is made again when it is gone")
		return d
	case node.Ready:
		return d.join(o, m)
	default: // it is being made
		if o.phase == phaseLaunch && o.spent > o.deadlines.Launch {
			return d.miss(o, missed{
				Condition: nodeclaim.ConditionLaunched, Reason: nodeclaim.ReasonLaunchTimeout,
				Message: fmt.Sprintf("The cloud has not made the machine within %s", o.deadlines.Launch),
			})
		}
		d.await(fmt.Sprintf("The cloud is making a machine of the type %s", described(d.book.attempt.Offer)))
		return d
	}
}

func failure(m node.Observed) *node.Error {
	if m.Failure == nil {
		return &node.Error{Class: node.Transient, Message: "the cloud does not say why it could not make the machine"}
	}
	return m.Failure
}

// vanish is about a machine that is not there. If it was never seen, the process ended
// between the note of the request and the request.
func (d decision) vanish(o observed) decision {
	seen := o.phase != phaseLaunch || d.launched.Reason == nodeclaim.ReasonCreating
	if !seen {
		d.again = true
		return d
	}
	condition := nodeclaim.ConditionRegistered
	switch o.phase {
	case phaseLaunch:
		condition = nodeclaim.ConditionLaunched
	case phaseInitialization:
		condition = nodeclaim.ConditionInitialized
	default:
	}
	return d.miss(o, missed{
		Condition: condition, Reason: nodeclaim.ReasonMachineGone,
		Message: "The machine is gone: the cloud has taken it back, or somebody has removed it",
	})
}

// await says that the machine is on its way.
func (d *decision) await(message string) {
	d.launched = unknown(nodeclaim.ConditionLaunched, nodeclaim.ReasonCreating, message)
	d.withoutNode()
}

// withoutNode is what follows where there is no machine that is ready.
func (d *decision) withoutNode() {
	d.registered = unknown(nodeclaim.ConditionRegistered, nodeclaim.ReasonNodeNotJoined, "There is no machine yet whose node could join")
	d.initialized = unknown(nodeclaim.ConditionInitialized, nodeclaim.ReasonNodeNotJoined, "There is no machine yet whose node could join")
	d.status = nodeclaim.Status{Conditions: d.status.Conditions, LastPodEventTime: d.status.LastPodEventTime}
}

// miss ends an attempt whose machine took too long or is gone: it is removed and made again, so often.
func (d decision) miss(o observed, m missed) decision {
	h := &d.book.history
	d.book.attempt.Ended = overdue
	h.Missed, h.Mark = &m, markOf(o.claim)
	h.Replaced++
	h.Final = h.Replaced > o.deadlines.Replacements
	d.events = append(d.events, warning(m.Reason, d.book.lastMiss(o.deadlines.Replacements)))
	d.settle(o)
	d.after = atOnce
	return d
}

// settle gives the conditions of a claim without a machine, from its book.
func (d *decision) settle(o observed) {
	d.launched = d.book.launched(o.deadlines.Replacements)
	d.withoutNode()
}

func unknown(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: reason, Message: message}
}

func isFalse(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

func isTrue(kind string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind}
}
