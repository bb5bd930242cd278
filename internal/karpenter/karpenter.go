// Package karpenter is the one place that uses Karpenter's controllers. Two of them run,
// unchanged: the termination of nodes (taint, drain by eviction, detached volumes) with its
// eviction queue, and the expiration of claims.
//
// Its collection of garbage does not run. It deletes every registered claim whose provider ID
// is missing in one answer of the cloud, while the node is not Ready: all of them in one pass,
// without a second look and without a limit. A cloud that answers with an empty list while the
// cluster is cut off from its nodes, or one that never knows provider IDs (a list of AKS agent
// pools has none), would lose every node. What it is for, a machine that vanished under its
// claim, internal/controller/repair does, one machine at a time, after looking twice.
package karpenter

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/karpenter/pkg/controllers/node/termination"
	"sigs.k8s.io/karpenter/pkg/controllers/node/termination/terminator"
	"sigs.k8s.io/karpenter/pkg/controllers/nodeclaim/expiration"
	karpenterevents "sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/operator/options"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// Inputs are what Karpenter's controllers work with.
type Inputs struct {
	// Provider makes and removes the machines of the cluster with the id Cluster.
	Provider node.Provider
	Cluster  string
	// Client is the manager's. It must read the kinds of Uncached from the API server.
	Client   client.Client
	Recorder events.EventRecorder
	Clock    clock.Clock
}

// Controller is one of Karpenter's.
type Controller interface {
	Name() string
	Register(ctx context.Context, m manager.Manager) error
}

// Controllers are those of Karpenter's that run beside ours.
func Controllers(in Inputs) []Controller {
	provider := &cloud{provider: in.Provider, cluster: in.Cluster, claims: in.Client}
	recorder := karpenterevents.NewRecorder(voice{in.Recorder})
	queue := terminator.NewQueue(in.Client, recorder)
	drain := terminator.NewTerminator(in.Clock, in.Client, queue, recorder)
	return []Controller{
		queue,
		termination.NewController(in.Clock, in.Client, provider, drain, recorder),
		expiration.NewController(in.Clock, in.Client, provider),
	}
}

// Uncached are the kinds that a drain reads from the API server: the pods of one node and
// their volume claims. All pods of a cluster would be too much to keep for that.
func Uncached() []client.Object {
	return []client.Object{&corev1.Pod{}, &corev1.PersistentVolumeClaim{}}
}

// Setup adds controllers to a manager, and the indexes that they look things up by.
func Setup(ctx context.Context, m manager.Manager, controllers []Controller) error {
	// Karpenter scales the number of its workers by the CPU that it was promised: one core.
	ctx = options.ToContext(ctx, &options.Options{CPURequests: 1000})
	indexer := m.GetFieldIndexer()
	errs := []error{
		indexer.IndexField(ctx, &nodeclaim.NodeClaim{}, "status.providerID", func(o client.Object) []string {
			return []string{o.(*nodeclaim.NodeClaim).Status.ProviderID}
		}),
		indexer.IndexField(ctx, &storagev1.VolumeAttachment{}, "spec.nodeName", func(o client.Object) []string {
			return []string{o.(*storagev1.VolumeAttachment).Spec.NodeName}
		}),
	}
	for _, c := range controllers {
		if err := c.Register(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("register Karpenter's %s: %w", c.Name(), err))
		}
	}
	return errors.Join(errs...)
}
