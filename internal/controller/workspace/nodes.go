package workspace

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// The first versions that mount an image as a volume without a feature gate.
const (
	leastKubelet    = "1.35"
	leastContainerd = "2.1"
)

// tooOld says why a node cannot mount a model image, or nothing.
func tooOld(n *corev1.Node) string {
	info := n.Status.NodeInfo
	if !atLeast(info.KubeletVersion, leastKubelet) {
		return fmt.Sprintf("(kubelet %s)", info.KubeletVersion)
	}
	if runtime, ok := strings.CutPrefix(info.ContainerRuntimeVersion, "containerd://"); ok && !atLeast(runtime, leastContainerd) {
		return fmt.Sprintf("(containerd %s)", runtime)
	}
	return ""
}

// atLeast is false for what is no version at all.
func atLeast(have, least string) bool {
	v, err := version.ParseGeneric(have)
	return err == nil && v.AtLeast(version.MustParseGeneric(least))
}

// workers are the nodes that pods run on, sorted.
func workers(pods []corev1.Pod) []string {
	var names []string
	for i := range pods {
		if name := pods[i].Spec.NodeName; name != "" && pods[i].DeletionTimestamp.IsZero() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
