package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

// revisionHistory keeps two older templates for a person who looks for what changed.
const revisionHistory = 2

// StatefulSet runs the pods that serve. Its annotation v1beta1.AnnotationConfigHash
// is the hash of the pod template, so that an observer can tell whether the status
// of a StatefulSet is about the newest one.
func StatefulSet(s Serving) *appsv1ac.StatefulSetApplyConfiguration {
	template := pod(s)
	if s.Template != nil {
		template = fromTemplate(s)
	}
	annotations := map[string]string{v1beta1.AnnotationConfigHash: hash(template)}
	if s.Weights.Ignored != "" {
		annotations[v1beta1.AnnotationIgnoredImage] = s.Weights.Ignored
	}
	if left := s.Plan.Beside; left != nil {
		annotations[v1beta1.AnnotationGPUsOfNode] = strings.TrimSpace(strconv.Itoa(left.Free) + " " + left.Resource)
	}
	return appsv1ac.StatefulSet(s.Workspace.Name, s.Workspace.Namespace).
		WithLabels(labels(s.Workspace)).
		WithAnnotations(annotations).
		WithOwnerReferences(owner(s.Workspace)).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithReplicas(int32(s.Plan.Nodes)).
			WithRevisionHistoryLimit(revisionHistory).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(s.Workspace))).
			// Neither can be changed later: the headless Service comes with several nodes.
			WithServiceName(HeadlessName(s.Workspace)).
			WithPodManagementPolicy(appsv1.ParallelPodManagement).
			WithTemplate(template))
}

// hash identifies a value by its JSON.
func hash(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic("apply configurations are plain data: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
