package group

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// said is a report at a moment, in seconds.
type said struct {
	at     int
	report Report
	// run is whether the sender may run, err what is wrong, or empty.
	run bool
	err string
}

func from(place int, run string, state State) Report {
	return Report{Place: place, Run: run, Digest: "d", State: state}
}

func TestTheRoll(t *testing.T) {
	t.Parallel()
	other := from(1, "a", Waiting)
	other.Digest = "e"
	other2 := from(1, "b", Waiting)
	other2.Digest = "e"
	for name, tc := range map[string]struct {
		prepared bool
		story    []said
		// check is what looking around says at the end, missing who is missing.
		check   string
		missing int
	}{
		"all start when the last is there": {true, []said{
			{0, from(1, "a", Waiting), false, ""},
			{1, from(2, "b", Preparing), false, ""},
			{2, from(2, "b", Waiting), true, ""},
			{3, from(1, "a", Waiting), true, ""},
			{4, from(1, "a", Running), true, ""},
			{5, from(2, "b", Running), true, ""},
		}, "", 2},
		"nobody starts before the leader has its weights": {false, []said{
			{0, from(1, "a", Waiting), false, ""}, {0, from(2, "b", Waiting), false, ""},
		}, "", 0},
		"one that fell silent before the start is waited for": {true, []said{
			{0, from(1, "a", Waiting), false, ""}, {20, from(2, "b", Waiting), false, ""}, {21, from(1, "a", Waiting), true, ""},
		}, "", 0},
		"another process before the start takes the place": {true, []said{
			{0, from(1, "a", Waiting), false, ""}, {1, from(1, "c", Waiting), false, ""}, {2, from(2, "b", Waiting), true, ""}, {3, from(1, "c", Running), true, ""},
		}, "", 1},
		"another process after the start ends the group": {true, []said{
			{0, from(1, "a", Waiting), false, ""},
			{1, from(2, "b", Waiting), true, ""},
			{2, from(1, "c", Preparing), false, "the pod at place 1 of the group has started again: all of them start again together"},
		}, "", 0},
		"silence after the start ends the group": {true, []said{
			{0, from(1, "a", Waiting), false, ""}, {1, from(2, "b", Waiting), true, ""}, {16, from(1, "a", Running), true, ""},
		}, "the pod at place 2 of the group has not been heard for 10 seconds", 2},
		"who was told to stop lets requests end": {true, []said{
			{0, from(1, "a", Waiting), false, ""}, {1, from(2, "b", Waiting), true, ""}, {2, from(2, "b", Leaving), true, ErrLeaving.Error()},
		}, "", 1},
		"an engine of an earlier group is none of ours": {true, []said{
			{0, from(1, "a", Running), false, "its engine belongs to an earlier group"},
		}, "", 2},
		"a pod that serves something else is not waited for": {true, []said{
			{0, other, false, "told to serve something else"},
		}, "", 2},
		"one that comes back to serve something else ends the group": {true, []said{
			{0, from(1, "a", Waiting), false, ""}, {1, from(2, "b", Waiting), true, ""}, {2, other2, false, "place 1 of the group has started again"},
		}, "", 0},
		"a place that is none": {true, []said{
			{0, from(3, "a", Waiting), false, "place 3 is none of a group of 3"}, {0, from(0, "a", Waiting), false, "place 0 is none"},
		}, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := roll{size: 3, digest: "d", silence: 10 * time.Second, members: map[int]member{}, prepared: tc.prepared}
			start := time.Unix(0, 0)
			var now time.Time
			for i, s := range tc.story {
				now = start.Add(time.Duration(s.at) * time.Second)
				run, err := r.hear(s.report, now)
				if run != s.run || (err == nil) != (s.err == "") || err != nil && !strings.Contains(err.Error(), s.err) {
					t.Fatalf("report %d: run %v, %v; want %v, %q", i, run, err, s.run, s.err)
				}
			}
			if err := r.check(now); (err == nil) != (tc.check == "") || err != nil && !strings.Contains(err.Error(), tc.check) {
				t.Errorf("looking around says %v, want %q", err, tc.check)
			}
			if got := len(r.missing(now)); got != tc.missing {
				t.Errorf("%d are missing, want %d: %v", got, tc.missing, r.members)
			}
			var broken *BrokenError
			if err := r.check(now.Add(time.Hour)); r.started != errors.As(err, &broken) {
				t.Errorf("an hour later: started %v, %v", r.started, err)
			}
		})
	}
}
