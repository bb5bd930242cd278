package phase_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/phase"
)

func TestTimeline(t *testing.T) {
	t.Parallel()
	type step struct {
		after time.Duration
		enter phase.Phase
	}
	for name, tc := range map[string]struct {
		steps  []step
		want   phase.Phase
		served bool
		parts  map[phase.Phase]float64
		total  float64
	}{
		"a fresh process checks": {
			want: phase.Checking, parts: map[phase.Phase]float64{phase.Checking: 0},
		},
		"the whole way": {
			steps: []step{{1, phase.Starting}, {2, phase.Loading}, {3, phase.Ready}, {10, phase.Draining}},
			want:  phase.Draining, served: true,
			parts: map[phase.Phase]float64{phase.Checking: 1, phase.Starting: 2, phase.Loading: 3}, total: 6,
		},
		"weights are fetched first": {
			steps: []step{{1, phase.Fetching}, {4, phase.Starting}, {2, phase.Ready}, {1, phase.Unhealthy}, {1, phase.Fetching}},
			want:  phase.Unhealthy, served: true,
			parts: map[phase.Phase]float64{phase.Checking: 1, phase.Fetching: 4, phase.Starting: 2}, total: 7,
		},
		"an engine that is ready with its first answer never loads": {
			steps: []step{{1, phase.Starting}, {2, phase.Ready}},
			want:  phase.Ready, served: true,
			parts: map[phase.Phase]float64{phase.Checking: 1, phase.Starting: 2}, total: 3,
		},
		"loading goes on": {
			steps: []step{{1, phase.Starting}, {1, phase.Loading}, {4, phase.Loading}},
			want:  phase.Loading,
			parts: map[phase.Phase]float64{phase.Checking: 1, phase.Starting: 1, phase.Loading: 4}, total: 6,
		},
		"an unhealthy engine recovers and start-up keeps its times": {
			steps: []step{{1, phase.Starting}, {1, phase.Ready}, {5, phase.Unhealthy}, {1, phase.Loading}, {1, phase.Ready}},
			want:  phase.Ready, served: true,
			parts: map[phase.Phase]float64{phase.Checking: 1, phase.Starting: 1}, total: 2,
		},
		"draining is final": {
			steps: []step{{1, phase.Draining}, {1, phase.Ready}},
			want:  phase.Draining,
			parts: map[phase.Phase]float64{phase.Checking: 2}, total: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := time.Unix(0, 0)
			line := phase.New(func() time.Time { return clock }, clock)
			for _, s := range tc.steps {
				clock = clock.Add(s.after * time.Second)
				line.Enter(s.enter)
			}
			parts, total := line.Seconds()
			if line.Current() != tc.want || line.Served() != tc.served || total != tc.total {
				t.Errorf("phase %s, served %v, total %v", line.Current(), line.Served(), total)
			}
			if diff := cmp.Diff(tc.parts, parts); diff != "" {
				t.Errorf("seconds (-want +got):\n%s", diff)
			}
		})
	}
}
