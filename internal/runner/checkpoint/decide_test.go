package checkpoint

import "testing"

func TestDecide(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		view view
		want action
	}{
		"nothing is there":                                       {view{}, wait},
		"the first checkpoint goes":                              {view{newest: 10}, push},
		"what is there already does not go again":                {view{newest: 10, pushed: 10}, wait},
		"a checkpoint of a run that began anew goes":             {view{newest: 10, pushed: 30}, push},
		"one push at a time":                                     {view{newest: 20, inFlight: 10}, wait},
		"after a failure it rests":                               {view{newest: 10, resting: true}, wait},
		"a refusal is tried again, a Secret may be put right":    {view{newest: 10, hopeless: true}, push},
		"at the end an older push makes room":                    {view{newest: 20, inFlight: 10, stopping: true}, replace},
		"at the end the newest push goes on":                     {view{newest: 20, inFlight: 20, stopping: true}, wait},
		"at the end the trainer's last checkpoint is waited for": {view{newest: 20, pushed: 20, stopping: true, alive: true}, wait},
		"at the end the last checkpoint goes":                    {view{newest: 20, pushed: 10, stopping: true}, push},
		"at the end a failed push is tried again":                {view{newest: 20, pushed: 10, stopping: true, resting: true}, wait},
		"at the end a refusal is final":                          {view{newest: 20, stopping: true, resting: true, hopeless: true}, leave},
		"at the end with nothing to push":                        {view{stopping: true}, leave},
		"at the end with everything pushed":                      {view{newest: 20, pushed: 20, stopping: true}, leave},
	} {
		if got := decide(tc.view); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
