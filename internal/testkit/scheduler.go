package testkit

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Schedule runs Kubernetes' own scheduler beside the API server until the test ends. Nothing
// else of a cluster runs in these tests, so that without it no pod ever gets a node.
func (s *Server) Schedule(t *testing.T) {
	t.Helper()
	s.start(t)
	user, err := s.env.AddUser(envtest.User{Name: "scheduler", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "scheduler.kubeconfig")
	if err := os.WriteFile(file, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	scheduler := exec.CommandContext(t.Context(), filepath.Join(os.Getenv(programs), "kube-scheduler"),
		"--kubeconfig="+file, "--authentication-kubeconfig="+file, "--authorization-kubeconfig="+file,
		"--leader-elect=false", "--secure-port=0", "--v=1")
	scheduler.Stdout, scheduler.Stderr = &said, &said
	scheduler.Cancel = func() error { return scheduler.Process.Signal(os.Interrupt) }
	scheduler.WaitDelay = 10 * time.Second
	if err := scheduler.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() { _ = scheduler.Wait() }) // it was told to end, and says so
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("the scheduler said:\n%s", said.Bytes())
		}
	})
}
