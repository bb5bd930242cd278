package refusal_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/refusal"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		shape   refusal.Shape
		refusal *refusal.Refusal
		status  int
		body    string
		headers map[string]string
	}{
		"overload has the reference's body and says when to come again": {
			refusal.OpenAI, refusal.Overload(2), http.StatusTooManyRequests,
			`{"error":{"message":"Too many requests: 2 are in flight here; try again later","type":"requests","param":null,"code":"rate_limit_exceeded"}}`,
			map[string]string{"Retry-After": "1"},
		},
		"overload of /chat has the same body": {
			refusal.Detail, refusal.Overload(2), http.StatusTooManyRequests,
			`{"error":{"message":"Too many requests: 2 are in flight here; try again later","type":"requests","param":null,"code":"rate_limit_exceeded"}}`,
			map[string]string{"Retry-After": "1"},
		},
		"an unknown model lists those that are served": {
			refusal.OpenAI, refusal.UnknownModel("gpt<4", []string{"a", "b"}), http.StatusNotFound,
			`{"error":{"message":"The model ` + "`gpt<4`" + ` does not exist here; served: a, b","type":"invalid_request_error","param":"model","code":"model_not_found"}}`,
			nil,
		},
		"a missing prompt has the reference's body": {
			refusal.Detail, refusal.BadRequest("prompt", "Text generation parameter prompt required"), http.StatusBadRequest,
			`{"detail":"Text generation parameter prompt required"}`, nil,
		},
		"a wrong method names the right one": {
			refusal.Detail, refusal.Method("POST"), http.StatusMethodNotAllowed,
			`{"detail":"Method Not Allowed; use POST"}`,
			map[string]string{"Allow": "POST"},
		},
		"a stopping pod closes the connection": {
			refusal.OpenAI, refusal.Stopping(), http.StatusServiceUnavailable,
			`{"error":{"message":"This pod is stopping; try again","type":"server_error","param":null,"code":"stopping"}}`,
			map[string]string{"Connection": "close", "Retry-After": "1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			tc.shape(w, tc.refusal)
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			if diff := cmp.Diff(tc.body, strings.TrimSpace(w.Body.String())); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			for k, v := range tc.headers {
				if got := w.Header().Get(k); got != v {
					t.Errorf("header %s = %q, want %q", k, got, v)
				}
			}
		})
	}
}
