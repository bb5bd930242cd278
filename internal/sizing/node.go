package sizing

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

// What a node's system keeps for itself. AKS keeps 60 to 180
// thousandths of a core, and 20 MB for each of up to 110 pods and 50 MB more, or a quarter
// where that is less; a kernel and a kubelet's threshold take the rest. A node that is
// there is judged by what it says itself.
const (
	systemPercent = 5
	systemMemory  = 2500 * model.MiB
)

// TypeShape is what pods find on a node of a type, as far as that is published, before
// there is one: the machine less what its system keeps.
func TypeShape(of instance.Type) model.NodeShape {
	gpus := of.Shape()
	if gpus.Count > 0 {
		gpus.Kind = model.Label{Key: corev1.LabelInstanceTypeStable, Value: of.Name}
	}
	shape := model.NodeShape{Name: of.Name, CPU: model.Unpublished, Memory: model.Unpublished, GPUs: gpus}
	if of.CPUs > 0 {
		shape.CPU = model.MilliCPU(of.CPUs) * model.Core * (100 - systemPercent) / 100
	}
	if of.RAMGiB > 0 {
		ram := model.Bytes(of.RAMGiB * float64(model.GiB))
		shape.Memory = ram - min(ram/4, systemMemory+ram*systemPercent/100)
	}
	return shape
}

// OfType speaks of a type where the planner speaks of a node.
func OfType(text string, of instance.Type) string {
	return strings.ReplaceAll(text, fmt.Sprintf("node %q", of.Name), fmt.Sprintf("instance type %q", of.Name))
}

// Sentence makes an error the beginning of a message to a user.
func Sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
