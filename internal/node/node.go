// Package node is the contract between the provisioner and those who make machines:
// clouds, and a simulator. A provider answers at once and never waits for a machine; it
// is asked again. Everything it does can be repeated.
package node

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Key names a machine at a provider for all its life: 12 characters, a letter and then
// letters and digits, which even an AKS pool may be called.
type Key string

// KeyOf derives a claim's key. The same claim has the same key at every attempt, so that
// it can never own two machines; cluster keeps two clusters in one account apart.
func KeyOf(cluster, claimUID string) Key {
	const length = 11
	sum := sha256.Sum256([]byte(cluster + "\x00" + claimUID))
	return Key("k" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))[:length])
}

// Owner is written on a machine before it exists, and decides whether it is ours: the name
// alone never does.
type Owner struct {
	// Cluster is the id of the Kubernetes cluster (the UID of its namespace kube-system).
	Cluster string
	// ClaimUID and ClaimName are those of the NodeClaim.
	ClaimUID, ClaimName string
}

// Shape is what a claim asks for.
type Shape struct {
	// InstanceTypes are the wanted types, best first.
	InstanceTypes []string
	// CapacityTypes are "on-demand" and "spot", best first; empty is on-demand.
	CapacityTypes []string
	// Zones are where it may stand, empty is anywhere.
	Zones []string
	// Labels and Taints are what the node joins with.
	Labels map[string]string
	Taints []corev1.Taint
	// DiskGiB is the size of the system disk, 0 is the provider's default.
	DiskGiB int
	// ImageFamily is the node's operating system: "ubuntu", "azurelinux", or empty.
	ImageFamily string
}

// Offer is one way to get a machine.
type Offer struct {
	InstanceType string `json:"instanceType"`
	// CapacityType is "on-demand" or "spot".
	CapacityType string `json:"capacityType"`
	// Zone is empty for a placement by region.
	Zone string `json:"zone,omitempty"`
	// GPUs is how many GPUs the type has, as published; Capacity is what its node should
	// show, where it is published.
	GPUs     int                 `json:"gpus,omitempty"`
	Capacity corev1.ResourceList `json:"capacity,omitempty"`
}

// Request asks for a machine.
type Request struct {
	Key   Key
	Owner Owner
	Offer Offer
	Shape Shape
	// Token is what the provider said last about this key, empty at first.
	Token string
}

// State is where a machine stands.
type State string

// The states of a machine.
const (
	// Absent: there is none, and none is being made or removed.
	Absent State = "Absent"
	// Creating: it was asked for.
	Creating State = "Creating"
	// Ready: the provider has made it. Its node may still have to join.
	Ready State = "Ready"
	// Failed: it will not come; what is left of it must be removed. Failure says why.
	Failed State = "Failed"
	// Deleting: it is on its way out.
	Deleting State = "Deleting"
)

// Observed is what a provider knows of a machine.
type Observed struct {
	Key   Key
	State State
	// Owner is that written on the machine, whoever it is; empty where none is.
	Owner Owner
	// Offer is what it was made of, as far as the provider tells.
	Offer Offer
	// CreatedAt is when it was asked for, by the provider's own clock; zero is unknown.
	CreatedAt time.Time
	// ProviderID is that of its node, where the provider knows it before the node joins.
	ProviderID string
	// NodeLabels are labels which its node, and no other, joins with.
	NodeLabels map[string]string
	// Failure says why a Failed machine will not come.
	Failure *Error
	// Token lets the provider go on from here after a restart: at most 4 KiB, opaque.
	Token string
}

// Listing is what a provider has of this cluster, and when by its own clock.
type Listing struct {
	Now      time.Time
	Machines []Observed
}

// Provider makes machines. Every method answers quickly, may be called at any time and any
// number of times, also beside itself, and after a restart. Errors are *Error, unless ctx ended.
type Provider interface {
	// Offers are the ways to get a shape, best first: by capacity type, then instance type,
	// then placement (by region before zones). A type that is known and retired is
	// offered: the cloud refuses it in its own words. None at all is an Invalid error that
	// names the nearest types.
	Offers(ctx context.Context, shape Shape) ([]Offer, error)
	// Ensure asks for a machine, unless one of the key is there in any state, Failed and
	// Deleting included: then it only observes. A machine of that name with another owner is
	// never touched: an Exists error.
	Ensure(ctx context.Context, r Request) (Observed, error)
	// Observe looks at one machine. Absent is an answer, not an error; what could not be asked
	// is an error, not Absent. A token that cannot be read is as none. What this provider has
	// asked for or removed itself shows at once, here and in List.
	Observe(ctx context.Context, key Key, token string) (Observed, error)
	// List is everything with the cluster's mark, from one call to the cloud.
	List(ctx context.Context, cluster string) (Listing, error)
	// Remove removes a machine whose owner's cluster and claim UID match; of another's it is an
	// Exists error. Absent is success.
	// Of one that is still being made the making is given up where the cloud allows.
	// Otherwise Remove answers a Conflict and is called again.
	Remove(ctx context.Context, key Key, owner Owner) (Observed, error)
	// Reboot starts a machine again; an Unsupported error where that cannot be done.
	Reboot(ctx context.Context, key Key, owner Owner) error
	// Classify understands an error of the provider's own client.
	Classify(err error) *Error
}
