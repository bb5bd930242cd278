package ending_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

func TestResultsFitIntoATerminationMessage(t *testing.T) {
	t.Parallel()
	curve := func(n int) (out []contract.Point) {
		for i := range n {
			out = append(out, contract.Point{Step: 1000 + i, Loss: 1.2345678901234567 + float64(i)/3})
		}
		return out
	}
	notes := func(n int) (out []string) {
		for range n {
			out = append(out, strings.Repeat("note ", 40))
		}
		return out
	}
	for name, tc := range map[string]struct {
		give contract.Result
		// points and notes are what is left.
		points, notes int
	}{
		"a whole curve":             {contract.Result{Training: &contract.Training{Losses: curve(64)}}, 32, 0},
		"a curve that is too long":  {contract.Result{Training: &contract.Training{Losses: curve(300)}}, 38, 0},
		"notes that are too many":   {contract.Result{Dataset: &contract.Dataset{Notes: notes(30)}}, 0, 9},
		"a number that is none":     {contract.Result{Training: &contract.Training{LastLoss: math.NaN()}}, 0, 0},
		"something without any end": {contract.Result{Published: &contract.Published{Image: strings.Repeat("x", 5000)}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "message")
			give := tc.give
			give.Reason, give.RunID = contract.Done, "0123456789ab"
			if err := ending.WriteResult(file, give); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(file)
			if err != nil || len(raw) > 2048 {
				t.Fatalf("%d bytes, %v", len(raw), err)
			}
			var got contract.Result
			if err := json.Unmarshal(raw, &got); err != nil || got.Reason != contract.Done || got.RunID != give.RunID {
				t.Fatalf("%s: %v", raw, err)
			}
			points, notes := 0, 0
			if got.Training != nil {
				points = len(got.Training.Losses)
				if last := give.Training.Losses[len(give.Training.Losses)-1]; points > 0 && !cmp.Equal(last, got.Training.Losses[points-1]) {
					t.Errorf("the last point is lost: %+v", got.Training.Losses)
				}
			}
			if got.Dataset != nil {
				notes = len(got.Dataset.Notes)
			}
			if points != tc.points || notes != tc.notes {
				t.Errorf("%d points and %d notes are left, want %d and %d", points, notes, tc.points, tc.notes)
			}
		})
	}
	if err := ending.WriteResult("", contract.Result{}); err != nil {
		t.Error(err)
	}
}
