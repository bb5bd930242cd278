package karpenter

import (
	"context"
	"errors"
	"fmt"

	"github.com/awslabs/operatorpkg/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	karpenterv1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// cloud presents a provider as Karpenter's CloudProvider.
type cloud struct {
	provider node.Provider
	cluster  string
	claims   client.Reader
}

var _ cloudprovider.CloudProvider = (*cloud)(nil)

// Create is not what this is for: internal/controller/nodeclaim asks for machines.
func (c *cloud) Create(_ context.Context, claim *karpenterv1.NodeClaim) (*karpenterv1.NodeClaim, error) {
	return nil, fmt.Errorf("create a machine for the claim %q: machines are made by the claim's own controller", claim.Name)
}

// Delete removes a claim's machine. Karpenter asks again until it is not found.
func (c *cloud) Delete(ctx context.Context, claim *karpenterv1.NodeClaim) error {
	observed, err := c.provider.Remove(ctx, c.key(claim), c.owner(claim))
	var failure *node.Error
	switch {
	case errors.As(err, &failure) && failure.Class == node.Conflict:
		return nil // something is under way: asked again
	case errors.As(err, &failure) && failure.Class == node.Exists:
		return notFound(claim.Name) // the name is a stranger's, and nothing of ours is left
	case err != nil:
		return fmt.Errorf("remove the machine of the claim %q: %w", claim.Name, err)
	case observed.State == node.Absent:
		return notFound(claim.Name)
	}
	return nil
}

// Get answers whether the machine of a provider ID is there. Clouds need not know provider
// IDs, so it goes by the claim that carries it; without one there is no machine of ours.
func (c *cloud) Get(ctx context.Context, providerID string) (*karpenterv1.NodeClaim, error) {
	var list nodeclaim.NodeClaimList
	if err := c.claims.List(ctx, &list, client.MatchingFields{"status.providerID": providerID}); err != nil {
		return nil, fmt.Errorf("find the claim of the machine %q: %w", providerID, err)
	}
	for i := range list.Items {
		claim := &list.Items[i]
		observed, err := c.provider.Observe(ctx, c.key(claim), claim.Annotations[nodeclaim.AnnotationToken])
		if err != nil {
			return nil, fmt.Errorf("look at the machine of the claim %q: %w", claim.Name, err)
		}
		if observed.State != node.Absent {
			return claim, nil
		}
	}
	return nil, notFound(providerID)
}

// List is every machine of the cluster, as claims with the provider ID that the cloud knows,
// or else the one that the claim knows from its node.
func (c *cloud) List(ctx context.Context) ([]*karpenterv1.NodeClaim, error) {
	listing, err := c.provider.List(ctx, c.cluster)
	if err != nil {
		return nil, fmt.Errorf("list the machines of the cluster: %w", err)
	}
	var list nodeclaim.NodeClaimList
	if err := c.claims.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list the claims: %w", err)
	}
	known := map[string]string{}
	for i := range list.Items {
		known[string(list.Items[i].UID)] = list.Items[i].Status.ProviderID
	}
	var machines []*karpenterv1.NodeClaim
	for _, m := range listing.Machines {
		id := m.ProviderID
		if id == "" {
			id = known[m.Owner.ClaimUID]
		}
		machine := &karpenterv1.NodeClaim{Status: karpenterv1.NodeClaimStatus{ProviderID: id}}
		machine.Name = m.Owner.ClaimName
		machine.CreationTimestamp = metav1.NewTime(m.CreatedAt)
		if m.State == node.Deleting {
			machine.DeletionTimestamp = &metav1.Time{Time: listing.Now}
		}
		machines = append(machines, machine)
	}
	return machines, nil
}

// GetInstanceTypes has none: nothing schedules pods onto machines that do not exist yet.
func (*cloud) GetInstanceTypes(context.Context, *karpenterv1.NodePool) ([]*cloudprovider.InstanceType, error) {
	return nil, nil
}

// IsDrifted finds no claim drifted: a machine is never replaced because a newer one would differ.
func (*cloud) IsDrifted(context.Context, *karpenterv1.NodeClaim) (cloudprovider.DriftReason, error) {
	return "", nil
}

// RepairPolicies are none: internal/controller/repair decides.
func (*cloud) RepairPolicies() []cloudprovider.RepairPolicy { return nil }

// Name is what metrics call this provider.
func (*cloud) Name() string { return "kaito" }

// GetSupportedNodeClasses says whose claims and nodes are ours.
func (*cloud) GetSupportedNodeClasses() []status.Object { return []status.Object{newClass()} }

// key names a claim's machine.
func (c *cloud) key(claim *karpenterv1.NodeClaim) node.Key {
	if key := claim.Annotations[nodeclaim.AnnotationKey]; key != "" {
		return node.Key(key)
	}
	return node.KeyOf(c.cluster, string(claim.UID))
}

func (c *cloud) owner(claim *karpenterv1.NodeClaim) node.Owner {
	return node.Owner{Cluster: c.cluster, ClaimUID: string(claim.UID), ClaimName: claim.Name}
}

func notFound(name string) error {
	return cloudprovider.NewNodeClaimNotFoundError(fmt.Errorf("there is no machine of %q", name))
}
