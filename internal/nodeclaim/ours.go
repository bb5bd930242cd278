package nodeclaim

// Ours says whether a claim is ours to serve: its class says so, or its label. A claim of a
// NodePool with another class is Karpenter's, whatever its labels.
func Ours(claim *NodeClaim) bool {
	if ref := claim.Spec.NodeClassRef; ref != nil && ref.Group == ClassGroup && ref.Kind == ClassKind {
		return true
	}
	for _, owner := range claim.OwnerReferences {
		if owner.Kind == "NodePool" {
			return false
		}
	}
	_, labelled := claim.Labels[LabelWorkspace]
	return labelled
}
