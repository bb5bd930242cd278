package threads_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/threads"
)

func TestTheRunnerTakesTheCPUsThatItNeeds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		shares []float64 // of one CPU, second by second
		limits []int
	}{
		"one is enough for a runner that waits":           {[]float64{0, 0, 0.1}, []int{1}},
		"one is enough for one that works now and then":   {[]float64{0.1, 0.5, 0.3}, []int{1}},
		"all for one that is busy":                        {[]float64{0.1, 0.6}, []int{1, 4}},
		"they are kept while it has something to do":      {[]float64{0.9, 3.5, 0.3, 0.9}, []int{1, 4}},
		"they are given back when it has nothing more":    {[]float64{0.9, 0.3, 0.1, 0.3}, []int{1, 4, 1}},
		"a second burst gets them as well as the first":   {[]float64{0.9, 0.1, 0.9}, []int{1, 4, 1, 4}},
		"what was used before the first tick is no share": {nil, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var limits []int
			at, used := time.Unix(0, 0), time.Hour
			ticks := make(chan time.Time, len(tc.shares)+1)
			asked := -2 // once at the start, once at the first tick
			process := threads.Process{
				All: 4,
				Used: func() time.Duration {
					if asked++; asked > 0 {
						used += time.Duration(tc.shares[asked-1] * float64(time.Second))
					}
					return used
				},
				Limit: func(n int) { limits = append(limits, n) },
			}
			for i := range len(tc.shares) + 1 {
				ticks <- at.Add(time.Duration(i) * time.Second)
			}
			close(ticks)
			threads.Fit(t.Context(), process, ticks)
			if diff := cmp.Diff(tc.limits, limits); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}
