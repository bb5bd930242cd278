package command

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/kubelets"
)

// grace is how long calls that are under way may take when the program ends.
const grace = 5 * time.Second

// run serves until ctx ends.
func run(ctx context.Context, w World, f *flags) error {
	log := slog.New(slog.NewTextHandler(w.Stderr, nil))
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	o, wait, err := options(ctx, w, f, log)
	if err != nil {
		return err
	}
	e, err := armemulator.New(o)
	if err != nil {
		return err
	}
	if f.faults != "" {
		if err := inject(e, f.faults); err != nil {
			return err
		}
	}
	listener, err := listen(ctx, w, f)
	if err != nil {
		return err
	}
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelDebug) // of clients that hang up
	servers := []*http.Server{{Handler: e.Handler(), ReadHeaderTimeout: grace, ErrorLog: quiet}}
	listeners := []net.Listener{listener}
	if f.control != "" {
		control, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.control)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		log.Info("control API is on", "address", control.Addr().String())
		servers = append(servers, &http.Server{Handler: e.Control(), ReadHeaderTimeout: grace, ErrorLog: quiet})
		listeners = append(listeners, control)
	}
	log.Info("listening", "address", listener.Addr().String(), "ca", filepath.Join(f.dir, "ca.crt"), "machines", f.machines)
	err = serve(ctx, servers, listeners)
	wait()
	log.Info("stopped")
	return err
}

// serve runs all servers until ctx ends or one of them fails.
func serve(ctx context.Context, servers []*http.Server, listeners []net.Listener) error {
	failed := make(chan error, len(servers))
	for i, s := range servers {
		go func() { failed <- s.Serve(listeners[i]) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	for _, s := range servers {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		if shut := s.Shutdown(end); shut != nil {
			err = errors.Join(err, s.Close())
		}
		cancel()
	}
	return err
}

// listen opens the address with a certificate of the emulator's own authority.
func listen(ctx context.Context, w World, f *flags) (net.Listener, error) {
	authority, err := armemulator.OpenAuthority(f.dir, w.Clock.Now())
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(f.address)
	if err != nil {
		return nil, err
	}
	hosts := append([]string{"localhost", "127.0.0.1"}, f.hosts...)
	if host != "" {
		hosts = append(hosts, host)
	}
	cert, err := authority.Certificate(w.Clock.Now(), hosts...)
	if err != nil {
		return nil, err
	}
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.address)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(plain, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

// options are the emulator's, and what to wait for in the end.
func options(ctx context.Context, w World, f *flags, log *slog.Logger) (armemulator.Options, func(), error) {
	quotas, err := f.limits()
	if err != nil {
		return armemulator.Options{}, nil, err
	}
	tokens, err := tokens(f)
	if err != nil {
		return armemulator.Options{}, nil, err
	}
	o := armemulator.Options{
		Subscription: f.subscription, Group: f.group, Cluster: f.cluster, Region: f.region, Zones: f.zones,
		NotInRegion: f.notInRegion, Clock: w.Clock, Log: log, Pace: f.pace, RetryAfter: f.retryAfter,
		PageSize: f.pageSize, MaxPools: f.maxPools, Quotas: quotas, Tokens: tokens,
		Store: armemulator.FileStore(filepath.Join(f.dir, "state.json")),
	}
	if f.machines == inMemory {
		return o, func() {}, nil
	}
	m := kubelets.New(ctx, kubelets.Options{
		Program: f.program, Cluster: f.name, DataRoot: f.dataRoot, CPU: f.cpu, Memory: f.memory, Log: log,
	})
	o.Machines = m
	return o, m.Wait, nil
}

func inject(e *armemulator.Emulator, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	faults, err := armemulator.ParseFaults(data)
	if err != nil {
		return err
	}
	return e.Inject(faults...)
}

// tokens is the tenant, nil where there is none.
func tokens(f *flags) (*armemulator.Tokens, error) {
	if f.tenant == "" {
		return nil, nil
	}
	identities, err := f.who()
	if err != nil {
		return nil, err
	}
	keys, err := keys(f)
	if err != nil {
		return nil, err
	}
	secret, err := secret(filepath.Join(f.dir, "token.key"))
	if err != nil {
		return nil, err
	}
	return armemulator.NewTokens(f.tenant, keys, f.lifetime, secret, identities...)
}

func keys(f *flags) (armemulator.Keys, error) {
	if f.jwks != "" {
		data, err := os.ReadFile(f.jwks)
		if err != nil {
			return nil, err
		}
		set, err := armemulator.ParseKeySet(data)
		return armemulator.FixedKeys{From: f.issuer, ByID: set}, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", f.kubeconfig, err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("reach the API server of %s: %w", f.kubeconfig, err)
	}
	client.Timeout = 10 * time.Second
	return armemulator.NewClusterKeys(client, config.Host), nil
}

// secret signs access tokens; it is kept, so that they outlive a restart.
func secret(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	data = make([]byte, 32)
	if _, err := rand.Read(data); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	return data, os.WriteFile(file, data, 0o600)
}
