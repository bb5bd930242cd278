package ending

import (
	"encoding/json"
	"fmt"
	"os"

	"kaito.sh/kaito/internal/runner/contract"
)

// WriteResult leaves the result of a container that has done its work at path, where
// the kubelet picks it up. An empty path writes nothing.
func WriteResult(path string, r contract.Result) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, resultJSON(r), 0o644); err != nil {
		return fmt.Errorf("write termination message: %w", err)
	}
	return nil
}

// resultJSON is the message in at most 2 KiB: a curve that is too long loses every
// second point, but never its last, and notes go one by one.
func resultJSON(r contract.Result) []byte {
	for {
		out, err := json.Marshal(r)
		switch {
		case err != nil: // a number that is none; nothing else can fail
			r.Training = nil
		case len(out) <= maxMessage:
			return out
		case r.Training != nil && len(r.Training.Losses) > 2:
			t := *r.Training
			t.Losses = thin(t.Losses)
			r.Training = &t
		case r.Dataset != nil && len(r.Dataset.Notes) > 0:
			d := *r.Dataset
			d.Notes = d.Notes[:len(d.Notes)-1]
			r.Dataset = &d
		default:
			return fmt.Appendf(nil, `{"reason":%q,"runID":%q}`, r.Reason, r.RunID)
		}
	}
}

// thin leaves out every second point, counted from the end.
func thin(points []contract.Point) []contract.Point {
	var out []contract.Point
	for i, p := range points {
		if (len(points)-1-i)%2 == 0 {
			out = append(out, p)
		}
	}
	return out
}
