package sim

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kaito.sh/kaito/internal/near"
	"kaito.sh/kaito/internal/node"
)

const (
	onDemand = "on-demand"
	spot     = "spot"
)

// sku is a type that is or was sold.
type sku struct {
	name     string
	gpus     int
	retired  bool
	capacity corev1.ResourceList
}

// sold finds a type by name, in any case.
func (c *Cloud) sold(name string) (sku, bool) {
	t, ok := c.o.Instances.Lookup(name)
	// Where it is not published: what machines with GPUs commonly have for each of them.
	const cpus, gib = 12, 110
	if t.CPUs == 0 {
		t.CPUs, t.RAMGiB = t.GPUs*cpus, float64(t.GPUs*gib)
	}
	return sku{name: t.Name, gpus: t.GPUs, retired: t.Retired, capacity: amounts(int64(t.CPUs), int64(t.RAMGiB*(1<<30)), t.GPUs, corev1.ResourceName(t.Resource()))}, ok
}

func amounts(cpus, memory int64, gpus int, named corev1.ResourceName) corev1.ResourceList {
	const pods = 110
	list := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(cpus, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(pods, resource.DecimalSI),
	}
	if gpus > 0 {
		list[named] = *resource.NewQuantity(int64(gpus), resource.DecimalSI)
	}
	return list
}

// Offers are the ways to get a shape: by capacity type, then type, then placement.
func (p *Provider) Offers(ctx context.Context, shape node.Shape) ([]node.Offer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kinds, zones := shape.CapacityTypes, shape.Zones
	if len(kinds) == 0 {
		kinds = []string{onDemand}
	}
	if len(zones) == 0 {
		zones = []string{""} // anywhere
	}
	var offers []node.Offer
	for _, kind := range kinds {
		for _, name := range shape.InstanceTypes {
			t, known := p.cloud.sold(name)
			if !known {
				continue
			}
			for _, zone := range zones {
				offers = append(offers, node.Offer{InstanceType: t.name, CapacityType: kind, Zone: zone, GPUs: t.gpus, Capacity: t.capacity})
			}
		}
	}
	if len(offers) == 0 {
		return nil, p.cloud.unknown(shape.InstanceTypes)
	}
	return offers, nil
}

// unknown says which types may have been meant.
func (c *Cloud) unknown(names []string) *node.Error {
	if len(names) == 0 {
		return &node.Error{Class: node.Invalid, Message: "No instance type is asked for.", Fix: "Name one."}
	}
	var known []string
	for _, cloud := range []string{"azure", "aws", "arc"} {
		known = append(known, c.o.Instances.Names(cloud)...)
	}
	e := &node.Error{
		Class: node.Invalid, Message: fmt.Sprintf("There is no instance type %q.", strings.Join(names, ", ")), Fix: "Name an instance type that is sold.",
	}
	if like := near.Names(names[0], known); len(like) > 0 {
		e.Fix = fmt.Sprintf("Did you mean %s?", strings.Join(like, " or "))
	}
	return e
}
