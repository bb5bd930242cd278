// Package startup asks the runners of pods that have become ready how long each
// phase of their start took. It works beside the controllers: to ask costs a pass
// nothing, and the answer makes another pass.
package startup

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
	"k8s.io/utils/lru"

	"kaito.sh/kaito/internal/runner/contract"
)

const (
	// hands is how many pods are asked at once, tries how often each, and pause how long
	// after one that failed.
	hands = 8
	tries = 3
	pause = 2 * time.Second
	// patience is for one try: a runner that is ready answers in milliseconds.
	patience = 2 * time.Second
	// remembered is how many pods are known to have been asked; it bounds the memory.
	remembered = 20_000
	// most is the longest answer that is read.
	most = 64 << 10
)

// Prober asks pods. It is safe for concurrent use.
type Prober struct {
	client *http.Client
	clock  clock.Clock
	port   int

	mu sync.Mutex
	// asked holds what is known of a pod: nothing yet, or its phases.
	asked *lru.Cache
	queue []question
	work  chan struct{}
	news  chan types.NamespacedName
}

type question struct {
	workspace types.NamespacedName
	pod       types.UID
	address   string
}

// New makes a Prober that asks runners at the port of their contract.
func New(c clock.Clock) *Prober { return newProber(c, contract.Port) }

func newProber(c clock.Clock, port int) *Prober {
	return &Prober{
		client: &http.Client{
			Timeout: patience,
			// A pod is asked itself, and once.
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock: c, port: port,
		asked: lru.New(remembered), work: make(chan struct{}, 1), news: make(chan types.NamespacedName),
	}
}

// Ask has a pod of a Workspace asked, unless it was before. It returns at once.
func (p *Prober) Ask(workspace types.NamespacedName, pod types.UID, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.asked.Get(pod); known {
		return
	}
	p.asked.Add(pod, nil)
	p.queue = append(p.queue, question{workspace, pod, address})
	p.wake()
}

// wake lets one hand look at the queue; the lock is held.
func (p *Prober) wake() {
	select {
	case p.work <- struct{}{}:
	default:
	}
}

// Answer is the seconds of each phase of a pod's start, or nil while nobody has said.
func (p *Prober) Answer(pod types.UID) map[string]float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.asked.Get(pod)
	phases, _ := known.(map[string]float64)
	return phases
}

// News are the Workspaces of whose pods an answer has come.
func (p *Prober) News() <-chan types.NamespacedName { return p.news }

// Start asks until the context ends.
func (p *Prober) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	for range hands {
		wg.Go(func() {
			for {
				q, ok := p.next(ctx)
				if !ok {
					return
				}
				p.settle(ctx, q)
			}
		})
	}
	wg.Wait()
	return nil
}

func (p *Prober) next(ctx context.Context) (question, bool) {
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			q := p.queue[0]
			p.queue = p.queue[1:]
			if len(p.queue) > 0 {
				p.wake()
			}
			p.mu.Unlock()
			return q, true
		}
		p.mu.Unlock()
		select {
		case <-p.work:
		case <-ctx.Done():
			return question{}, false
		}
	}
}

// settle tries a few times; a pod that never answers has no runner of ours, or none
// that can be reached, and its start is told by what the kubelet knows.
func (p *Prober) settle(ctx context.Context, q question) {
	for try := range tries {
		if try > 0 {
			select {
			case <-p.clock.After(pause):
			case <-ctx.Done():
				return
			}
		}
		phases, err := p.try(ctx, q.address)
		if err != nil {
			continue
		}
		p.mu.Lock()
		p.asked.Add(q.pod, phases)
		p.mu.Unlock()
		select {
		case p.news <- q.workspace:
		case <-ctx.Done():
		}
		return
	}
}

// try asks one pod once.
func (p *Prober) try(ctx context.Context, address string) (map[string]float64, error) {
	url := "http://" + net.JoinHostPort(address, strconv.Itoa(p.port)) + "/health"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	defer func() { _ = response.Body.Close() }()
	var health struct {
		StartUp map[string]float64 `json:"startup"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, most)).Decode(&health); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK || len(health.StartUp) == 0 {
		return nil, fmt.Errorf("ask %s: %s, which says nothing of its start", url, response.Status)
	}
	return health.StartUp, nil
}
