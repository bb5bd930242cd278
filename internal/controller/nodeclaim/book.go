package nodeclaim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// book is what we keep on a claim, in annotations: all that a new process must know.
type book struct {
	// attempts is how often a machine was asked for.
	attempts int
	// attempt is the one under way, nil while there is none: then there is no machine either.
	attempt *attempt
	// history is what came of those before.
	history history
	// token is what the provider said last.
	token string
}

// attempt is one way to get a machine that is being tried.
type attempt struct {
	node.Offer

	// Asked is when it began.
	Asked time.Time `json:"asked"`
	// Ended is how it has failed, empty while it has not: what is left of it is to be removed.
	Ended ending `json:"ended,omitempty"`
}

// ending is how an attempt has failed.
type ending string

const (
	// refused: the cloud has said no; the last of the tries says why.
	refused ending = "refused"
	// overdue: the machine has missed a deadline, or is gone again.
	overdue ending = "overdue"
)

// history is what came of earlier attempts.
type history struct {
	// Tries are the offers that were refused since all of them were last tried.
	Tries []try `json:"tries,omitempty"`
	// Rounds is how often all offers were tried in vain.
	Rounds int `json:"rounds,omitempty"`
	// Until is when they are tried again.
	Until time.Time `json:"until,omitzero"`
	// Missed is the last deadline that a machine missed, and Replaced how often one did.
	Missed   *missed `json:"missed,omitempty"`
	Replaced int     `json:"replaced,omitempty"`
	// Final says that no more is tried by itself.
	Final bool `json:"final,omitempty"`
	// Mark is the fingerprint of the user's annotations at that time: when they change, history begins anew.
	Mark string `json:"mark,omitempty"`
}

// try is an offer that was refused.
type try struct {
	Type         string     `json:"type"`
	CapacityType string     `json:"capacityType"`
	Zone         string     `json:"zone,omitempty"`
	Class        node.Class `json:"class"`
	Message      string     `json:"message"`
	Fix          string     `json:"fix,omitempty"`
	Lasting      bool       `json:"lasting,omitempty"`
}

// missed is a deadline that a machine missed.
type missed struct {
	Condition string `json:"condition"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
}

func (t try) is(o node.Offer) bool {
	return t.Type == o.InstanceType && t.CapacityType == o.CapacityType && t.Zone == o.Zone
}

// tryOf keeps why an offer was refused.
func tryOf(o node.Offer, e *node.Error) try {
	return try{
		Type: o.InstanceType, CapacityType: o.CapacityType, Zone: o.Zone, Class: e.Class, Message: short(words(e)), Fix: short(e.Fix), Lasting: e.Lasting(),
	}
}

// short keeps what is stored on a claim small.
func short(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// open says whether there may be a machine.
func (b book) open() bool { return b.attempt != nil }

// read reads a claim's annotations. What cannot be read is as if it were not there: the
// provider is asked by key anyway.
func read(claim *nodeclaim.NodeClaim) book {
	a := claim.Annotations
	b := book{token: a[nodeclaim.AnnotationToken]}
	b.attempts, _ = strconv.Atoi(a[nodeclaim.AnnotationAttempts]) // 0 where it is none
	if text := a[nodeclaim.AnnotationOffer]; text != "" {
		b.attempt = &attempt{}
		if json.Unmarshal([]byte(text), b.attempt) != nil {
			b.attempt = &attempt{} // there may be a machine, of whatever offer
		}
	}
	if text := a[nodeclaim.AnnotationTried]; text != "" && json.Unmarshal([]byte(text), &b.history) != nil {
		b.history = history{}
	}
	return b
}

// write brings a claim's annotations in line with a book and its key.
func (b book) write(claim *nodeclaim.NodeClaim, key node.Key) error {
	set := map[string]string{nodeclaim.AnnotationKey: string(key), nodeclaim.AnnotationToken: b.token}
	if b.attempts > 0 {
		set[nodeclaim.AnnotationAttempts] = strconv.Itoa(b.attempts)
	}
	for name, part := range map[string]any{nodeclaim.AnnotationOffer: b.attempt, nodeclaim.AnnotationTried: b.history} {
		text, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("write the annotation %s of NodeClaim %q: %w", name, claim.Name, err)
		}
		if set[name] = string(text); set[name] == "null" || set[name] == "{}" {
			set[name] = ""
		}
	}
	annotations := maps.Clone(claim.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	for name, value := range set {
		if delete(annotations, name); value != "" {
			annotations[name] = value
		}
	}
	claim.Annotations = annotations
	return nil
}

// markOf is a fingerprint of the annotations that are not ours.
func markOf(claim *nodeclaim.NodeClaim) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(claim.Annotations)) {
		if !strings.HasPrefix(name, ownPrefix) {
			fmt.Fprintf(sum, "%s\x00%s\x00", name, claim.Annotations[name])
		}
	}
	const letters = 8
	return hex.EncodeToString(sum.Sum(nil))[:letters]
}

// ownPrefix is that of our own annotations.
const ownPrefix = "provisioner.kaito.sh/"
