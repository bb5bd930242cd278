// Package resolver finds out what models of a hub are, beside the controllers: a pass asks
// and is answered at once with what is known, and another pass is made once more is. A hub
// that is slow, down or hostile costs the hands of this package their time, and nobody else's.
//
// What is known is known to one namespace: the answer to the same question of another is
// read again, so that nothing can be learned from whether somebody else has asked.
package resolver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/model"
)

const (
	// hands is how many models are read at once, and each how many of one namespace: what
	// one tenant asks for never takes all hands.
	hands = 8
	each  = 2
	// patience is for one reading, all its requests together.
	patience = time.Minute
	// remembered is how many answers are kept at most; it bounds the memory.
	remembered = 2000
	// fresh is how long the answer for a revision that may move is not asked again. That for a commit is for ever.
	fresh = 10 * time.Minute
	// soon is when to come again where there is no room for a question.
	soon = 10 * time.Second
)

// The waits after failures double from the first to the last, unless the hub asks for more.
const (
	firstWait     = 5 * time.Second
	lastWait      = 5 * time.Minute
	firstWaitSure = time.Minute
	lastWaitSure  = 15 * time.Minute
	longestWait   = time.Hour
)

// Question is what a Workspace wants to know. Two questions are the same when all of it is.
type Question struct {
	// Namespace is that of the Workspace.
	Namespace string
	// Repository is owner/name, Revision a commit, a tag or a branch.
	Repository, Revision string
	// Pickles allows weights that can run code when they are loaded.
	Pickles bool
	// Again is any word: a new one asks anew, whatever is known.
	Again string
}

// Facts are what was read.
type Facts struct {
	// Model names Commit as the revision of its forms.
	Model model.Model
	// Commit is what the revision stood for.
	Commit string
}

// Answer is what is known now. Facts and Failure are both nil while nothing is; both are
// there where what was known could not be read again.
type Answer struct {
	// Facts are what was read, or nil.
	Facts *Facts
	// Failure is why nothing was read, or nil.
	Failure *Failure
	// Again is when to ask again at the latest; 0 waits for News.
	Again time.Duration
}

// Reader reads a model from a hub, without credentials. Its error is a *Failure, or is
// taken for a hub that does not answer.
type Reader interface {
	Read(ctx context.Context, q Question) (Facts, error)
}

// Options are what a Resolver is made of.
type Options struct {
	// Reader reads.
	Reader Reader
	// Clock says when answers are old.
	Clock clock.PassiveClock
	// Patience is for one reading; 0 is a minute.
	Patience time.Duration
}

// Resolver has questions answered. It is safe for concurrent use.
type Resolver struct {
	reader   Reader
	clock    clock.PassiveClock
	patience time.Duration

	mu    sync.Mutex
	known map[Question]*entry
	asked int
	queue queue
	work  chan struct{}
	news  chan types.NamespacedName
}

// entry is what is known of one question. The Resolver's lock guards it.
type entry struct {
	question Question
	// busy is true while it is queued or being read.
	busy bool
	// waiting are the Workspaces that are to hear of the answer.
	waiting map[types.NamespacedName]struct{}
	facts   *Facts
	failure *Failure
	// tries counts failures in a row.
	tries int
	// due is when it is to be asked again.
	due time.Time
	// used is the count of all questions when somebody asked this one last.
	used int
	// forever is true of facts that cannot change.
	forever bool
}

// New makes a Resolver.
func New(o Options) *Resolver {
	if o.Patience == 0 {
		o.Patience = patience
	}
	return &Resolver{
		reader: o.Reader, clock: o.Clock, patience: o.Patience,
		known: map[Question]*entry{}, queue: newQueue(each),
		work: make(chan struct{}, 1), news: make(chan types.NamespacedName),
	}
}

// Answer says what is known, and has the rest found out for a Workspace. It returns at once.
func (r *Resolver) Answer(workspace types.NamespacedName, q Question) Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	e := r.known[q]
	if e == nil {
		if e = r.remember(q); e == nil {
			return Answer{Again: soon}
		}
	}
	r.asked++
	e.used = r.asked
	due := !e.forever && !now.Before(e.due)
	if due && !e.busy {
		e.busy = true
		r.queue.push(e)
		r.wake()
	}
	if e.busy {
		e.waiting[workspace] = struct{}{}
	}
	a := Answer{Facts: e.facts, Failure: e.failure}
	switch {
	case e.failure == nil && due:
		a.Facts = nil // it may have moved; whoever asks now is the first to ask for long
	case e.failure != nil && !e.busy:
		a.Again = e.due.Sub(now)
	}
	return a
}

// remember makes room for a question; nil where all that is remembered is being read.
func (r *Resolver) remember(q Question) *entry {
	if len(r.known) >= remembered {
		var oldest *entry
		for _, e := range r.known {
			if !e.busy && (oldest == nil || e.used < oldest.used) {
				oldest = e
			}
		}
		if oldest == nil {
			return nil
		}
		delete(r.known, oldest.question)
	}
	e := &entry{question: q, waiting: map[types.NamespacedName]struct{}{}}
	r.known[q] = e
	return e
}

// News are the Workspaces for whose question there is an answer.
func (r *Resolver) News() <-chan types.NamespacedName { return r.news }

// wake lets one hand look at the queue; the lock is held.
func (r *Resolver) wake() {
	select {
	case r.work <- struct{}{}:
	default:
	}
}

// Start reads until the context ends.
func (r *Resolver) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	for range hands {
		wg.Go(func() {
			for {
				e, ok := r.next(ctx)
				if !ok {
					return
				}
				facts, err := r.read(ctx, e.question)
				r.tell(ctx, r.settle(e, facts, err))
			}
		})
	}
	wg.Wait()
	return nil
}

func (r *Resolver) next(ctx context.Context) (*entry, bool) {
	for {
		r.mu.Lock()
		e := r.queue.pop()
		if e != nil {
			r.wake() // there may be more
		}
		r.mu.Unlock()
		if e != nil {
			return e, true
		}
		select {
		case <-r.work:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// read bounds one reading. What a stranger sends must not end the operator.
func (r *Resolver) read(ctx context.Context, q Question) (facts Facts, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	defer func() {
		if broken := recover(); broken != nil {
			err = &Failure{Why: Unusable, Message: fmt.Sprintf("The files of %s cannot be read: %v", q.Repository, broken)}
		}
	}()
	return r.reader.Read(ctx, q)
}

// settle writes an answer down and says who waits for it.
func (r *Resolver) settle(e *entry, facts Facts, err error) []types.NamespacedName {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	if err == nil {
		e.facts, e.failure, e.tries = &facts, nil, 0
		e.due, e.forever = now.Add(fresh), e.question.Revision == facts.Commit
	} else {
		e.failure = failureOf(err, e.question)
		e.due = now.Add(e.failure.wait(e.tries))
		e.tries++
	}
	e.busy = false
	r.queue.done(e)
	r.wake()
	var all []types.NamespacedName
	for ws := range e.waiting {
		all = append(all, ws)
	}
	clear(e.waiting)
	return all
}

// tell has passes made.
func (r *Resolver) tell(ctx context.Context, all []types.NamespacedName) {
	for _, ws := range all {
		select {
		case r.news <- ws:
		case <-ctx.Done():
			return
		}
	}
}
