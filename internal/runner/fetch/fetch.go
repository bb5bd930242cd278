package fetch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"kaito.sh/kaito/internal/runner/ending"
)

// What Options leave open.
const (
	// DefaultStall is how long a request may bring nothing.
	DefaultStall = time.Minute
	// DefaultParallel is how many parts are fetched beside each other.
	DefaultParallel = 4
)

// Options are what a fetch gets from outside.
type Options struct {
	// Dir is the folder that receives the files; it is made where it is missing.
	Dir string
	// Expected is about how many bytes there will be, until the source has said; 0 is unknown.
	Expected int64
	// Free is how many bytes the disk of a folder can still take.
	Free func(dir string) (int64, error)
	// Sleep waits between attempts.
	Sleep func(context.Context, time.Duration) error
	// Stall is how long a request may bring nothing; 0 takes DefaultStall.
	Stall time.Duration
	// Parallel is how many parts are fetched at once; 0 takes DefaultParallel.
	Parallel int
	// Report hears how many bytes are there. It is called by several goroutines.
	Report func(done, total int64)
	// Log receives what went wrong and was got over.
	Log *slog.Logger
}

// Run brings everything that the source has into the folder. The error is an *Error,
// unless ctx ended.
func Run(ctx context.Context, from Source, o Options) error {
	if o.Stall <= 0 {
		o.Stall = DefaultStall
	}
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	o.Report(0, o.Expected)
	plan, err := find(ctx, from, o)
	if err != nil {
		return err
	}
	if plan.Content == (Content{}) {
		plan.Content = Model()
	}
	if err := checkPlan(plan); err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return local("make the folder for the weights", err)
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return local("open the folder for the weights", err)
	}
	defer func() { _ = root.Close() }()
	f := &fetcher{Options: o, root: root, plan: plan, total: plan.Size()}
	return f.run(ctx)
}

// find asks the source until it answers.
func find(ctx context.Context, from Source, o Options) (Plan, error) {
	tries := patience{sleep: o.Sleep, log: o.Log, what: "the list of files"}
	for {
		asked, cancel := context.WithTimeoutCause(ctx, o.Stall, errStalled)
		plan, err := from.Plan(asked)
		stalled := asked.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil {
			return plan, nil
		}
		if stalled {
			err = fmt.Errorf("%w (%s)", errStalled, o.Stall)
		}
		if err := tries.after(ctx, err); err != nil {
			return Plan{}, err
		}
	}
}

// checkPlan refuses names that lead out of the folder, and files that would be two.
func checkPlan(p Plan) error {
	seen := map[string]bool{}
	for _, part := range p.Parts {
		if part.Size < 0 {
			return Unusable("%s says that %q has %d bytes", p.Origin, part.Name, part.Size)
		}
		if part.Form != Plain {
			continue
		}
		if err := CheckName(part.Name); err != nil {
			return Unusable("%s holds the file %q: %v", p.Origin, part.Name, err)
		}
		if seen[part.Name] {
			return Unusable("%s holds the file %q twice", p.Origin, part.Name)
		}
		seen[part.Name] = true
	}
	return nil
}

// fetcher is one run.
type fetcher struct {
	Options
	root  *os.Root
	plan  Plan
	total int64
	done  atomic.Int64

	mu     sync.Mutex
	record record
	// owner says which part brought a file.
	owner map[string]int
}

// run fetches what is not there.
func (f *fetcher) run(ctx context.Context) error {
	f.owner = map[string]int{}
	if err := f.readRecord(); err != nil {
		return err
	}
	missing := f.keep()
	if err := f.tidy(); err != nil {
		return err
	}
	if err := f.checkSpace(missing); err != nil {
		return err
	}
	f.Report(f.done.Load(), f.total)
	f.Log.Info("weights are fetched", "from", f.plan.Origin, "parts", len(f.plan.Parts), "missing", len(missing),
		"bytes", f.total, "there", f.done.Load(), "into", f.Dir)
	if err := f.each(ctx, missing); err != nil {
		return err
	}
	if len(f.owner) == 0 {
		return Unusable("%s holds no file below /%s that is wanted; %s", f.plan.Origin, f.plan.Content.Folder, f.plan.Content.Again)
	}
	f.Report(f.total, f.total)
	return f.tidy() // pieces that nobody needs any more
}

// each fetches parts beside each other. The first failure ends the others.
func (f *fetcher) each(ctx context.Context, missing []int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan int)
	var all sync.WaitGroup
	for range min(f.Parallel, len(missing)) {
		all.Go(func() {
			for i := range work {
				if err := f.part(ctx, i); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	for _, i := range missing {
		select {
		case work <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	all.Wait()
	return context.Cause(ctx)
}

// part fetches one part, anew where its digest is wrong.
func (f *fetcher) part(ctx context.Context, i int) error {
	part := f.plan.Parts[i]
	reuse, wrong := true, 0
	for {
		used, err := f.once(ctx, i, reuse)
		var other *digestError
		if !asDigest(err, &other) {
			return err
		}
		f.Log.Warn("weights: wrong digest, fetching anew", "file", part.Name, "got", other.got, "want", part.Digest.String(), "reused", used)
		reuse = false
		// What an earlier run left may be anybody's fault; only what just came counts.
		if used {
			continue
		}
		if wrong++; wrong > 1 {
			return &Error{Reason: ending.WeightsCorrupt, Err: err, Message: fmt.Sprintf(
				"What came for %q of %s adds up to %s instead of %s, twice; look for a proxy or mirror that alters files, or a damaged image",
				part.Name, f.plan.Origin, other.got, part.Digest)}
		}
	}
}

// checkSpace compares what is missing with what the disk can take.
func (f *fetcher) checkSpace(missing []int) error {
	var need int64
	for _, i := range missing {
		need += f.plan.Parts[i].Size
	}
	if f.total < f.Expected { // compressed layers become larger
		need += f.Expected - f.total
	}
	need -= f.pieces()
	if need <= 0 {
		return nil
	}
	free, err := f.Free(f.Dir)
	if err != nil {
		return local("look for free space", err)
	}
	if free >= need {
		return nil
	}
	return &Error{Reason: ending.DiskFull, Message: fmt.Sprintf(
		"The volume at %s has %s free and the files of %s need %s more: %s are missing; mount a larger volume, give the node a larger disk, or choose a smaller %s",
		f.Dir, size(free), f.plan.Origin, size(need), size(need-free), f.plan.Content.Noun)}
}

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1000
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	value, i := float64(n), 0
	for value >= unit && i < len(units)-1 {
		value, i = value/unit, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
