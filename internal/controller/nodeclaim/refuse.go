package nodeclaim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// refuse decides about an attempt whose cloud has answered with an error.
func (d decision) refuse(o observed, e *node.Error) decision {
	if o.phase != phaseLaunch && d.book.open() {
		// The machine was made. What cannot be asked now does not keep its node from joining.
		return d.join(o, node.Observed{ProviderID: d.status.ProviderID})
	}
	switch e.Class {
	case node.Capacity, node.Quota, node.SKUUnavailable, node.Invalid:
		if d.book.open() {
			return d.fail(o, e)
		}
	}
	d.launched = refusal(e)
	d.withoutNode()
	return d
}

// limitReached is the class of our own refusals.
const limitReached node.Class = "LimitReached"

// refusal is the condition Launched after an error that ends no attempt.
func refusal(e *node.Error) metav1.Condition {
	text := sentence(words(e), e.Fix)
	const kind = nodeclaim.ConditionLaunched
	switch reason := reasonOf(e.Class); e.Class {
	case node.Conflict:
		return unknown(kind, reason, sentence("The cloud is busy with something else: "+words(e), e.Fix))
	case node.Throttled, node.Transient, limitReached:
		return unknown(kind, reason, text)
	default:
		return isFalse(kind, reason, text)
	}
}

// reasonOf is our word for a class of errors.
func reasonOf(c node.Class) string {
	switch c {
	case node.Capacity:
		return nodeclaim.ReasonCapacityExhausted
	case node.Quota:
		return nodeclaim.ReasonQuotaExceeded
	case node.SKUUnavailable:
		return nodeclaim.ReasonSKUUnavailable
	case node.Throttled:
		return nodeclaim.ReasonThrottled
	case node.Conflict:
		return nodeclaim.ReasonCloudBusy
	case node.Transient:
		return nodeclaim.ReasonCloudUnreachable
	case node.Auth:
		return nodeclaim.ReasonAuthFailed
	case node.Exists:
		return nodeclaim.ReasonNameTaken
	case limitReached:
		return nodeclaim.ReasonLimitReached
	default:
		return nodeclaim.ReasonInvalid
	}
}

// fail ends an attempt whose offer was not to be had. What is left of it is removed, and
// the next offer tried.
func (d decision) fail(o observed, e *node.Error) decision {
	h := &d.book.history
	d.book.attempt.Ended = refused
	h.Tries = append(slices.Clone(h.Tries), tryOf(d.book.attempt.Offer, e))
	h.Mark = markOf(o.claim)
	d.events = append(d.events, warning(eventOfferTried, d.book.lastTry()))
	d.settle(o)
	d.after = atOnce
	return d
}

// untried is the best offer that was not refused since all were last tried.
func (b book) untried(offers []node.Offer) (node.Offer, bool) {
	for _, o := range offers {
		if !slices.ContainsFunc(b.history.Tries, func(t try) bool { return t.is(o) }) {
			return o, true
		}
	}
	return node.Offer{}, false
}

// How long until offers are tried again that were all refused.
const (
	firstRound = time.Minute
	lastRound  = 15 * time.Minute
)

// exhaust decides where every offer was refused: they are all tried again later. spread is
// a factor near 1.
func exhaust(o observed, spread float64) decision {
	d := standing(o)
	h := &d.book.history
	h.Rounds++
	h.Mark = markOf(o.claim)
	wait := growing(firstRound, lastRound, h.Rounds-1)
	if h.lasting() {
		wait = paceLasting
	}
	d.after = time.Duration(float64(wait) * spread)
	h.Until = o.now.Add(d.after).UTC().Truncate(time.Second)
	d.settle(o)
	d.events = append(d.events, warning(d.launched.Reason, d.launched.Message))
	return d
}

// lasting says whether every offer was refused until a person has done something.
func (h history) lasting() bool {
	return !slices.ContainsFunc(h.Tries, func(t try) bool { return !t.Lasting })
}

// launched is the condition Launched of a claim without a machine.
func (b book) launched(replacements int) metav1.Condition {
	const kind = nodeclaim.ConditionLaunched
	h := b.history
	switch {
	case h.Final && h.Missed != nil:
		return isFalse(kind, h.Missed.Reason, b.lastMiss(replacements))
	case b.open() && b.attempt.Ended == overdue && h.Missed != nil:
		return unknown(kind, h.Missed.Reason, b.lastMiss(replacements))
	case b.open() && b.attempt.Ended == refused && len(h.Tries) > 0:
		return unknown(kind, reasonOf(h.Tries[len(h.Tries)-1].Class), b.lastTry())
	case !h.Until.IsZero() && len(h.Tries) > 0:
		if h.lasting() {
			return isFalse(kind, h.reason(), h.told("It is tried again once in a while, and at once when an annotation of the NodeClaim changes"))
		}
		return unknown(kind, h.reason(), h.told("All are tried again by themselves"))
	default:
		return unknown(kind, nodeclaim.ReasonAwaiting, "A machine is about to be asked for")
	}
}

// reason sums up why no offer was to be had.
func (h history) reason() string {
	var open []try
	for _, t := range h.Tries {
		if !t.Lasting {
			open = append(open, t)
		}
	}
	if len(open) == 0 {
		return reasonOf(h.Tries[0].Class)
	}
	for _, class := range []node.Class{node.Capacity, node.Quota} {
		if slices.ContainsFunc(open, func(t try) bool { return t.Class == class }) {
			return reasonOf(class)
		}
	}
	return nodeclaim.ReasonCloudUnreachable
}

// told lists the offers that were tried, what each answer was, what helps and what comes.
func (h history) told(comes string) string {
	var answers, fixes []string
	for _, t := range h.Tries {
		answers = append(answers, fmt.Sprintf("%s: %s", t.offer(), t.Message))
		if fix := strings.TrimRight(t.Fix, "."); fix != "" && !slices.Contains(fixes, fix) {
			fixes = append(fixes, fix)
		}
	}
	return sentence("No offer was to be had. "+strings.Join(answers, "; "), strings.Join(append(fixes, comes), ". "))
}

// lastTry says which offer was refused last, and why.
func (b book) lastTry() string {
	if len(b.history.Tries) == 0 {
		return ""
	}
	t := b.history.Tries[len(b.history.Tries)-1]
	return sentence(fmt.Sprintf("%s was not to be had: %s", t.offer(), t.Message), t.Fix)
}

// lastMiss says what the last machine lacked, and what comes of it.
func (b book) lastMiss(replacements int) string {
	h := b.history
	if h.Missed == nil {
		return ""
	}
	if h.Final {
		return fmt.Sprintf("%s. So it went with %d machines, and no more is tried: none is left that costs anything. Find the cause, then change an annotation of the NodeClaim, such as kaito.sh/retry, to try again",
			h.Missed.Message, h.Replaced)
	}
	return fmt.Sprintf("%s. It is removed and made again (%d of %d)", h.Missed.Message, h.Replaced, replacements)
}

func (t try) offer() string {
	return described(node.Offer{InstanceType: t.Type, CapacityType: t.CapacityType, Zone: t.Zone})
}

// described names an offer.
func described(o node.Offer) string {
	text := o.InstanceType
	if o.CapacityType != "" {
		text += " (" + o.CapacityType
		if o.Zone != "" {
			text += ", zone " + o.Zone
		}
		text += ")"
	}
	if text == "" {
		return "that the cloud chose"
	}
	return text
}

// words are the cloud's own, without its full stop.
func words(e *node.Error) string {
	text := strings.TrimRight(e.Message, ". \n")
	if e.Code != "" {
		return e.Code + ": " + text
	}
	return text
}

// sentence begins with a capital and says what to do next.
func sentence(text, fix string) string {
	if text != "" {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if fix = strings.TrimRight(fix, ". "); fix != "" {
		text += ". " + fix
	}
	return text
}
