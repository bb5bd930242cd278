package node

import (
	"fmt"
	"time"
)

// Class is what an error means for the claim, whatever the cloud called it.
type Class string

// The classes of a provider's errors, and what is done about each.
const (
	// Capacity: the cloud has none of it now. Try another offer, or later.
	Capacity Class = "Capacity"
	// Quota: the account may not have more of it. Ask for quota, or another type.
	Quota Class = "Quota"
	// SKUUnavailable: the type is not sold here, or no more. Another type.
	SKUUnavailable Class = "SKUUnavailable"
	// Conflict: something else is under way. The same again, soon.
	Conflict Class = "Conflict"
	// Exists: a machine of that name belongs to somebody else. Never touched.
	Exists Class = "Exists"
	// Throttled: too many calls; none at all before RetryAfter has passed.
	Throttled Class = "Throttled"
	// Transient: it may pass. Look before the next attempt.
	Transient Class = "Transient"
	// Invalid: the request itself is wrong and stays so.
	Invalid Class = "Invalid"
	// Auth: the identity may not do this. No fast retries.
	Auth Class = "Auth"
	// NotFound: what the request refers to (the cluster, the group) is not there.
	NotFound Class = "NotFound"
	// Unsupported: the provider cannot do this.
	Unsupported Class = "Unsupported"
)

// Error is what a provider answers.
type Error struct {
	Class Class
	// Code is the cloud's own, such as SkuNotAvailable.
	Code string
	// Message is in the cloud's own words, without request ids and clocks.
	Message string
	// Fix says what a person can do, one sentence; empty where nothing is known.
	Fix string
	// RetryAfter is how long the cloud wants to be left alone; 0 is not said.
	RetryAfter time.Duration
	// Zero is true where a Quota is zero: no waiting helps.
	Zero bool
	// Tried is what was asked of the cloud, such as "create the agent pool kabc".
	Tried string
	// Err is the client's error.
	Err error
}

func (e *Error) Error() string {
	text := e.Message
	if e.Code != "" {
		text = e.Code + ": " + text
	}
	if e.Tried != "" {
		text = fmt.Sprintf("%s: %s", e.Tried, text)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Lasting says whether the same request would be refused again until a person has done something.
func (e *Error) Lasting() bool {
	switch e.Class {
	case SKUUnavailable, Exists, Invalid, Auth, NotFound, Unsupported:
		return true
	case Quota:
		return e.Zero
	default:
		return false
	}
}
