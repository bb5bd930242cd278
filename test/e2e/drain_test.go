package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// asking is one way to ask for tokens, and what a whole answer to it is.
type asking struct {
	path, body string
	whole      func(a answer, tokens int) error
}

func askings(tokens int) []asking {
	chat := fmt.Sprintf(`"model":%q,"messages":[{"role":"user","content":"Count"}],"max_tokens":%d,"ignore_eos":true`, model, tokens)
	return []asking{
		{"/v1/chat/completions", `{` + chat + `}`, wholeCompletion},
		{"/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true},` + chat + `}`, wholeStream},
		{"/chat", fmt.Sprintf(`{"prompt":"Count","return_full_text":false,"generate_kwargs":{"max_new_tokens":%d}}`, tokens), wholeResult},
	}
}

// completion is an answer of the OpenAI API, whole or one piece of it.
type completion struct {
	Choices []struct {
		Finish string `json:"finish_reason"`
	}
	Usage struct {
		Tokens int `json:"completion_tokens"`
	}
}

func wholeCompletion(a answer, tokens int) error {
	var c completion
	if err := json.Unmarshal([]byte(a.body), &c); err != nil {
		return err
	}
	if len(c.Choices) != 1 || c.Choices[0].Finish != "length" || c.Usage.Tokens != tokens {
		return fmt.Errorf("it is not %d tokens long", tokens)
	}
	return nil
}

func wholeStream(a answer, tokens int) error {
	events := strings.Split(strings.TrimSpace(a.body), "\n\n")
	if events[len(events)-1] != "data: [DONE]" {
		return fmt.Errorf("it does not end with [DONE]")
	}
	finish, counted := "", 0
	for _, event := range events[:len(events)-1] {
		var c completion
		if err := json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &c); err != nil {
			return fmt.Errorf("event %q: %w", event, err)
		}
		if len(c.Choices) > 0 && c.Choices[0].Finish != "" {
			finish = c.Choices[0].Finish
		}
		counted = max(counted, c.Usage.Tokens)
	}
	if finish != "length" || counted != tokens {
		return fmt.Errorf("it has %d tokens, want %d, and ends for %q", counted, tokens, finish)
	}
	return nil
}

func wholeResult(a answer, _ int) error {
	var r struct{ Result string }
	if err := json.Unmarshal([]byte(a.body), &r); err != nil {
		return err
	}
	if r.Result == "" {
		return fmt.Errorf("it is empty")
	}
	return nil
}

// lasting is how many tokens an answer must have so that as many answers as are asked for
// take about 15 s together: longer than the grace of a stop (5 s), and far from its limit
// (60 s) should the machine become slower meanwhile.
func lasting(t *testing.T, url string, answers int) int {
	t.Helper()
	const sample = 100
	way := askings(sample)[0]
	begin := time.Now()
	got, err := post(url+way.path, way.body)
	if err != nil || way.whole(got, sample) != nil {
		t.Fatalf("the answer is %d %q, %v", got.status, got.body, err)
	}
	n := sample * 15 * float64(time.Second) / float64(answers) / float64(time.Since(begin))
	return max(2, int(n))
}

// inFlight is how many requests the pod works on or holds.
func inFlight(t *testing.T, url string) int {
	t.Helper()
	page, err := get(url)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^kaito_requests_in_flight (\d+)$`).FindStringSubmatch(page.body)
	if found == nil {
		t.Fatalf("no kaito_requests_in_flight in %q", page.body)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// clients speak to the API server without a program in between, for what must happen at once.
func clients(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cluster.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestSixtyRequestsInFlightOutliveTheirPod(t *testing.T) {
	const all = 60
	w := serve(t, "drained")
	url, old := w.url(t, ""), w.podUID(t)

	tokens := lasting(t, url, all)
	t.Logf("each answer has %d tokens", tokens)

	// Each client asks again and again until the pod is deleted, so that all are in flight at that moment.
	var asked sync.WaitGroup
	var left atomic.Int32
	var deleted atomic.Bool
	left.Store(all)
	ways := askings(tokens)
	for i := range all {
		asked.Go(func() {
			defer left.Add(-1)
			way := ways[i%len(ways)]
			for !deleted.Load() {
				got, err := post(url+way.path, way.body)
				if err == nil && got.status != http.StatusOK {
					err = fmt.Errorf("the status is %d", got.status)
				}
				if err == nil {
					err = way.whole(got, tokens)
				}
				if err != nil {
					t.Errorf("a request to %s was cut: %v: %q", way.path, err, got.body)
					return
				}
			}
		})
	}
	defer deleted.Store(true)
	eventually(t, time.Minute, "all requests are in flight", func() (string, bool) {
		n := inFlight(t, url+"/metrics")
		return strconv.Itoa(n), n == all
	})
	if err := clients(t).CoreV1().Pods(w.namespace).Delete(t.Context(), w.name+"-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted.Store(true)
	if n := left.Load(); n < all {
		t.Fatalf("%d of %d requests were in flight when the pod was deleted", n, all)
	}

	// Strangers come while the old pod finishes. Those of the last few answers are not looked
	// at: the port closes with the last one.
	var refused atomic.Int32
	done := make(chan struct{})
	var strangers sync.WaitGroup
	strangers.Go(func() {
		for tick := time.NewTicker(500 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			strangers.Go(func() {
				got, err := post(url+"/v1/chat/completions", fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Hi"}],"max_tokens":1}`, model))
				if left.Load() < 4 {
					return
				}
				if err != nil {
					t.Errorf("a new request, with %d in flight: %v", left.Load(), err)
					return
				}
				if wrong := newcomer(got); wrong != "" {
					t.Errorf("a new request, with %d in flight: %s: %d %v %q", left.Load(), wrong, got.status, got.header, got.body)
				}
				if got.status == http.StatusServiceUnavailable {
					refused.Add(1)
				}
			})
		}
	})
	asked.Wait()
	close(done)
	strangers.Wait()
	if refused.Load() == 0 {
		t.Error("no new request was answered 503: the old pod had ended before its grace")
	}
	w.answers(t, old)
}

// newcomer says what is wrong with an answer to a request that came while the pod was
// stopping: it may be taken, or told in our words to come again.
func newcomer(a answer) string {
	var body struct {
		Error struct{ Code, Message string }
	}
	codes := map[int]string{http.StatusServiceUnavailable: "stopping", http.StatusTooManyRequests: "rate_limit_exceeded"}
	want, known := codes[a.status]
	switch {
	case a.status == http.StatusOK:
		return ""
	case !known:
		return "this status is no answer to a request that comes late"
	case json.Unmarshal([]byte(a.body), &body) != nil || body.Error.Code != want || body.Error.Message == "":
		return "the body does not say " + want
	case a.header.Get("Retry-After") == "":
		return "there is no Retry-After"
	}
	return ""
}
