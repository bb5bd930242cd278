package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// start starts the operator with the chart's rights and its setting of the collector, and waits until its cache is filled.
func (f *fleet) start(ctx context.Context) error {
	binary, err := filepath.Abs(filepath.Join(filepath.Dir(f.o.runner), "kaito-operator"))
	if err != nil {
		return err
	}
	return f.begin(ctx, "kaito-operator", "KUBECONFIG="+f.plane.operator, "GOGC=25", binary,
		"--runner-image", "registry.local:5000/kaito/runner:dev", "--llamacpp-image", "registry.local:5000/kaito/llamacpp:dev",
		"--gate-image", "registry.local:5000/kaito/gate:dev", "--tuner-image", "registry.local:5000/kaito/tuner:dev",
		"--models", "registry.local:5000/kaito/models")
}

// begin starts a program of ours (assignments of its environment, its path, its arguments) and
// waits until it is ready.
func (f *fleet) begin(ctx context.Context, name string, line ...string) error {
	metrics, err := loopback(ctx)
	if err != nil {
		return err
	}
	health, err := loopback(ctx)
	if err != nil {
		return err
	}
	f.address = metrics
	f.running, err = f.launch(ctx, name, "/usr/bin/env", append(line, "--metrics-address", metrics, "--health-address", health)...)
	if err != nil {
		return err
	}
	return f.until(ctx, name+" is ready (see its log)", func() (bool, error) {
		if f.running.ended() {
			return false, errors.New(name + " has ended")
		}
		response, err := f.get(ctx, "http://"+health+"/readyz")
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

// loopback is an address that nobody listens at.
func loopback(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// settle returns the number of writes once it has stood still for a while.
func (f *fleet) settle(ctx context.Context) (float64, error) {
	const still = 10 * time.Second
	count, since := -1.0, f.o.now()
	err := f.until(ctx, "the operator stops writing", func() (bool, error) {
		now, err := f.writes(ctx)
		if now != count {
			count, since = now, f.o.now()
		}
		return f.o.now().Sub(since) > still, err
	})
	return count, err
}

// writes is how many writing requests the operator has sent.
func (f *fleet) writes(ctx context.Context) (float64, error) {
	return f.counter(ctx, "rest_client_requests_total", func(labels map[string]string) bool { return labels["method"] != http.MethodGet })
}

// counter adds up a counter of the operator over those labels that count.
func (f *fleet) counter(ctx context.Context, name string, counts func(labels map[string]string) bool) (float64, error) {
	response, err := f.get(ctx, "http://"+f.address+"/metrics")
	if err != nil {
		return 0, fmt.Errorf("read the operator's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return 0, fmt.Errorf("read the operator's metrics: %w", err)
	}
	family, ok := families[name]
	if !ok {
		return 0, errors.New("read the operator's metrics: no " + name)
	}
	total := 0.0
	for _, m := range family.GetMetric() {
		labels := map[string]string{}
		for _, label := range m.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		if counts(labels) {
			total += m.GetCounter().GetValue()
		}
	}
	return total, nil
}

// get asks the operator.
func (f *fleet) get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	return (&http.Client{Timeout: time.Minute}).Do(request)
}

// until asks again until the answer is yes.
func (f *fleet) until(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		done, err := ask()
		if err != nil || done {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
}
