// Package testkit gives tests a real Kubernetes API server with our CRDs, and
// builders for the objects that they begin with: one file a kind.
//
// A package of tests declares one server, which starts with the first test that
// asks for it and ends with the last:
//
//	var api testkit.Server
//
//	func TestMain(m *testing.M) { api.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		c, namespace := api.Client(t), api.Namespace(t)
//		…
//	}
//
// Nothing but etcd and the API server runs: no controller of Kubernetes fills in
// a status, collects garbage or removes a namespace.
package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"kaito.sh/kaito/api/v1alpha1"
	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
)

// programs is the variable that names the folder of etcd and kube-apiserver, as
// every user of envtest knows it.
const programs = "KUBEBUILDER_ASSETS"

// startTimeout is generous: the machines of checks are busy.
const startTimeout = 2 * time.Minute

// Server is a real API server for one package of tests. The zero value is ready;
// it starts when a test first asks for it.
type Server struct {
	mu      sync.Mutex
	started bool
	err     error
	env     *envtest.Environment
	config  *rest.Config
	client  client.WithWatch
}

// Main runs the tests of a package and stops the server, also when the run is interrupted.
func (s *Server) Main(m *testing.M) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		if err := s.stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stop the API server of the tests: %v\n", err)
		}
		os.Exit(130)
	}()
	code := m.Run()
	if err := s.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "stop the API server of the tests: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Config is how to reach the server as its administrator; the test is skipped
// where the programs are not there.
func (s *Server) Config(t *testing.T) *rest.Config {
	t.Helper()
	s.start(t)
	return rest.CopyConfig(s.config)
}

// Client reads and writes without a cache and knows Scheme.
func (s *Server) Client(t *testing.T) client.WithWatch {
	t.Helper()
	s.start(t)
	return s.client
}

// Scheme knows every kind of Kubernetes, both versions of ours and the NodeClaim.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(
		clientgoscheme.AddToScheme(scheme),
		v1alpha1.AddToScheme(scheme),
		v1beta1.AddToScheme(scheme),
		nodeclaim.AddToScheme(scheme),
	)
	return scheme, err
}

func (s *Server) start(t *testing.T) {
	t.Helper()
	if os.Getenv(programs) == "" {
		t.Skip("needs the local cluster's programs: run `make test-api`")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.started = true
		s.err = s.launch()
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
}

// launch starts etcd and the API server and installs our CRDs.
func (s *Server) launch() error {
	root, err := root()
	if err != nil {
		return err
	}
	scheme, err := Scheme()
	if err != nil {
		return fmt.Errorf("make the scheme of the tests: %w", err)
	}
	s.env = &envtest.Environment{
		Scheme:                   scheme,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}
	// ServiceAccounts are made by a controller that does not run here.
	s.env.ControlPlane.GetAPIServer().Configure().Append("disable-admission-plugins", "ServiceAccount")
	if s.config, err = s.env.Start(); err != nil {
		return fmt.Errorf("start an API server from %s=%q: %w", programs, os.Getenv(programs), err)
	}
	if s.client, err = client.NewWithWatch(s.config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client for the API server of the tests: %w", err)
	}
	return nil
}

func (s *Server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.env == nil {
		return nil
	}
	env := s.env
	s.env = nil
	return env.Stop()
}

// root is the folder of our go.mod: tests run in the folder of their package.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("find the module: no go.mod above the folder of the test")
}
