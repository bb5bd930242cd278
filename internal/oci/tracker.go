package oci

import (
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// tracker adds up the progress of blobs that move one after another. A request
// that failed may still be reading its body, hence the lock.
type tracker struct {
	mu     sync.Mutex
	now    Progress
	done   int64
	report func(Progress)
}

func newTracker(report func(Progress), blobs []v1.Descriptor) *tracker {
	t := &tracker{report: report}
	for _, b := range blobs {
		t.now.Total += b.Size
	}
	return t
}

// at says how far the current blob is.
func (t *tracker) at(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Done = t.done + n
	t.report(t.now)
}

// finish ends the current blob, of which had bytes did not need to be moved.
func (t *tracker) finish(size, had int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Skipped += had
	t.done += size
	t.now.Done = t.done
	t.report(t.now)
}
