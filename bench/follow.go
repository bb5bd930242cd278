package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
)

// namespace is where all objects of the benchmark stand.
const namespace = "default"

// tally is when things were first seen, by an observer's clock.
type tally struct {
	now func() time.Time

	mu      sync.Mutex
	changed chan struct{}
	// seen are moments by what happened: "set/NAME", "ready/NAME", "set/NAME@GENERATION", "answers/NAME".
	seen map[string]time.Time
	err  error
}

// follow watches StatefulSets and Workspaces until the context ends.
func follow(ctx context.Context, c client.WithWatch, now func() time.Time) (*tally, error) {
	t := &tally{now: now, changed: make(chan struct{}), seen: map[string]time.Time{}}
	for _, list := range []client.ObjectList{&appsv1.StatefulSetList{}, &v1beta1.WorkspaceList{}} {
		w, err := c.Watch(ctx, list, client.InNamespace(namespace))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", list, err)
		}
		go func() {
			// A server ends each watch after some minutes; a new one begins with what is there.
			for err == nil {
				for event := range w.ResultChan() {
					t.take(event)
				}
				w, err = c.Watch(ctx, list, client.InNamespace(namespace))
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.err = fmt.Errorf("watch %T: %w", list, err)
			t.wake()
		}()
	}
	return t, nil
}

func (t *tally) take(event watch.Event) {
	var happened []string
	switch o := event.Object.(type) {
	case *appsv1.StatefulSet:
		happened = append(happened, "set/"+o.Name, fmt.Sprintf("set/%s@%d", o.Name, o.Generation))
		if o.Status.ReadyReplicas > 0 && o.Status.ObservedGeneration == o.Generation {
			happened = append(happened, "ready/"+o.Name)
		}
	case *v1beta1.Workspace:
		if meta.IsStatusConditionTrue(o.Status.Conditions, v1beta1.ConditionWorkspaceSucceeded) {
			happened = append(happened, "answers/"+o.Name)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, what := range happened {
		switch _, known := t.seen[what]; {
		case event.Type == watch.Deleted:
			delete(t.seen, what)
		case !known:
			t.seen[what] = t.now()
		}
	}
	t.wake()
}

// wake tells whoever waits; the lock is held.
func (t *tally) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// await returns when all of these have happened, as moments in order.
func (t *tally) await(ctx context.Context, what ...string) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		missing := map[string]bool{}
		var at []time.Time
		t.mu.Lock()
		for _, w := range what {
			if when, ok := t.seen[w]; ok {
				at = append(at, when)
			} else {
				missing[w] = true
			}
		}
		changed, err := t.changed, t.err
		t.mu.Unlock()
		if len(missing) == 0 {
			slices.SortFunc(at, time.Time.Compare)
			return at, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d of %d, %q first: %w", len(missing), len(what), slices.Sorted(maps.Keys(missing))[0], ctx.Err())
		}
	}
}

// words are one word for every name.
func words(word string, names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, word+"/"+n)
	}
	return out
}

// many does something for each name, some at a time.
func many(names []string, do func(i int, name string) error) error {
	const hands = 16
	jobs, errs := make(chan int), make(chan error, len(names))
	var wg sync.WaitGroup
	for range hands {
		wg.Go(func() {
			for i := range jobs {
				if err := do(i, names[i]); err != nil {
					errs <- err
				}
			}
		})
	}
	for i := range names {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	close(errs)
	return <-errs
}

// named is an object of the benchmark.
func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}
