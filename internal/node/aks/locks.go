package aks

import (
	"context"
	"sync"

	"kaito.sh/kaito/internal/node"
)

// keyLocks let one change of a machine run at a time.
type keyLocks struct {
	mu   *sync.Mutex
	held map[node.Key]chan struct{}
}

func newKeyLocks() keyLocks {
	return keyLocks{mu: &sync.Mutex{}, held: map[node.Key]chan struct{}{}}
}

// lock waits for its turn, or for the end of ctx.
func (k keyLocks) lock(ctx context.Context, key node.Key) (unlock func(), err error) {
	for {
		k.mu.Lock()
		busy, taken := k.held[key]
		if !taken {
			mine := make(chan struct{})
			k.held[key] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.held, key)
				k.mu.Unlock()
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
