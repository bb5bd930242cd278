package repair

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// annotationTermination is Karpenter's: until when whoever drains the node may take. After
// that pods are deleted whatever protects them, and volumes are not waited for.
const annotationTermination = "karpenter.sh/nodeclaim-termination-timestamp"

// Reasons of events on claims.
const (
	reasonRebooted = "MachineRebooted"
	reasonReplaced = "MachineReplaced"
	reasonHeld     = "RepairHeld"
)

// act does what was decided and says when to look again.
func (r *Reconciler) act(ctx context.Context, claim *nodeclaim.NodeClaim, c *chart, d decision) (time.Duration, error) {
	if d.do != doHold {
		c.held = ""
	}
	switch d.do {
	case doReboot:
		return r.reboot(ctx, claim, c, d)
	case doReplace:
		return 0, r.replace(ctx, claim, d)
	case doHold:
		if c.held != d.why {
			c.held = d.why
			r.in.Meter.Repaired(doHold, d.fault.name)
			r.tell(claim, reasonHeld, fmt.Sprintf("%s. It is not repaired yet: %s", d.fault.message, d.why))
		}
	}
	return d.again, nil
}

// reboot starts the machine again. That it was tried is written first, so that a process that
// ends in between does not do it for ever.
func (r *Reconciler) reboot(ctx context.Context, claim *nodeclaim.NodeClaim, c *chart, d decision) (time.Duration, error) {
	if err := r.annotate(ctx, claim, annotationRebooted, d.fault.name); err != nil {
		return 0, err
	}
	owner := node.Owner{Cluster: r.in.Cluster, ClaimUID: string(claim.UID), ClaimName: claim.Name}
	err := r.in.Provider.Reboot(ctx, key(r.in.Cluster, claim), owner)
	var failure *node.Error
	if errors.As(err, &failure) && failure.Class == node.Unsupported {
		return time.Second, nil // the next look replaces it
	}
	c.rebooted = r.in.Clock.Now()
	if err != nil {
		return 0, fmt.Errorf("reboot the machine of NodeClaim %q: %w", claim.Name, err)
	}
	r.in.Meter.Repaired(doReboot, d.fault.name)
	r.tell(claim, reasonRebooted, fmt.Sprintf("%s. Its machine is started again, and replaced if that does not help within %s", d.fault.message, r.in.Options.Reboot))
	return lookEvery, nil
}

// replace deletes the claim. Its node is drained as long as it runs, and given up at once if it does not.
func (r *Reconciler) replace(ctx context.Context, claim *nodeclaim.NodeClaim, d decision) error {
	until := r.in.Clock.Now()
	if d.fault.runs {
		until = until.Add(r.in.Options.Drain)
	}
	if err := r.annotate(ctx, claim, annotationTermination, until.Format(time.RFC3339)); err != nil {
		return err
	}
	if err := r.in.Client.Delete(ctx, claim, client.Preconditions{UID: ptr.To(claim.UID)}); err != nil {
		return fmt.Errorf("delete NodeClaim %q: %w", claim.Name, err)
	}
	r.books.book(claim)
	r.mind.forget(claim.Name)
	r.in.Meter.Repaired(doReplace, d.fault.name)
	r.tell(claim, reasonReplaced, d.fault.message+". The NodeClaim is deleted, so that its owner asks for another")
	log.FromContext(ctx).Info("deleted a NodeClaim whose machine is no good any more", "nodeclaim", claim.Name, "fault", d.fault.name, "why", d.fault.message)
	return nil
}

// annotate writes one annotation, unless somebody else has written the claim since it was read.
func (r *Reconciler) annotate(ctx context.Context, claim *nodeclaim.NodeClaim, name, value string) error {
	before := claim.DeepCopy()
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	claim.Annotations[name] = value
	if err := r.in.Client.Patch(ctx, claim, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write %s on NodeClaim %q: %w", name, claim.Name, err)
	}
	return nil
}

func (r *Reconciler) tell(claim *nodeclaim.NodeClaim, reason, note string) {
	const most = 1000 // what Kubernetes keeps of a note
	r.in.Recorder.Eventf(claim, nil, corev1.EventTypeWarning, reason, "Repair", "%s", note[:min(len(note), most)])
}
