package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kaito.sh/kaito/localcluster/internal/clock"
)

// jump is a clock whose waits pass at once.
func jump() clock.Clock {
	now := time.Unix(0, 0)
	return clock.Clock{
		Now: func() time.Time { return now },
		After: func(d time.Duration) <-chan time.Time {
			now = now.Add(d)
			c := make(chan time.Time, 1)
			c <- now
			return c
		},
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	errNotYet := errors.New("not yet")
	w := clock.Wait{What: "the door opens", Every: time.Second, Limit: 3 * time.Second}
	cases := map[string]struct {
		lucky int
		looks int
		fails bool
	}{
		"true at once needs one look":        {lucky: 1, looks: 1},
		"true later is found":                {lucky: 3, looks: 3},
		"never true ends at the limit":       {lucky: 99, looks: 4, fails: true},
		"true at the very last look is true": {lucky: 4, looks: 4},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			looks := 0
			err := jump().Until(t.Context(), w, func(context.Context) error {
				looks++
				if looks == tc.lucky {
					return nil
				}
				return errNotYet
			})
			var late *clock.TimeoutError
			if got := errors.As(err, &late); got != tc.fails || looks != tc.looks {
				t.Fatalf("looked %d times, want %d; error %v, want a timeout: %v", looks, tc.looks, err, tc.fails)
			}
			if tc.fails && !errors.Is(err, errNotYet) {
				t.Errorf("error %q does not carry the last reason", err)
			}
		})
	}
}

func TestFinalReasonEndsTheWait(t *testing.T) {
	t.Parallel()
	errGone := errors.New("gone")
	looks := 0
	w := clock.Wait{What: "it comes", Every: time.Second, Limit: time.Minute}
	err := jump().Until(t.Context(), w, func(context.Context) error {
		looks++
		return clock.Final(errGone)
	})
	if looks != 1 || !errors.Is(err, errGone) {
		t.Errorf("looked %d times, error %v", looks, err)
	}
}
