package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
)

// programs are the runner and the stand-in, built.
func programs(t *testing.T) (runner, engine string) {
	t.Helper()
	folder := t.TempDir()
	build := exec.Command("go", "build", "-o", folder, "kaito.sh/kaito/cmd/kaito-runner", "kaito.sh/kaito/test/standins/vllm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(folder, "kaito-runner"), filepath.Join(folder, "vllm")
}

// pods are those of two nodes, as processes.
type pods struct {
	t      *testing.T
	runner string
	file   string
	http   [2]string
}

// output is what a program says, while it still says it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// pod is a container of a pod: the runner with its engine.
type pod struct {
	cmd   *exec.Cmd
	out   *output
	end   string
	ended chan error
}

func (p *pods) start(place int) *pod {
	p.t.Helper()
	one := &pod{out: &output{}, end: filepath.Join(p.t.TempDir(), "end.json"), ended: make(chan error, 1)}
	one.cmd = exec.Command(p.runner, "serve", "--config", p.file, "--listen", "127.0.0.1:"+p.http[place], "--termination-log", one.end, "--grace", "0s")
	one.cmd.Env = append(os.Environ(), contract.PlaceVar+"="+strconv.Itoa(place))
	one.cmd.Stdout, one.cmd.Stderr = one.out, one.out
	if err := one.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { one.ended <- one.cmd.Wait() }()
	p.t.Cleanup(func() { _ = one.cmd.Process.Kill() })
	return one
}

// ask is the status and the body of a path of a pod.
func (p *pods) ask(place int, path, body string) (int, string) {
	do := func() (*http.Response, error) { return http.Get("http://127.0.0.1:" + p.http[place] + path) }
	if body != "" {
		do = func() (*http.Response, error) {
			return http.Post("http://127.0.0.1:"+p.http[place]+path, "application/json", strings.NewReader(body))
		}
	}
	resp, err := do()
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func (p *pods) until(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	p.t.Fatalf("not within two minutes: %s", what)
}

// The programs as they stand in pods: the runners of two nodes with their engines, which meet
// at the leader's address. /chat answers once the follower has joined, and not before; the
// loss of the follower's engine ends both, and both come back.
func TestTwoNodesFromTheContractToAnAnswer(t *testing.T) {
	t.Parallel()
	runner, engine := programs(t)
	model, meet, hear, api := folder(t, "LlamaForCausalLM"), free(t), free(t), free(t)
	port, _ := strconv.Atoi(hear)
	data, err := json.Marshal(contract.Serve{
		APIVersion: contract.Version, Workspace: "wide", Model: contract.Model{ID: "tiny", Context: 100},
		Engine: contract.Engine{
			Name: "vllm", URL: "http://127.0.0.1:" + api, HealthPath: "/health", Files: []string{filepath.Join(model, "config.json")},
			Command: []string{
				engine, "serve", model, "--host", "127.0.0.1", "--port", api, "--served-model-name", "tiny", "--nnodes", "2", "--pipeline-parallel-size", "2",
				"--master-port", meet, "--distributed-executor-backend", "mp", "--shutdown-timeout", "5",
			},
		},
		Group:  &contract.Group{Size: 2, Leader: "127.0.0.1", Port: port, MasterFlag: "--master-addr", PlaceFlag: "--node-rank", FollowerArgs: []string{"--headless"}},
		Limits: contract.Limits{DrainSeconds: 5},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &pods{t: t, runner: runner, file: filepath.Join(t.TempDir(), "runner.json"), http: [2]string{free(t), free(t)}}
	if err := os.WriteFile(p.file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	leader := p.start(0)
	p.until("the leader waits for the follower", func() bool { _, body := p.ask(0, "/health", ""); return strings.Contains(body, `"gathering"`) })
	if code, body := p.ask(0, "/chat", `{"prompt": "hello"}`); code != http.StatusServiceUnavailable {
		t.Errorf("/chat before the follower has joined is %d: %s", code, body)
	}
	follower := p.start(1)
	answers := func() bool {
		code, body := p.ask(0, "/chat", `{"prompt": "hello"}`)
		return code == http.StatusOK && strings.Contains(body, "stand-in for vLLM")
	}
	p.until("the leader answers", answers)
	if code, body := p.ask(1, "/chat", `{"prompt": "hello"}`); code != http.StatusServiceUnavailable || !strings.Contains(body, "ask the Service") {
		t.Errorf("/chat of the follower is %d: %s", code, body)
	}

	// The follower's container is killed, as for memory, with all that runs in it.
	lost := follower.cmd.Process.Pid
	if out, err := exec.Command("pkill", "-KILL", "-P", strconv.Itoa(lost)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	<-follower.ended
	if err := <-leader.ended; err == nil {
		t.Errorf("the leader ends as if nothing was:\n%s", leader.out)
	}
	if text, err := os.ReadFile(leader.end); err != nil || !strings.Contains(string(text), "GroupBroken") && !strings.Contains(string(text), "EngineExited") {
		t.Errorf("the leader says %s, %v", text, err)
	}
	leader, follower = p.start(0), p.start(1)
	p.until("the leader answers again", answers)
	for _, one := range []*pod{follower, leader} {
		if err := one.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-leader.ended; err != nil {
		t.Errorf("the leader stops with %v:\n%s", err, leader.out)
	}
	if err := <-follower.ended; err != nil {
		t.Errorf("the follower stops with %v:\n%s", err, follower.out)
	}
}
