package checkpoint

// view is what the sidecar knows when it decides what to do next.
type view struct {
	// newest is the step of the newest whole checkpoint, pushed that of the one in the
	// registry, inFlight that of the one on its way there; 0 is none.
	newest, pushed, inFlight int
	// resting is true for a while after a push that failed.
	resting bool
	// hopeless is true where the registry's last answer would be the same again.
	hopeless bool
	// stopping is true once the pod is told to stop.
	stopping bool
	// alive is true while a trainer may still write a checkpoint.
	alive bool
}

// action is what the sidecar does next.
type action int

const (
	// wait looks again later.
	wait action = iota
	// push begins to push the newest checkpoint.
	push
	// replace gives a push up, because there is no time for an older checkpoint any more.
	replace
	// leave ends the sidecar.
	leave
)

// decide chooses. While the run goes on, a push is finished whatever comes meanwhile:
// otherwise a slow line would never bring one to its end. A sidecar that is told to stop
// stays for the checkpoint that the trainer writes when it is told the same.
func decide(v view) action {
	pending := v.newest > 0 && v.newest != v.pushed
	switch {
	case v.inFlight > 0 && v.stopping && v.newest > v.inFlight:
		return replace
	case v.inFlight > 0:
		return wait
	case v.stopping && !v.alive && (!pending || v.hopeless):
		return leave
	case pending && !v.resting:
		return push
	default:
		return wait
	}
}
