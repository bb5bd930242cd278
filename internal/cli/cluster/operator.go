package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
)

// OperatorLabels find the operator of the chart, whatever its release is called.
const OperatorLabels = "app.kubernetes.io/name=kaito-operator"

// Operator is a Deployment of the operator.
type Operator struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Version   string `json:"version,omitempty"`
	Ready     int32  `json:"ready"`
	Wants     int32  `json:"wants"`
}

// Operators looks in all namespaces, which not every user may.
func (c *Cluster) Operators(ctx context.Context) ([]Operator, error) {
	var all appsv1.DeploymentList
	if err := c.List(ctx, Where{Labels: OperatorLabels}, &all); err != nil {
		return nil, fmt.Errorf("look for the operator: %w", err)
	}
	var found []Operator
	for i := range all.Items {
		d := &all.Items[i]
		o := Operator{
			Name: d.Name, Namespace: d.Namespace, Version: d.Labels["app.kubernetes.io/version"],
			Ready: d.Status.ReadyReplicas, Wants: 1,
		}
		if n := d.Spec.Replicas; n != nil {
			o.Wants = *n
		}
		found = append(found, o)
	}
	slices.SortFunc(found, func(a, b Operator) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	return found, nil
}
