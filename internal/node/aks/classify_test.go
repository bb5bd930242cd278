package aks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/google/go-cmp/cmp"
	testclock "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/aks"
	"kaito.sh/kaito/internal/node/nodetest"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// fixture is an answer of Azure's as people met it, and what it means. Wants are by hand;
// the words that are made of it are in meanings.golden.
type fixture struct {
	Name       string `json:"name"`
	Source     string `json:"source"`
	Status     int    `json:"status"`
	Body       string `json:"body"`
	RetryAfter string `json:"retryAfter"`
	// Offer is the type that was asked for.
	Offer string `json:"offer"`
	Want  struct {
		Class node.Class `json:"class"`
		Zero  bool       `json:"zero"`
	} `json:"want"`
}

// answered is the error that Azure's client makes of an answer.
func answered(status int, header http.Header, body []byte) error {
	return runtime.NewResponseError(&http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: header, Body: io.NopCloser(bytes.NewReader(body)),
	})
}

// plain is a provider that is never called.
func plain(t testing.TB) *aks.Provider {
	t.Helper()
	p, err := aks.New(aks.Options{
		Subscription: armemulatortest.Subscription, Group: "models", Cluster: "gpu", Credential: nobody{}, Clock: testclock.NewFakeClock(time.Unix(0, 0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRealAnswersAreUnderstood(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("testdata", "errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []fixture
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	p := plain(t)
	var words strings.Builder
	for _, f := range all {
		header := http.Header{}
		if f.RetryAfter != "" {
			header.Set("Retry-After", f.RetryAfter)
		}
		e := p.Understand(answered(f.Status, header, []byte(f.Body)), node.Offer{InstanceType: f.Offer})
		if e.Class != f.Want.Class || e.Zero != f.Want.Zero {
			t.Errorf("%s: understood as %s (zero %v), want %s (zero %v)", f.Name, e.Class, e.Zero, f.Want.Class, f.Want.Zero)
		}
		if wait := fmt.Sprint(e.RetryAfter.Seconds()); f.RetryAfter != "" && wait != f.RetryAfter {
			t.Errorf("%s: the wait is %s s, want %s s", f.Name, wait, f.RetryAfter)
		}
		fmt.Fprintf(&words, "%s\n  %s %s\n  %s\n", f.Name, e.Class, e.Code, e.Message)
		if e.Fix != "" {
			fmt.Fprintf(&words, "  -> %s\n", e.Fix)
		}
	}
	golden := filepath.Join("testdata", "meanings.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(words.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), words.String()); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
}

func TestTheEmulatorsWordsAreUnderstood(t *testing.T) {
	t.Parallel()
	messages, err := armemulator.Messages()
	if err != nil {
		t.Fatal(err)
	}
	want := map[node.Class][]string{
		node.Auth:     {"no-token", "invalid-token", "expired-token", "wrong-audience", "forbidden"},
		node.NotFound: {"subscription-not-found", "group-not-found", "cluster-not-found", "no-such-type", "operation-not-found", "pool-not-found", "machine-not-found"},
		node.Invalid: {
			"missing-api-version", "invalid-api-version", "pool-name", "parameter", "body", "immutable", "count",
		},
		node.Throttled:      {"throttled"},
		node.Transient:      {"internal", "bad-gateway", "unavailable", "gateway-timeout", "boot-failed", "remove-failed"},
		node.Conflict:       {"busy", "busy-cluster", "nothing-to-abort", "stale-etag", "no-resource-for-etag", "exists", "canceled"},
		node.Quota:          {"pool-limit", "quota-family", "quota-region", "quota-spot", "quota-family-compute", "quota-region-compute"},
		node.SKUUnavailable: {"size-not-supported", "size-retired", "size-not-allowed", "sku-not-available", "sku-not-available-zones", "zone-not-supported"},
		node.Capacity:       {"allocation-failed", "zonal-allocation-failed", "overconstrained-zonal"},
	}
	p := plain(t)
	for name, m := range messages {
		body, err := json.Marshal(map[string]any{"error": map[string]string{"code": m.Code, "message": m.Text}})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Classify(answered(m.Status, http.Header{}, body)).Class; !slices.Contains(want[got], name) {
			t.Errorf("%s is understood as %s", name, got)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		`{"error":{"code":"OperationNotAllowed","message":"exceeding approved X Cores quota. Current Limit: 0"}}`,
		`{"code":"BadRequest","details":[{"code":"QuotaExceeded"}],"message":"in progress"}`,
		`{"status":"Failed","error":{"innererror":{"internalErrorCode":"TooManyRequestsReceived"}}}`,
		`{"error":"text"}`, `[]`, `<Code>x</Code>`, "", "\xff",
	} {
		f.Add(409, "SkuNotAvailable", "7", []byte(body))
	}
	f.Add(0, "\x80", "-1", []byte("exceeding approved \x80\x81 cores quota"))
	p := plain(f)
	f.Fuzz(func(t *testing.T, status int, code, wait string, body []byte) {
		header := http.Header{}
		header.Set("x-ms-error-code", code)
		header.Set("Retry-After", wait)
		for _, err := range []error{answered(status, header, body), answered(status, http.Header{}, body), errors.New(string(body))} {
			e := p.Classify(err)
			if !slices.Contains(nodetest.Classes(), e.Class) || e.Message == "" {
				t.Errorf("understood as %+v", e)
			}
			if !utf8.ValidString(e.Message+e.Fix) || strings.ContainsAny(e.Message, "\n\r") || len(e.Message) > 700 {
				t.Errorf("the message %q is not fit for a condition", e.Message)
			}
			if e.RetryAfter < 0 || e.RetryAfter > time.Hour {
				t.Errorf("the wait is %s", e.RetryAfter)
			}
			if again := p.Classify(err); again.Message != e.Message || again.Class != e.Class || again.Fix != e.Fix {
				t.Errorf("understood differently again: %+v, %+v", e, again)
			}
		}
	})
}
