package kube

import (
	"crypto/sha256"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// sharedParts is how many different parts are known: a few for each model that is served.
const sharedParts = 1 << 10

// Sharing is for a cache of children: pods of one model are told the same, a name here and
// there apart, and what they are told is most of what a StatefulSet or a Job takes in memory.
// Equal parts of different objects become one. Nobody may change an object of the cache, so
// nobody can tell.
type Sharing struct{ known *lru.Cache }

// NewSharing makes a Sharing that knows no part yet.
func NewSharing() *Sharing { return &Sharing{lru.New(sharedParts)} }

// Shrink does what Shrink does, and shares the words of labels and the parts of pod templates.
func (s *Sharing) Shrink(object any) (any, error) {
	if o, ok := object.(client.Object); ok {
		ShareWords(o.GetLabels())
	}
	switch o := object.(type) {
	case *appsv1.StatefulSet:
		ShareWords(o.Spec.Template.Labels)
		s.share(&o.Spec.Template.Spec)
	case *batchv1.Job:
		ShareWords(o.Spec.Template.Labels)
		s.share(&o.Spec.Template.Spec)
	}
	return Shrink(object)
}

// ShareWords keeps one copy of each key and value of labels: the keys are the same in all
// objects of a kind, and all objects of a Workspace carry its name.
func ShareWords(labels map[string]string) {
	for key, value := range labels {
		labels[unique.Make(key).Value()] = unique.Make(value).Value()
	}
}

func (s *Sharing) share(pod *corev1.PodSpec) {
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range containers {
			containers[i] = one(s, &containers[i])
		}
	}
	if pod.Affinity != nil {
		all := one(s, pod.Affinity)
		pod.Affinity = &all
	}
	for i := range pod.Volumes {
		pod.Volumes[i] = one(s, &pod.Volumes[i])
	}
}

// one is the first part that was seen with the content of part, by the hash of its bytes.
func one[T any, P interface {
	*T
	Marshal() ([]byte, error)
}](s *Sharing, part P) T {
	content, err := part.Marshal()
	if err != nil {
		return *part
	}
	hash := sha256.Sum256(content)
	if known, ok := s.known.Get(hash); ok {
		if same, ok := known.(T); ok {
			return same
		}
	}
	s.known.Add(hash, *part)
	return *part
}
