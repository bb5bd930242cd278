// Package tuneprogress asks the pods of running trainings how far they are, beside
// the controllers: to look at an answer costs a pass nothing, and what is worth a
// pass makes one.
package tuneprogress

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/runner/contract"
)

const (
	// interval is how often each pod is asked, and hands how many at once.
	interval = 10 * time.Second
	hands    = 8
	// patience is for one question: a runner answers in milliseconds.
	patience = 2 * time.Second
	// most is the longest answer that is read: a curve of 64 points takes a tenth of it.
	most = 64 << 10
	// quiet is how long small news wait, so that a status is not written with every step.
	quiet = 15 * time.Second
	// steps of a hundred are news at once.
	hundred = 100
)

// Watcher asks pods. It is safe for concurrent use.
type Watcher struct {
	client *http.Client
	clock  clock.WithTicker
	port   int

	mu sync.Mutex
	// pods are those that are asked, one a Workspace.
	pods map[types.NamespacedName]pod
	wake chan struct{}
	news chan types.NamespacedName
}

// pod is one that trains.
type pod struct {
	uid     types.UID
	address string
	// told is what passes may know of it, since at.
	told *contract.Progress
	at   time.Time
}

// New makes a Watcher that asks runners at the port of their contract.
func New(c clock.WithTicker) *Watcher { return newWatcher(c, contract.Port) }

func newWatcher(c clock.WithTicker, port int) *Watcher {
	return &Watcher{
		client: &http.Client{
			Timeout: patience,
			// A pod is asked itself, and rarely.
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock: c, port: port,
		pods: map[types.NamespacedName]pod{}, wake: make(chan struct{}, 1), news: make(chan types.NamespacedName),
	}
}

// Watch has the pod of a Workspace asked from now on, instead of an earlier one. It returns at once.
func (w *Watcher) Watch(workspace types.NamespacedName, uid types.UID, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.pods[workspace]; ok && known.uid == uid && known.address == address {
		return
	}
	w.pods[workspace] = pod{uid: uid, address: address}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Forget ends the questions about a Workspace.
func (w *Watcher) Forget(workspace types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, workspace)
}

// Progress is what a pod has said that is worth a status, or nil.
func (w *Watcher) Progress(workspace types.NamespacedName, uid types.UID) *contract.Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.pods[workspace]; known.uid == uid {
		return known.told
	}
	return nil
}

// News are the Workspaces whose progress is worth a pass.
func (w *Watcher) News() <-chan types.NamespacedName { return w.news }

// Start asks until the context ends: a pod that is new at once, all of them at each interval.
func (w *Watcher) Start(ctx context.Context) error {
	ticker := w.clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
			w.round(ctx, func(pod) bool { return true })
		case <-w.wake:
			w.round(ctx, func(p pod) bool { return p.told == nil })
		}
	}
}

// round asks every pod that is wanted once.
func (w *Watcher) round(ctx context.Context, wanted func(pod) bool) {
	w.mu.Lock()
	asked := map[types.NamespacedName]pod{}
	for workspace, p := range w.pods {
		if wanted(p) {
			asked[workspace] = p
		}
	}
	w.mu.Unlock()
	var wg sync.WaitGroup
	free := make(chan struct{}, hands)
	for workspace, p := range asked {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			// A pod that does not answer is between two containers, or on its way: its
			// end is told by the kubelet.
			if said, err := w.ask(ctx, p.address); err == nil && w.take(workspace, p.uid, said) {
				select {
				case w.news <- workspace:
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
}

// take keeps an answer that is news, and says whether it is.
func (w *Watcher) take(workspace types.NamespacedName, uid types.UID, said *contract.Progress) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, ok := w.pods[workspace]
	if !ok || known.uid != uid || !isNews(known.told, said, w.clock.Since(known.at)) {
		return false
	}
	known.told, known.at = said, w.clock.Now()
	w.pods[workspace] = known
	return true
}

// isNews holds back what changes all the time: a hundredth of the steps is news at
// once, and so is another phase; the rest waits for its quarter of a minute.
func isNews(told, said *contract.Progress, since time.Duration) bool {
	if told == nil || told.Phase != said.Phase || told.RunID != said.RunID || told.TotalSteps != said.TotalSteps {
		return true
	}
	moved := said.Step - told.Step
	if moved != 0 && moved*hundred >= said.TotalSteps || moved < 0 {
		return true
	}
	changed := moved != 0 || told.Checkpoint != said.Checkpoint || told.Loss != said.Loss
	return changed && since >= quiet
}

// ask asks one pod once.
func (w *Watcher) ask(ctx context.Context, address string) (*contract.Progress, error) {
	url := "http://" + net.JoinHostPort(address, strconv.Itoa(w.port)) + "/progress"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s: %s", url, response.Status)
	}
	said := &contract.Progress{}
	if err := json.NewDecoder(io.LimitReader(response.Body, most)).Decode(said); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", url, err)
	}
	return said, nil
}
