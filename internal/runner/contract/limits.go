package contract

// What the runner assumes where Limits says nothing, and how long it takes to stop.
const (
	// DefaultMaxBodyBytes bounds a request body: 32 MiB hold a few pictures in base64.
	DefaultMaxBodyBytes = 32 << 20
	// DefaultMaxInFlight is how many requests may be at the engine at once.
	DefaultMaxInFlight = 64
	// DefaultDrainSeconds is how long requests in flight may go on after SIGTERM.
	DefaultDrainSeconds = 60
	// GraceSeconds is how long new requests are still taken after SIGTERM, because
	// endpoints are withdrawn at the same moment and clients learn of it late.
	GraceSeconds = 5
	// StopSeconds is how long the engine may take to end after its own SIGTERM.
	StopSeconds = 10
)

// WithDefaults returns the limits with every zero replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.MaxBodyBytes == 0 {
		l.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if l.MaxInFlight == 0 {
		l.MaxInFlight = DefaultMaxInFlight
	}
	if l.DrainSeconds == 0 {
		l.DrainSeconds = DefaultDrainSeconds
	}
	return l
}

// TerminationGraceSeconds is the least terminationGracePeriodSeconds of a pod
// whose runner must never be killed while it stops in good order.
func (l Limits) TerminationGraceSeconds() int {
	const slack = 5 // for writing the last answers and leaving
	return max(l.WithDefaults().DrainSeconds, GraceSeconds) + StopSeconds + slack
}
