package armemulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/armemulator"
)

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kid":"a","kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kid":"a","kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := armemulator.ParseKeySet(data)
		if err == nil && keys == nil {
			t.Error("neither keys nor an error")
		}
	})
}

// Whatever is asked is answered with JSON, and never with success where it means nothing.
func FuzzCalls(f *testing.F) {
	const cluster = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"
	f.Add("PUT", cluster+"/agentPools/ka", `{"properties":{"vmSize":"Standard_NC24ads_A100_v4"}}`)
	f.Add("PUT", cluster+"/agentPools/ka", `{"properties":{"nodeTaints":[":="],"tags":null,"count":-1}}`)
	f.Add("PUT", cluster+"/agentPools/ka", `null`)
	f.Add("POST", cluster+"/agentPools/ka/deleteMachines", `{"machineNames":[""]}`)
	f.Add("GET", "/subscriptions/s/providers/Microsoft.ContainerService/locations/r/operations/x", "")
	f.Add("GET", "/subscriptions//resourceGroups", "")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		e, err := armemulator.New(armemulator.Options{Subscription: "s", Group: "g", Cluster: "c", Region: "r"})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://arm.local"+path, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") {
			t.Skip("no request at all")
		}
		query := r.URL.Query()
		query.Set("api-version", "2025-02-01")
		r.URL.RawQuery = query.Encode()
		r.Header.Set("Authorization", "Bearer x")
		out := httptest.NewRecorder()
		e.Handler().ServeHTTP(out, r)
		redirect := out.Code == http.StatusTemporaryRedirect || out.Code == http.StatusMovedPermanently
		if out.Body.Len() > 0 && !redirect && !json.Valid(out.Body.Bytes()) || out.Code >= 500 {
			t.Errorf("%d %s", out.Code, out.Body)
		}
	})
}
