package kube

import (
	"crypto/sha256"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// remembered is of how many objects it is known what they were compared with: those of
// about ten thousand Workspaces, at a hundred bytes each.
const remembered = 64 << 10

// pairs remembers which contents were compared and found to be the same. A comparison
// takes most of the time of a pass, and most passes come of a pod, not of a child. It is
// the contents that are remembered, not that somebody has written them: whatever changes
// in an object, by whomever, makes another pair, which is compared.
type pairs struct{ held *lru.Cache }

// pair is two contents, by their hashes.
type pair struct{ have, want [sha256.Size]byte }

func newPairs(size int) *pairs { return &pairs{lru.New(size)} }

// same says whether have has been compared with want, the wanted fields as JSON, and holds them.
func (p *pairs) same(have client.Object, want []byte) bool {
	if have == nil {
		return false
	}
	known, ok := p.held.Get(have.GetUID())
	if !ok {
		return false
	}
	now, ok := pairOf(have, want)
	return ok && known == now
}

// add remembers that have holds want.
func (p *pairs) add(have client.Object, want []byte) {
	if now, ok := pairOf(have, want); ok {
		p.held.Add(have.GetUID(), now)
	}
}

// pairOf hashes both; it cannot where an object has no bytes of its own.
func pairOf(have client.Object, want []byte) (pair, bool) {
	content, ok := timeless(have).(interface{ Marshal() ([]byte, error) })
	if !ok {
		return pair{}, false
	}
	data, err := content.Marshal()
	if err != nil {
		return pair{}, false
	}
	return pair{sha256.Sum256(data), sha256.Sum256(want)}, true
}

// timeless is an object without what changes while its wanted fields stay: its version
// and, where it moves with the pods, its status. We name no field of a status.
func timeless(o client.Object) client.Object {
	switch o := o.(type) {
	case *appsv1.StatefulSet:
		c := *o
		c.ResourceVersion, c.Status = "", appsv1.StatefulSetStatus{}
		return &c
	case *batchv1.Job:
		c := *o
		c.ResourceVersion, c.Status = "", batchv1.JobStatus{}
		return &c
	case *policyv1.PodDisruptionBudget:
		c := *o
		c.ResourceVersion, c.Status = "", policyv1.PodDisruptionBudgetStatus{}
		return &c
	}
	return o
}
