package nodeclaim

import (
	"github.com/awslabs/operatorpkg/status"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions are a claim's conditions as Kubernetes has them: Karpenter has a type of its own.
func Conditions(claim *NodeClaim) []metav1.Condition {
	all := make([]metav1.Condition, 0, len(claim.Status.Conditions))
	for _, c := range claim.Status.Conditions {
		all = append(all, metav1.Condition(c))
	}
	return all
}

// SetConditions replaces a claim's conditions.
func SetConditions(claim *NodeClaim, all []metav1.Condition) {
	claim.Status.Conditions = make([]status.Condition, 0, len(all))
	for _, c := range all {
		claim.Status.Conditions = append(claim.Status.Conditions, status.Condition(c))
	}
}

// Condition is one of a claim's conditions; one that is not there is Unknown, without a reason.
func Condition(claim *NodeClaim, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(Conditions(claim), kind); c != nil {
		return *c
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown}
}

// IsTrue says whether a condition of a claim is True.
func IsTrue(claim *NodeClaim, kind string) bool {
	return Condition(claim, kind).Status == metav1.ConditionTrue
}
