package nodeclaim

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/node"
)

// cloud is the provider for all claims together: when it asks to be left alone, it is.
type cloud struct {
	provider node.Provider
	clock    clock.PassiveClock
	meter    Meter

	mu sync.Mutex
	// told is when it was asked to be left alone, for so long.
	told time.Time
	long time.Duration
}

func (c *cloud) observe(ctx context.Context, key node.Key, token string) (node.Observed, *node.Error) {
	return call(c, "observe", func() (node.Observed, error) { return c.provider.Observe(ctx, key, token) })
}

func (c *cloud) ensure(ctx context.Context, r node.Request) (node.Observed, *node.Error) {
	return call(c, "ensure", func() (node.Observed, error) { return c.provider.Ensure(ctx, r) })
}

func (c *cloud) remove(ctx context.Context, key node.Key, owner node.Owner) (node.Observed, *node.Error) {
	return call(c, "remove", func() (node.Observed, error) { return c.provider.Remove(ctx, key, owner) })
}

func (c *cloud) offers(ctx context.Context, shape node.Shape) ([]node.Offer, *node.Error) {
	return call(c, "offers", func() ([]node.Offer, error) { return c.provider.Offers(ctx, shape) })
}

// call calls the provider, unless it is to be left alone.
func call[T any](c *cloud, what string, do func() (T, error)) (T, *node.Error) {
	var none T
	if left := c.silence(); left > 0 {
		return none, &node.Error{Class: node.Throttled, Message: "The cloud has asked for fewer calls", RetryAfter: left}
	}
	got, err := do()
	if err == nil {
		c.meter.Called(what, "")
		return got, nil
	}
	e := c.provider.Classify(err)
	c.meter.Called(what, e.Class)
	if e.Class == node.Throttled {
		c.mu.Lock()
		c.told, c.long = c.clock.Now(), e.RetryAfter
		if c.long <= 0 {
			c.long = paceThrottled
		}
		c.mu.Unlock()
	}
	return none, e
}

// silence is how long the cloud is to be left alone yet.
func (c *cloud) silence() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.long == 0 {
		return 0
	}
	return c.long - c.clock.Since(c.told)
}
