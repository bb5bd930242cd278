// Package karpenter is the one place that uses Karpenter's controllers: the termination of
// nodes, the collection of garbage and the expiration of claims.
package karpenter

import (
	_ "sigs.k8s.io/karpenter/pkg/cloudprovider"
	_ "sigs.k8s.io/karpenter/pkg/controllers/node/termination"
	_ "sigs.k8s.io/karpenter/pkg/controllers/node/termination/terminator"
	_ "sigs.k8s.io/karpenter/pkg/controllers/nodeclaim/expiration"
	_ "sigs.k8s.io/karpenter/pkg/controllers/nodeclaim/garbagecollection"
)
