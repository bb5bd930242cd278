package orphan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// Reasons of events, on the claim that the machine was made for and that is gone.
const (
	reasonHeld    = "OrphanHeld"
	reasonRemoved = "OrphanRemoved"
)

// tell writes an event about a machine to the name of the claim that it once had.
func (s *Sweeper) tell(m node.Observed, reason, note string) {
	claim := &nodeclaim.NodeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "karpenter.sh/v1", Kind: "NodeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: m.Owner.ClaimName, UID: types.UID(m.Owner.ClaimUID)},
	}
	s.in.Recorder.Eventf(claim, nil, corev1.EventTypeWarning, reason, "Sweep", "%s", note)
}

func removedNote(m node.Observed) string {
	return fmt.Sprintf("Removed the machine %s (%s), because its NodeClaim is gone", m.Key, m.Offer.InstanceType)
}

func heldNote(h held, o Options) string {
	what := fmt.Sprintf("The machine %s (%s) has no NodeClaim any more and costs money", h.machine.Key, h.machine.Offer.InstanceType)
	switch h.why {
	case whyAge:
		return what + ", and is left alone because its age is not known: look at it in the cloud and remove it there"
	case whyDry:
		return what + ", and is left alone because of the dry run: set sweep.dryRun of the chart to false to have it removed"
	default:
		return what + fmt.Sprintf(", and is left alone for %s because most machines have lost their NodeClaims at once: "+
			"if the claims were deleted by mistake, stop the provisioner and restore them", o.Patience)
	}
}
