package armemulator_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aks "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/google/go-cmp/cmp"
	testclock "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/armemulator"
)

func TestTheStateOutlivesARestart(t *testing.T) {
	t.Parallel()
	clock := testclock.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	o := armemulator.Options{Store: armemulator.FileStore(filepath.Join(t.TempDir(), "state.json")), Clock: clock}
	first := start(t, o)
	first.clock = clock
	first.created("kdone", gpuPool())
	first.Machines.Hold()
	creation, err := first.put("kgoes", gpuPool())
	if err != nil {
		t.Fatal(err)
	}
	first.SetQuotas(armemulator.Quotas{Regional: to.Ptr(48)})

	second := start(t, o)
	second.clock = clock
	text := func(a *azure) string {
		data, err := json.MarshalIndent(a.Pools(), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if diff := cmp.Diff(text(first), text(second)); diff != "" {
		t.Errorf("pools (-before +after):\n%s", diff)
	}
	if n := second.Counts(); n.Accepted["put"] != 2 {
		t.Errorf("counted %+v", n)
	}
	_, err = second.put("kmore", gpuPool())
	if code, _ := refused(t, err); code != "ErrCode_InsufficientVCPUQuota" {
		t.Errorf("a quota was forgotten: %s", code)
	}
	clock.Step(time.Minute)
	token, err := creation.ResumeToken()
	if err != nil {
		t.Fatal(err)
	}
	if token = string(bytes.ReplaceAll([]byte(token), []byte(first.URL), []byte(second.URL))); token == "" {
		t.Fatal("no token")
	}
	again, err := second.pools.BeginCreateOrUpdate(t.Context(), group, cluster, "kgoes", aks.AgentPool{}, &aks.AgentPoolsClientBeginCreateOrUpdateOptions{ResumeToken: token})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := finished(t.Context(), again); err != nil {
		t.Error(err)
	}
	if m := second.Machines.There(); len(m) != 1 || m[0].Pool != "kgoes" {
		t.Errorf("what was under way goes on: machines %v", m)
	}
}

func TestADamagedStateIsRefused(t *testing.T) {
	t.Parallel()
	store := armemulator.FileStore(filepath.Join(t.TempDir(), "state.json"))
	if err := store.Save([]byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := armemulator.New(armemulator.Options{Subscription: "s", Group: "g", Cluster: "c", Region: "r", Store: store}); err == nil {
		t.Error("accepted")
	}
	if _, err := armemulator.New(armemulator.Options{}); err == nil {
		t.Error("no names: accepted")
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	a.created("kabc", gpuPool())
	server := httptest.NewServer(a.Control())
	defer server.Close()
	ask := func(method, path, body string) (string, int) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(data), resp.StatusCode
	}
	for _, step := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/counts", "", 200, `"put":1`},
		{"GET", "/pools", "", 200, `"name":"kabc"`},
		{"GET", "/messages", "", 200, `"sku-not-available"`},
		{"POST", "/faults", `[{"on":"put","do":"fail","say":"sku-not-available"}]`, 204, ""},
		{"GET", "/faults", "", 200, `"do":"fail"`},
		{"POST", "/faults", `[{"do":"explode"}]`, 400, "explode"},
		{"DELETE", "/faults", "", 204, ""},
		{"GET", "/faults", "", 200, "[]"},
		{"PUT", "/quotas", `{"families":{"StandardNCADSA100v4Family":24}}`, 204, ""},
		{"PUT", "/quotas", `{"familys":{}}`, 400, "familys"},
		{"GET", "/quotas", "", 200, `"StandardNCADSA100v4Family":24`},
		{"GET", "/nothing", "", 404, ""},
	} {
		if got, status := ask(step.method, step.path, step.body); status != step.status || !bytes.Contains([]byte(got), []byte(step.says)) {
			t.Errorf("%s %s: %d %s", step.method, step.path, status, got)
		}
	}
	_, err := a.put("kmore", gpuPool())
	if code, _ := refused(t, err); code != "ErrCode_InsufficientVCPUQuota" {
		t.Errorf("the quota is not in force: %s", code)
	}
}
