package workspace

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
)

// reasonable is what a condition's reason may be, by the rules of its type.
var reasonable = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// claimReady is true of a claim whose node has joined with all that was asked for.
func claimReady(c *nodeclaim.NodeClaim) bool {
	_, waits := claimWaits(c)
	return !waits && c.Status.NodeName != ""
}

// claimWaits is the first thing on the way to a node that has not come about: a condition
// of the claim, without a reason where the provisioner has said nothing yet.
func claimWaits(c *nodeclaim.NodeClaim) (because metav1.Condition, waits bool) {
	for _, kind := range []string{nodeclaim.ConditionLaunched, nodeclaim.ConditionRegistered, nodeclaim.ConditionInitialized} {
		if one := nodeclaim.Condition(c, kind); one.Status != metav1.ConditionTrue {
			return one, true
		}
	}
	return metav1.Condition{}, false
}

// claimCondition is what a claim that is not ready says, in the provisioner's words.
func (p Planner) claimCondition(c *nodeclaim.NodeClaim, instanceType string) metav1.Condition {
	because, _ := claimWaits(c)
	message := strings.TrimSuffix(strings.TrimSpace(because.Message), ".")
	if because.Reason == nodeclaim.ReasonAwaiting || message == "" {
		return v1beta1.NodeClaimPending(c.Name, instanceType)
	}
	reason := because.Reason
	if !reasonable.MatchString(reason) {
		reason = v1beta1.ReasonNodeClaimPending
	}
	if reason == nodeclaim.ReasonSKUUnavailable {
		message += "; " + v1beta1.Replaceable(p.Instances.Successors(instanceType))
	}
	return v1beta1.NodeClaimNotReady(c.Name, reason, message)
}

// claims is the condition NodeClaimReady of a Workspace whose nodes are made for it.
func (p Planner) claims(t *thought) metav1.Condition {
	w, stands := t.wish, standing(t.observed.claims)
	switch {
	case !t.claimsKnown:
		return v1beta1.NoProvisioner()
	case w.demand == releaseNodes && t.hadNodes():
		return v1beta1.NodesReleased(t.comesBack())
	case w.demand != askForNodes && len(stands) == 0:
		return v1beta1.NodeClaimsUnasked()
	case w.demand == askForNodes:
		stands = slices.DeleteFunc(stands, func(c nodeclaim.NodeClaim) bool { return ordinal(&c) >= w.nodes })
		if created := w.changes(t.observed.claims, nil).create; len(created) > 0 {
			return v1beta1.OfNodes(v1beta1.NodeClaimPending(created[0].Name(), t.ws.Resource.InstanceType), len(joined(stands)), w.nodes)
		}
	}
	ready := joined(stands)
	for i := range stands {
		if !claimReady(&stands[i]) {
			return v1beta1.OfNodes(p.claimCondition(&stands[i], t.ws.Resource.InstanceType), len(ready), w.nodes)
		}
	}
	return v1beta1.NodeClaimsReady(ready)
}

// joined names the nodes of claims that are ready, sorted.
func joined(claims []nodeclaim.NodeClaim) []string {
	var ready []string
	for i := range claims {
		if claimReady(&claims[i]) {
			ready = append(ready, claims[i].Status.NodeName)
		}
	}
	slices.Sort(ready)
	return ready
}

// hadNodes is true where nodes were asked for before.
func (t *thought) hadNodes() bool {
	before := meta.FindStatusCondition(t.ws.Status.Conditions, v1beta1.ConditionNodeClaimReady)
	return len(t.observed.claims) > 0 || before != nil && before.Reason != v1beta1.ReasonNotAccepted && before.Reason != v1beta1.ReasonNoProvisioner
}

// comesBack says what asks for nodes again after they were released.
func (t *thought) comesBack() string {
	if t.trial.status.Phase == v1beta1.TuningFailed {
		return "set annotation " + v1beta1.AnnotationRetry + " to a new value, and they are asked for again"
	}
	return "remove annotation " + v1beta1.AnnotationServeTuned + ", and they are asked for again"
}
