package aks

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"

	"kaito.sh/kaito/internal/node"
)

type pool = armcontainerservice.AgentPool

// The tags that say whose a pool is. A slash is not allowed in a tag's name.
const (
	tagCluster = "kaito-cluster"
	tagUID     = "kaito-claim-uid"
	tagName    = "kaito-claim-name"
	tagCreated = "kaito-created-at"
)

// labelPool is the label that AKS itself gives to the nodes of a pool.
const labelPool = "kubernetes.azure.com/agentpool"

// What AKS calls the states of a pool; others are of pools that are there.
const (
	stateCreating  = "Creating"
	stateDeleting  = "Deleting"
	stateFailed    = "Failed"
	stateCanceled  = "Canceled"
	stateCanceling = "Canceling"
)

const spot = "spot"

// families are the node images by their name on a claim.
func families() map[string]armcontainerservice.OSSKU {
	return map[string]armcontainerservice.OSSKU{
		"ubuntu": armcontainerservice.OSSKUUbuntu, "azurelinux": armcontainerservice.OSSKUAzureLinux,
	}
}

// body is the pool that a request asks for; created is the time at Azure, zero is not written.
func (p *Provider) body(r node.Request, created time.Time) (pool, error) {
	properties := &armcontainerservice.ManagedClusterAgentPoolProfileProperties{
		Type:       to.Ptr(armcontainerservice.AgentPoolTypeVirtualMachineScaleSets),
		OSType:     to.Ptr(armcontainerservice.OSTypeLinux),
		Mode:       to.Ptr(armcontainerservice.AgentPoolModeUser),
		Count:      to.Ptr[int32](1),
		VMSize:     to.Ptr(r.Offer.InstanceType),
		NodeLabels: nodeLabels(r.Shape.Labels),
		Tags:       tags(r.Owner, created),
	}
	for _, taint := range r.Shape.Taints {
		properties.NodeTaints = append(properties.NodeTaints, to.Ptr(taint.Key+"="+taint.Value+":"+string(taint.Effect)))
	}
	if r.Shape.DiskGiB > 0 {
		properties.OSDiskSizeGB = to.Ptr(int32(r.Shape.DiskGiB))
	}
	if family := r.Shape.ImageFamily; family != "" {
		image, known := families()[strings.ToLower(family)]
		if !known {
			return pool{}, &node.Error{
				Class: node.Invalid, Message: "The image family " + family + " is not known",
				Fix: "Use one of " + strings.Join(slices.Sorted(maps.Keys(families())), ", ") + ".", Tried: "create the agent pool " + string(r.Key),
			}
		}
		properties.OSSKU = &image
	}
	if r.Offer.CapacityType == spot {
		properties.ScaleSetPriority = to.Ptr(armcontainerservice.ScaleSetPrioritySpot)
		properties.ScaleSetEvictionPolicy = to.Ptr(armcontainerservice.ScaleSetEvictionPolicyDelete)
		properties.SpotMaxPrice = to.Ptr[float32](-1) // up to the price on demand
	}
	if r.Offer.Zone != "" {
		properties.AvailabilityZones = []*string{to.Ptr(p.zoneNumber(r.Offer.Zone))}
	}
	return pool{Name: to.Ptr(string(r.Key)), Properties: properties}, nil
}

// nodeLabels are the labels that AKS lets a pool have. Those of Kubernetes and of AKS are
// written by the kubelet and by AKS, and refused in a request.
func nodeLabels(labels map[string]string) map[string]*string {
	out := map[string]*string{}
	for key, value := range labels {
		prefix, _, _ := strings.Cut(key, "/")
		reserved := slices.ContainsFunc([]string{"kubernetes.io", "k8s.io", "kubernetes.azure.com"}, func(domain string) bool {
			return prefix == domain || strings.HasSuffix(prefix, "."+domain)
		})
		if !reserved {
			out[key] = to.Ptr(value)
		}
	}
	return out
}

func tags(owner node.Owner, created time.Time) map[string]*string {
	out := map[string]*string{
		tagCluster: to.Ptr(owner.Cluster), tagUID: to.Ptr(owner.ClaimUID), tagName: to.Ptr(owner.ClaimName),
	}
	if !created.IsZero() {
		out[tagCreated] = to.Ptr(created.UTC().Format(time.RFC3339))
	}
	return out
}

// zoneNumber is Azure's name of a zone: 1 of eastus-1.
func (p *Provider) zoneNumber(zone string) string {
	if region, number, two := strings.Cut(zone, "-"); two && (p.o.Location == "" || strings.EqualFold(region, p.o.Location)) {
		return number
	}
	return zone
}

// observed is what a pool says of its machine.
func (p *Provider) observed(key node.Key, one *pool) node.Observed {
	properties := one.Properties
	o := node.Observed{Key: key, State: state(value(properties.ProvisioningState)), NodeLabels: map[string]string{labelPool: string(key)}}
	tag := func(name string) string { return value(properties.Tags[name]) }
	o.Owner = node.Owner{Cluster: tag(tagCluster), ClaimUID: tag(tagUID), ClaimName: tag(tagName)}
	if at, err := time.Parse(time.RFC3339, tag(tagCreated)); err == nil {
		o.CreatedAt = at
	}
	o.Offer = node.Offer{InstanceType: value(properties.VMSize), CapacityType: "on-demand"}
	if properties.ScaleSetPriority != nil && *properties.ScaleSetPriority == armcontainerservice.ScaleSetPrioritySpot {
		o.Offer.CapacityType = spot
	}
	if len(properties.AvailabilityZones) == 1 {
		o.Offer.Zone = value(properties.AvailabilityZones[0])
		if p.o.Location != "" {
			o.Offer.Zone = p.o.Location + "-" + o.Offer.Zone
		}
	}
	if known, ok := p.types.Lookup(o.Offer.InstanceType); ok {
		o.Offer = p.offer(known.Name, o.Offer.CapacityType, o.Offer.Zone)
	}
	return o
}

func state(provisioning string) node.State {
	switch provisioning {
	case stateCreating, stateCanceling:
		return node.Creating
	case stateDeleting:
		return node.Deleting
	case stateFailed, stateCanceled:
		return node.Failed
	default:
		return node.Ready
	}
}

// value is what a pointer of the client's types points to.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
