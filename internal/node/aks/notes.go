package aks

import (
	"sync"
	"time"

	"kaito.sh/kaito/internal/node"
)

// note is what this process knows of a machine beyond the shared list.
type note struct {
	// pool is how it stands after what we did or saw ourselves, and is believed until then:
	// a list that began before may not show it.
	pool  *pool
	until time.Time
	// operation resumes the creation's operation; empty where none is known to run.
	operation string
	// pollAt is when Azure wants to be asked about it again.
	pollAt time.Time
	// cause is why the creation failed.
	cause *node.Error
	// over says that no token need be asked about its creation any more: it has ended, or we
	// asked for the machine's removal.
	over bool
	// touched is when the note was written last.
	touched time.Time
}

// notes are kept as long as they may be of use.
type notes struct {
	mu  *sync.Mutex
	all map[node.Key]note
}

// keepNotes is how long a note of a machine is kept that nobody asked about; manyNotes are
// so many that old ones are looked for.
const (
	keepNotes = 2 * time.Hour
	manyNotes = 512
)

func newNotes() notes { return notes{mu: &sync.Mutex{}, all: map[node.Key]note{}} }

func (n notes) get(key node.Key) note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all[key]
}

// edit changes a note, and forgets those that are old.
func (n notes) edit(key node.Key, now time.Time, change func(*note)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.all[key]
	change(&one)
	one.touched = now
	n.all[key] = one
	if len(n.all) > manyNotes {
		for k, old := range n.all {
			if now.Sub(old.touched) > keepNotes {
				delete(n.all, k)
			}
		}
	}
}

// believed are the pools that are known better than a list shows.
func (n notes) believed(now time.Time) map[node.Key]note {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[node.Key]note{}
	for key, one := range n.all {
		if one.pool != nil && now.Before(one.until) {
			out[key] = one
		}
	}
	return out
}
