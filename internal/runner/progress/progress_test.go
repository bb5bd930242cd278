package progress_test

import (
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/progress"
)

func TestBoardAnswersWhatWasWrittenLast(t *testing.T) {
	t.Parallel()
	board, url := start(t)
	board.Update(func(p *contract.Progress) {
		p.Phase, p.Step, p.TotalSteps = contract.TuneTraining, 3, 40
		p.Losses = append(p.Losses, contract.Point{Step: 3, Loss: 2.5})
	})
	resp := get(t, http.MethodGet, url+progress.Path)
	var got contract.Progress
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := contract.Progress{RunID: "run", Phase: contract.TuneTraining, Step: 3, TotalSteps: 40, Losses: []contract.Point{{Step: 3, Loss: 2.5}}}
	if diff := cmp.Diff(want, got); diff != "" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%q (-want +got):\n%s", resp.Header, diff)
	}
}

func TestBoardRefusesWhatItHasNoAnswerFor(t *testing.T) {
	t.Parallel()
	board, url := start(t)
	for name, tc := range map[string]struct {
		method, path string
		loss         float64
		want         int
	}{
		"another path":              {http.MethodGet, "/metrics", 1, http.StatusNotFound},
		"a write":                   {http.MethodPost, progress.Path, 1, http.StatusMethodNotAllowed},
		"a loss that is no number":  {http.MethodGet, progress.Path, math.NaN(), http.StatusInternalServerError},
		"a question for the header": {http.MethodHead, progress.Path, 1, http.StatusOK},
	} {
		board.Update(func(p *contract.Progress) { p.Loss = tc.loss })
		if resp := get(t, tc.method, url+tc.path); resp.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tc.want)
		}
	}
}

func TestStopFreesThePort(t *testing.T) {
	t.Parallel()
	port, err := progress.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := port.Addr().String()
	if _, err := progress.Listen(t.Context(), address); err == nil || !strings.Contains(err.Error(), "open the port for /progress") {
		t.Fatalf("a second server on one port: %v", err)
	}
	stop := progress.NewBoard("run", contract.TunePreparing).Serve(port, slog.New(slog.DiscardHandler))
	stop()
	again, err := progress.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func start(t *testing.T) (board *progress.Board, url string) {
	t.Helper()
	port, err := progress.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	board = progress.NewBoard("run", contract.TunePreparing)
	t.Cleanup(board.Serve(port, slog.New(slog.DiscardHandler)))
	return board, "http://" + port.Addr().String()
}

func get(t *testing.T, method, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}
