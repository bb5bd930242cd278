package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/runner/contract"
)

const (
	workspace   = "smollm2"
	tokensAsked = 64 // a request
)

// runnerTokens compares tokens a second through the Service of a Workspace with those of
// the same llama-server in a pod of its own with the same resources, on the other of two
// nodes: one has no room for both, and they are the same machine.
// Only one of them works at a time.
func runnerTokens(ctx context.Context, o options) ([]result, error) {
	c, err := startCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	out, err := c.tokens(ctx, o)
	return out, errors.Join(err, c.stop(ctx))
}

func (c *localCluster) tokens(ctx context.Context, o options) ([]result, error) {
	if _, err := c.tool(ctx, "", "kubectl", "apply", "-f", "examples/inference/smollm2.yaml"); err != nil {
		return nil, err
	}
	if _, err := c.tool(ctx, "", "kubectl", "wait", "--for=condition=WorkspaceReady", "--timeout=5m", "workspace/"+workspace); err != nil {
		return nil, err
	}
	service, err := c.tool(ctx, "", "kubectl", "get", "service", workspace, "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return nil, err
	}
	alone, model, err := c.engineAlone(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		"model": model, "stream": true, "stream_options": map[string]bool{"include_usage": true},
		"messages":   []map[string]string{{"role": "user", "content": "Tell me a long story about a lighthouse."}},
		"max_tokens": tokensAsked, "temperature": 0, "ignore_eos": true, "cache_prompt": false,
	})
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	at := func(address string) func() (float64, error) {
		// llama-server closes the connection behind a stream without a word.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		a := asker{now: o.now, url: "http://" + address + "/v1/chat/completions", body: body, http: client}
		return func() (float64, error) { return a.rate(ctx, o.span/rounds) }
	}
	// The engine alone stands on two sides: how far it is from itself is what the machine does.
	got, err := turns(at(alone), at(service), at(alone))
	if err != nil {
		return nil, err
	}
	given := map[string]string{
		"model": model, "alone": "llama-server in a pod of its own, same image, argv and resources, on the other node of the same machine, by its address",
		"through": "the Service of the Workspace, from the node's machine", "request": strconv.Itoa(tokensAsked) + " tokens, streamed, one at a time",
		"rounds": strconv.Itoa(rounds), "span": (o.span / rounds).String() + " a round and side",
	}
	against := func(side int) func(int) float64 { return func(i int) float64 { return got[side][i] / got[0][i] } }
	var out []result
	for _, f := range []struct {
		name, unit string
		value      float64
	}{
		{"llama-server alone", "tokens/s", median(func(i int) float64 { return got[0][i] })},
		{"through the Service", "tokens/s", median(func(i int) float64 { return got[1][i] })},
		{"tokens/s through the Service against alone", "x", median(against(1))},
		{"the same, lower quartile of the rounds", "x", quantile(against(1), 0.25)},
		{"the same, upper quartile of the rounds", "x", quantile(against(1), 0.75)},
		{"llama-server alone against itself, lower quartile", "x", quantile(against(2), 0.25)},
		{"llama-server alone against itself, upper quartile", "x", quantile(against(2), 0.75)},
	} {
		out = append(out, result{Name: f.name, Value: f.value, Unit: f.unit, Conditions: given})
	}
	return out, nil
}

// engineAlone starts the engine of the Workspace's pod without a runner, and returns its
// address and the model's name.
func (c *localCluster) engineAlone(ctx context.Context) (address, model string, err error) {
	raw, err := c.tool(ctx, "", "kubectl", "get", "configmap", workspace+"-runner", "-o", `jsonpath={.data.runner\.json}`)
	if err != nil {
		return "", "", err
	}
	said, err := contract.Parse([]byte(raw))
	if err != nil {
		return "", "", fmt.Errorf("read the runner's contract: %w", err)
	}
	raw, err = c.tool(ctx, "", "kubectl", "get", "pod", workspace+"-0", "-o", "json")
	if err != nil {
		return "", "", err
	}
	var serving corev1.Pod
	if err := json.Unmarshal([]byte(raw), &serving); err != nil {
		return "", "", fmt.Errorf("read the pod: %w", err)
	}
	const name = "llama-server-alone"
	bare := bareEngine(name, &serving, said.Engine)
	if bare.Spec.NodeName, err = c.tool(ctx, "", "kubectl", "get", "nodes", "-o",
		`jsonpath={.items[?(@.metadata.name!="`+serving.Spec.NodeName+`")].metadata.name}`); err != nil {
		return "", "", err
	}
	pod, err := json.Marshal(bare)
	if err != nil {
		return "", "", fmt.Errorf("write the pod: %w", err)
	}
	if _, err := c.tool(ctx, string(pod), "kubectl", "apply", "-f", "-"); err != nil {
		return "", "", err
	}
	if _, err := c.tool(ctx, "", "kubectl", "wait", "--for=condition=Ready", "--timeout=2m", "pod/"+name); err != nil {
		about, _ := c.tool(ctx, "", "kubectl", "describe", "pod", name)
		log, _ := c.tool(ctx, "", "kubectl", "logs", name, "--tail=20")
		return "", "", fmt.Errorf("%w\n%s%s", err, about, log)
	}
	ip, err := c.tool(ctx, "", "kubectl", "get", "pod", name, "-o", "jsonpath={.status.podIP}")
	return ip + ":" + strconv.Itoa(contract.EnginePort), said.Model.ID, err
}

// bareEngine is the pod that serves, without the runner: the engine listens for all itself.
func bareEngine(name string, serving *corev1.Pod, e contract.Engine) *corev1.Pod {
	engine := *serving.Spec.Containers[0].DeepCopy()
	engine.Command = append([]string(nil), e.Command...)
	for i, arg := range engine.Command {
		if i > 0 && engine.Command[i-1] == "--host" && arg == "127.0.0.1" {
			engine.Command[i] = "0.0.0.0"
		}
	}
	for _, v := range e.Env {
		engine.Env = append(engine.Env, corev1.EnvVar{Name: v.Name, Value: v.Value})
	}
	engine.StartupProbe, engine.LivenessProbe = nil, nil
	engine.ReadinessProbe = serving.Spec.Containers[0].ReadinessProbe.DeepCopy()
	engine.ReadinessProbe.HTTPGet.Path = e.HealthPath
	engine.ReadinessProbe.HTTPGet.Port.IntVal = contract.EnginePort
	spec := corev1.PodSpec{
		Containers: []corev1.Container{engine}, Volumes: serving.Spec.Volumes,
		SecurityContext: serving.Spec.SecurityContext, EnableServiceLinks: serving.Spec.EnableServiceLinks,
		AutomountServiceAccountToken: serving.Spec.AutomountServiceAccountToken,
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: serving.Namespace}, Spec: spec,
	}
}

// asker asks one server for streamed answers, one after the other.
type asker struct {
	now  func() time.Time
	url  string
	body []byte
	http *http.Client
}

// rate asks for span, once at least, and returns tokens a second.
func (a asker) rate(ctx context.Context, span time.Duration) (float64, error) {
	begin, tokens := a.now(), 0
	for {
		n, err := a.ask(ctx)
		if err != nil {
			return 0, err
		}
		tokens += n
		if took := a.now().Sub(begin); took >= span {
			return float64(tokens) / took.Seconds(), nil
		}
	}
}

// ask asks once and returns how many tokens came.
func (a asker) ask(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(a.body))
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", a.url, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", a.url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("read the answer of %s: %w", a.url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answered %s: %s", a.url, resp.Status, answer)
	}
	return usage(answer)
}

// usage is the number of tokens that a stream tells in its last event but one.
func usage(stream []byte) (int, error) {
	for line := range bytes.Lines(stream) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !ok || string(data) == "[DONE]" {
			continue
		}
		var event struct {
			Usage *struct {
				Tokens int `json:"completion_tokens"`
			} `json:"usage"`
		}
		if err := json.Unmarshal(data, &event); err != nil {
			return 0, fmt.Errorf("read the stream: %w", err)
		}
		if event.Usage != nil && event.Usage.Tokens > 0 {
			return event.Usage.Tokens, nil
		}
	}
	return 0, fmt.Errorf("the stream does not tell how many tokens it has: %.300s", stream)
}
