package repair

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/nodeclaim"
)

// annotationRebooted on a claim says that its machine was rebooted once.
const annotationRebooted = "provisioner.kaito.sh/rebooted"

// lookEvery is how often a faulty node and its machine are looked at.
const lookEvery = time.Minute

// Faults, besides the types of the problems that a node reports.
const (
	faultGone     = "NodeGone"
	faultNotReady = "NodeNotReady"
	faultGPU      = "GPULost"
	faultMachine  = "MachineGone"
	faultSpot     = "SpotReclaimed"
)

// fault is what is wrong with a node.
type fault struct {
	name, message string
	// borne is how long it is borne.
	borne time.Duration
	// runs says that the node's kubelet works, so that its pods can be drained.
	runs bool
}

// examine finds the gravest fault of a claim's node; nil is a node that is gone.
func examine(claim *nodeclaim.NodeClaim, have *corev1.Node, o Options) (fault, bool) {
	if have == nil {
		return fault{name: faultGone, message: fmt.Sprintf("The node %s is not in the cluster any more", claim.Status.NodeName), borne: o.Gone}, true
	}
	if ready := status(have, corev1.NodeReady); ready.Status != corev1.ConditionTrue {
		return fault{name: faultNotReady, message: fmt.Sprintf("The node %s is not ready: %s", have.Name, said(ready)), borne: o.NotReady}, true
	}
	for _, p := range o.Problems {
		if c := status(have, p.Type); c.Type != "" && c.Status == p.Status {
			return fault{name: string(p.Type), message: fmt.Sprintf("The node %s reports %s %s: %s", have.Name, p.Type, p.Status, said(c)), borne: o.Faulty, runs: true}, true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(claim.Spec.Resources.Requests)) {
		want, shown := claim.Spec.Resources.Requests[name], have.Status.Allocatable[name]
		if strings.HasSuffix(string(name), "/gpu") && shown.Cmp(want) < 0 {
			return fault{name: faultGPU, message: fmt.Sprintf("The node %s shows %s of %s %s", have.Name, shown.String(), want.String(), name), borne: o.Faulty, runs: true}, true
		}
	}
	return fault{}, false
}

// status is a condition of a node, the zero value where it has none of that type.
func status(of *corev1.Node, kind corev1.NodeConditionType) corev1.NodeCondition {
	for _, c := range of.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.NodeCondition{}
}

func said(c corev1.NodeCondition) string {
	if c.Message == "" {
		return "it does not say why"
	}
	return c.Message
}

// What is done about a fault.
const (
	doWait    = "wait"
	doReboot  = "reboot"
	doReplace = "replace"
	doHold    = "hold"
)

// decision is what is done, and about what.
type decision struct {
	do    string
	fault fault
	// why it is held.
	why string
	// again is when to look again.
	again time.Duration
}

// decide chooses what is done about a fault that has been seen for a while. The brake is
// looked at afterwards, by whoever knows the other claims.
func decide(claim *nodeclaim.NodeClaim, have *corev1.Node, f fault, c chart, now time.Time, o Options) decision {
	const twice = 2
	d := decision{do: doWait, fault: f, again: lookEvery}
	switch {
	case c.silent != "":
		// A cloud that does not answer makes no other machine either, and may be why the node is silent.
		if now.Sub(c.since) >= f.borne {
			d.do, d.why = doHold, "the cloud does not answer: "+c.silent
		}
		return d
	case c.lost >= twice && !f.runs:
		d.do, d.fault = doReplace, lost(claim, f)
		return d
	case c.lost > 0 && !f.runs:
		return d // one more look
	}
	left := f.borne - now.Sub(c.since)
	if !c.rebooted.IsZero() {
		left = max(left, o.Reboot-now.Sub(c.rebooted))
	}
	switch {
	case left > 0:
		d.again = min(left, lookEvery)
	case have != nil && claim.Annotations[annotationRebooted] == "":
		d.do = doReboot
	default:
		d.do = doReplace
	}
	return d
}

// lost is the fault of a machine that is not there any more.
func lost(claim *nodeclaim.NodeClaim, f fault) fault {
	f.name, f.message = faultMachine, "The machine is gone: somebody has removed it, or the cloud has"
	if claim.Labels[nodeclaim.LabelCapacityType] == "spot" {
		f.name, f.message = faultSpot, "The cloud has taken back the spot machine"
	}
	return f
}
