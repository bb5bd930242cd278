package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const system = "kaito-system"

// operators are the pods of the operator that are not being removed, by name, with their UID.
func operators(t *testing.T) map[string]string {
	t.Helper()
	out := kubectl(t, "get", "pods", "-n", system, "-l", "app.kubernetes.io/name=kaito-operator",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.deletionTimestamp}{"\n"}{end}`)
	pods := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 {
			pods[f[0]] = f[1]
		}
	}
	if len(pods) == 0 {
		t.Fatalf("no pod of the operator runs:\n%s", out)
	}
	return pods
}

// process is the process of a pod's container, found by its program and by the pod's control group.
func process(t *testing.T, podUID, program string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		folder := filepath.Dir(file)
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(line, []byte(program)) {
			continue // it has ended, or is another program
		}
		group, err := os.ReadFile(filepath.Join(folder, "cgroup"))
		if err == nil && bytes.Contains(group, []byte(podUID)) {
			pid, err := strconv.Atoi(filepath.Base(folder))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("pod %s has no process %s", podUID, program)
	return 0
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatalf("signal %d to process %d: %v", s, pid, err)
	}
}

// killOperator ends the operator as a crash of the machine would: nothing is released.
func killOperator(t *testing.T) {
	t.Helper()
	for _, uid := range operators(t) {
		signal(t, process(t, uid, "/kaito-operator"), syscall.SIGKILL)
	}
}

// restarts is how often the containers of the operator have been started again.
func restarts(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "pods", "-n", system, "-l", "app.kubernetes.io/name=kaito-operator", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}")
}

// freshOperator starts the operator in a new pod: one that was killed before would wait for its next start.
func freshOperator(t *testing.T) {
	t.Helper()
	kubectl(t, "rollout", "restart", "-n", system, "deployment/kaito-operator")
	kubectl(t, "rollout", "status", "-n", system, "deployment/kaito-operator", "--timeout=2m")
}

func TestAWorkspaceIsFinishedAfterTheOperatorWasKilled(t *testing.T) {
	t.Run("before and while the model starts", func(t *testing.T) {
		freshOperator(t)
		first := newWorkspace(t, "killed-starting")
		eventually(t, time.Minute, "the pod is there", func() (string, bool) {
			uid := first.podUID(t)
			return uid, uid != ""
		})
		second := newWorkspace(t, "killed-applied")
		before := restarts(t)
		killOperator(t)
		second.wait(t)
		first.wait(t)
		if after := restarts(t); before == after {
			t.Errorf("the operator was started %s times before and %s after: it has not been killed", before, after)
		}
		first.chats(t)
		second.chats(t)
	})
	t.Run("between its first child and its last", func(t *testing.T) {
		freshOperator(t)
		half := space(t, "killed-half")
		// A quota that leaves no room for a StatefulSet stops the operator after the child before it.
		kubectl(t, "create", "quota", "-n", half, "none", "--hard=count/statefulsets.apps=0")
		eventually(t, time.Minute, "the quota holds", func() (string, bool) {
			out := kubectl(t, "get", "quota", "-n", half, "none", "-o", "jsonpath={.status.hard}")
			return out, strings.Contains(out, "statefulsets")
		})
		w := newWorkspaceIn(t, half, "killed-half")
		eventually(t, time.Minute, "the Workspace says what stands in its way", func() (string, bool) {
			out := w.condition(t, "InferenceReady")
			return out, strings.Contains(out, "False PodRejected: ") && strings.Contains(out, "exceeded quota: none")
		})
		if got := w.declared(t); got["configmap/killed-half-runner"] == nil || got["statefulset/killed-half"] != nil || got["service/killed-half"] != nil {
			t.Fatalf("the Workspace is not half made: %v", got)
		}
		killOperator(t)
		kubectl(t, "delete", "quota", "-n", half, "none")
		w.wait(t)
		w.chats(t)
	})
}

func TestAnotherReplicaTakesOverFromALostLeader(t *testing.T) {
	if err := cluster.helm("--set", "replicas=2"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.helm(); err != nil {
			t.Error(err)
		}
	})
	holder := func() string {
		id := kubectl(t, "get", "lease", "-n", system, "kaito-operator", "-o", "jsonpath={.spec.holderIdentity}")
		pod, _, _ := strings.Cut(strings.TrimSpace(id), "_")
		return pod
	}
	eventually(t, time.Minute, "one of two replicas holds the lease", func() (string, bool) {
		pods, pod := operators(t), holder()
		return fmt.Sprint(pods, pod), len(pods) == 2 && pods[pod] != ""
	})
	leader := holder()
	pid := process(t, operators(t)[leader], "/kaito-operator")
	// A leader that hangs: it neither works nor gives its lease back.
	signal(t, pid, syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	w := newWorkspace(t, "leaderless")
	w.wait(t)
	if now := holder(); now == leader {
		t.Errorf("the lease is still that of %s, which is stopped", leader)
	}
	want := w.declared(t)
	// It wakes up and must not act beside the new one: it finds its lease lost, and ends.
	signal(t, pid, syscall.SIGCONT)
	eventually(t, time.Minute, "the old leader ends", func() (string, bool) {
		err := syscall.Kill(pid, 0)
		return fmt.Sprintf("process %d: %v", pid, err), errors.Is(err, syscall.ESRCH)
	})
	w.back(t, want)
	w.chats(t)
}

// apiServer is the process of the cluster's API server.
func apiServer(t *testing.T) int {
	t.Helper()
	components := where(t).Components
	for _, c := range components {
		if c.Name == "kube-apiserver" && c.PID != 0 {
			return c.PID
		}
	}
	t.Fatalf("no process is the API server's: %v", components)
	return 0
}

func TestAWorkspaceIsFinishedAfterTheAPIServerRestarted(t *testing.T) {
	older := serve(t, "outlives")
	url := older.url(t, "/chat")
	w := newWorkspace(t, "interrupted")
	signal(t, apiServer(t), syscall.SIGKILL)
	if out, err := cluster.command(30*time.Second, "kubectl", "get", "--raw", "/readyz", "--request-timeout=2s"); err == nil {
		t.Errorf("the API server still answers: %s", out)
	}

	// Nothing that answers needs the API server.
	done := make(chan struct{})
	var asking sync.WaitGroup
	var asked int
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			got, err := post(url, `{"prompt":"Hi","generate_kwargs":{"max_new_tokens":1}}`)
			if err != nil || got.status != http.StatusOK {
				t.Errorf("while the API server was away, an answer was %d %q, %v", got.status, got.body, err)
			}
			asked++
		}
	})
	if asked, err := post(url, `{"prompt":"Hi","generate_kwargs":{"max_new_tokens":1}}`); err != nil || asked.status != http.StatusOK {
		t.Errorf("without an API server, an answer is %d %q, %v", asked.status, asked.body, err)
	}
	err := cluster.up()
	close(done)
	asking.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if asked == 0 {
		t.Error("nothing was asked while the API server was away")
	}
	w.wait(t)
	w.chats(t)
}
