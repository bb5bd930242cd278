package workspace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/render"
)

// The events that tell of NodeClaims, on the Workspace.
const (
	eventClaimCreated = "NodeClaimCreated"
	eventClaimDeleted = "NodeClaimDeleted"
)

// demandNodes makes the claims that a decision lacks and returns those that it wants no
// more, which go once nothing is left on their nodes. The cache may be behind: before
// anything is made or removed the API server is asked, so that nothing is made twice.
func (r *Reconciler) demandNodes(ctx context.Context, o *observed, d decision) (decision, []nodeclaim.NodeClaim, error) {
	if d.wish.changes(o.claims, o.earlier).none() || !o.claimsKnown {
		return d, nil, nil
	}
	all, known, err := r.claims.Live(ctx, client.ObjectKeyFromObject(o.ws))
	if err != nil || !known {
		return d, nil, err
	}
	o.claims, o.earlier = sortClaims(o.ws, all)
	d = r.planner.decide(*o)
	want := d.wish.changes(o.claims, o.earlier)
	if len(want.create) > 0 {
		if err := r.writer.Hold(ctx, o.ws); err != nil {
			return d, nil, err
		}
	}
	for _, node := range want.create {
		err := r.createClaim(ctx, o.ws, node)
		var taken *takenError
		switch {
		case errors.As(err, &taken):
			d.claimRefused(v1beta1.NodeClaimNotReady(node.Name(), v1beta1.ReasonNameTaken, taken.Error()))
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			d.claimRefused(v1beta1.NodeClaimRefused(cause(err)))
		case err != nil:
			return d, nil, err
		}
	}
	repaired := func(c nodeclaim.NodeClaim) bool {
		return slices.ContainsFunc(want.create, func(n render.Node) bool { return n.Name() == c.Name })
	}
	return d, slices.DeleteFunc(want.remove, repaired), nil
}

// claimRefused puts the server's answer where the claim was said to be on its way.
func (d *decision) claimRefused(why metav1.Condition) {
	for _, c := range []*metav1.Condition{&d.claims, &d.nodes, &d.inference, &d.job} {
		if c.Reason == v1beta1.ReasonNodeClaimPending {
			c.Reason, c.Message = why.Reason, why.Message
		}
	}
	d.again = claimAgain
}

// createClaim asks for a node. What stands there under its name is ours and lost its
// labels, or it is somebody else's.
func (r *Reconciler) createClaim(ctx context.Context, ws *v1beta1.Workspace, node render.Node) error {
	claim := render.NodeClaim(node)
	err := r.nodes.Create(ctx, claim)
	if err == nil {
		r.meter.Asked(node.InstanceType)
		r.record.Eventf(ws, nil, corev1.EventTypeNormal, eventClaimCreated, "Reconcile", "NodeClaim %q asks for node %d, of type %s", claim.Name, node.Ordinal, node.InstanceType)
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	var there nodeclaim.NodeClaim
	if err := r.live.Get(ctx, types.NamespacedName{Name: node.Name()}, &there); err != nil {
		return fmt.Errorf("look for NodeClaim %q: %w", node.Name(), err)
	}
	switch {
	case there.Annotations[nodeclaim.AnnotationWorkspaceUID] != string(ws.UID):
		return &takenError{}
	case !there.DeletionTimestamp.IsZero():
		return fmt.Errorf("NodeClaim %q is being removed: its name is free afterwards", there.Name)
	}
	return r.nodes.Restore(ctx, claim)
}

// takenError is a claim of somebody else under a name of ours.
type takenError struct{}

func (*takenError) Error() string {
	return "it belongs to somebody else: remove it, or create the Workspace anew"
}

// releaseNodes removes claims; their nodes are drained by whoever made them.
func (r *Reconciler) releaseNodes(ctx context.Context, o observed, claims []nodeclaim.NodeClaim) error {
	for i := range claims {
		c := &claims[i]
		if !c.DeletionTimestamp.IsZero() {
			continue
		}
		if err := r.nodes.Apply(ctx, []kube.Child{{Kind: nodeclaim.Kind, Name: c.Name, Have: c}}); err != nil {
			return err
		}
		r.meter.Released(o.ws.Resource.InstanceType)
		r.record.Eventf(o.ws, nil, corev1.EventTypeNormal, eventClaimDeleted, "Reconcile", "NodeClaim %q is given back", c.Name)
	}
	return nil
}

// sweep removes the claims of a Workspace that is no more: somebody took its finalizer
// off, or brought claims back from a backup. Only what we have marked goes, and only once
// the API server itself says that there is no such Workspace.
func (r *Reconciler) sweep(ctx context.Context, key types.NamespacedName) error {
	cached, _, err := r.claims.Of(ctx, key)
	if err != nil || len(cached) == 0 {
		return nil //nolint:nilerr // they are told again once they are read
	}
	var ws v1beta1.Workspace
	switch err := r.live.Get(ctx, key, &ws); {
	case err == nil:
		return nil // its own pass is on its way
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("look for Workspace %q: %w", key, err)
	}
	all, _, err := r.claims.Live(ctx, key)
	if err != nil {
		return err
	}
	_, marked := sortClaims(&v1beta1.Workspace{}, all)
	return r.releaseNodes(ctx, observed{ws: &ws}, marked)
}
