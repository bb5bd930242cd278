package aks

import (
	"context"
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kaito.sh/kaito/internal/near"
	"kaito.sh/kaito/internal/node"
)

// sizeName is what Azure's names of sizes look like.
var sizeName = regexp.MustCompile(`^Standard_[A-Z]+[0-9]+[A-Za-z0-9_-]*$`)

const (
	onDemand = "on-demand"
	azure    = "azure"
)

// Offers are the ways to get a shape; see node.Provider. A claim without a zone is placed by
// region first, since GPUs are had there that no zone has, and then in the zones of the options.
func (p *Provider) Offers(_ context.Context, shape node.Shape) ([]node.Offer, error) {
	if len(shape.InstanceTypes) == 0 {
		return nil, &node.Error{Class: node.Invalid, Message: "No instance type is asked for", Fix: "Name an instance type, such as Standard_NC24ads_A100_v4.", Tried: "read the claim"}
	}
	capacity := shape.CapacityTypes
	if len(capacity) == 0 {
		capacity = []string{onDemand}
	}
	zones := shape.Zones
	if len(zones) == 0 {
		zones = append([]string{""}, p.o.Zones...)
	}
	var names []string
	for _, wanted := range shape.InstanceTypes {
		if name, ok := p.size(wanted); ok {
			names = append(names, name)
		}
	}
	var offers []node.Offer
	for _, kind := range capacity {
		if kind != onDemand && kind != spot {
			continue
		}
		for _, name := range names {
			for _, zone := range zones {
				offers = append(offers, p.offer(name, kind, zone))
			}
		}
	}
	if len(offers) == 0 {
		return nil, p.noOffer(shape)
	}
	return offers, nil
}

// size is Azure's name of a type, if it may be one. The table does not hold all.
func (p *Provider) size(wanted string) (string, bool) {
	const longest = 64
	one, known := p.types.Lookup(wanted)
	if known {
		return one.SoldAs(), one.Cloud == azure
	}
	return wanted, len(wanted) < longest && sizeName.MatchString(wanted)
}

// noOffer says why there is none.
func (p *Provider) noOffer(shape node.Shape) *node.Error {
	e := &node.Error{Class: node.Invalid, Tried: "read the claim"}
	for _, wanted := range shape.InstanceTypes {
		if _, ok := p.size(wanted); !ok {
			e.Message = fmt.Sprintf("The instance type %q is none of Azure's", wanted)
			e.Fix = "Name a size such as Standard_NC24ads_A100_v4."
			if names := near.Names(wanted, p.types.Names(azure)); len(names) > 0 {
				e.Fix = "Perhaps " + either(names) + " is meant."
			}
			return e
		}
	}
	e.Message = fmt.Sprintf("The capacity types %q are not known", shape.CapacityTypes)
	e.Fix = "Use on-demand, spot, or both."
	return e
}

// offer is one way to get a type.
func (p *Provider) offer(name, kind, zone string) node.Offer {
	o := node.Offer{InstanceType: name, CapacityType: kind, Zone: zone}
	one, ok := p.types.Lookup(name)
	if !ok {
		return o
	}
	o.GPUs = one.GPUs
	o.Capacity = corev1.ResourceList{}
	if one.CPUs > 0 {
		o.Capacity[corev1.ResourceCPU] = *resource.NewQuantity(int64(one.CPUs), resource.DecimalSI)
		o.Capacity[corev1.ResourceMemory] = *resource.NewQuantity(int64(one.RAMGiB*(1<<30)), resource.BinarySI)
	}
	if one.GPUs > 0 {
		o.Capacity[corev1.ResourceName(one.Resource())] = *resource.NewQuantity(int64(one.GPUs), resource.DecimalSI)
	}
	return o
}
