package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"syscall"

	"kaito.sh/kaito/internal/runner/contract"
)

// Trainer answers whether a trainer is alive in this pod: the containers share one
// loopback, and whoever works answers for its progress at url. Where nobody listens nobody
// trains; an answer that does not come may be that of a machine which has no time.
func Trainer(client *http.Client, url string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return !errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil
		}
		defer func() { _ = resp.Body.Close() }()
		const most = 1 << 20
		var said contract.Progress
		if json.NewDecoder(io.LimitReader(resp.Body, most)).Decode(&said) != nil {
			return true
		}
		return slices.Contains([]string{contract.TuneLoading, contract.TuneTraining, contract.TuneStopping}, said.Phase)
	}
}

// stops says whether a signal asks for the end.
func stops(sig os.Signal) bool { return sig == syscall.SIGTERM || sig == syscall.SIGINT }
