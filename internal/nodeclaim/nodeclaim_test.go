package nodeclaim_test

import (
	"testing"

	karpenter "sigs.k8s.io/karpenter/pkg/apis/v1"

	"kaito.sh/kaito/internal/nodelabel"
)

// nodelabel writes Karpenter's label down so that it does not link Karpenter.
func TestTheLabelOfANodePoolIsKarpenters(t *testing.T) {
	t.Parallel()
	if nodelabel.NodePool != karpenter.NodePoolLabelKey {
		t.Errorf("%s is not %s", nodelabel.NodePool, karpenter.NodePoolLabelKey)
	}
}
