package armemulator_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/armemulator"
)

// Whatever is asked in whatever order: each pool has the machines that it counts, and
// nothing is left when all pools are gone.
func TestNoOrderOfCallsLosesAMachine(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 300 {
				w.step()
			}
			w.machines.Release()
			w.e.ClearFaults()
			for round := 0; len(w.e.Pools()) > 0; round++ {
				if round > 20 {
					t.Fatalf("%d pools do not go", len(w.e.Pools()))
				}
				w.clock.Step(time.Hour)
				for _, p := range w.e.Pools() {
					name := fmt.Sprint(p["name"])
					if w.call(http.MethodDelete, name, "") == http.StatusConflict {
						w.call(http.MethodPost, name+"/abort", "")
					}
				}
			}
			if left := w.machines.There(); len(left) != 0 {
				t.Errorf("machines are left: %v", left)
			}
		})
	}
}

type world struct {
	t        *testing.T
	chance   *rand.Rand
	clock    *testclock.FakeClock
	machines *armemulator.Memory
	e        *armemulator.Emulator
	handler  http.Handler
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, chance: rand.New(rand.NewPCG(seed, 1)), clock: testclock.NewFakeClock(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)),
		machines: armemulator.NewMemory(),
	}
	e, err := armemulator.New(armemulator.Options{
		Subscription: "s", Group: "g", Cluster: "c", Region: "r", Clock: w.clock, Pace: time.Minute, Machines: w.machines,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.e, w.handler = e, e.Handler()
	return w
}

func (w *world) call(method, path, body string) int {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method,
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c/agentPools/"+path+"?api-version=2025-02-01", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	if out.Code >= 500 && !strings.Contains(out.Body.String(), "InternalServerError") || out.Body.Len() > 0 && !json.Valid(out.Body.Bytes()) {
		w.t.Errorf("%s %s: %d %s", method, path, out.Code, out.Body)
	}
	return out.Code
}

func (w *world) step() {
	name := fmt.Sprintf("k%d", w.chance.IntN(4))
	switch w.chance.IntN(12) {
	case 0, 1, 2:
		w.call(http.MethodPut, name, fmt.Sprintf(`{"properties": {"vmSize": "Standard_NC24ads_A100_v4", "count": %d}}`, w.chance.IntN(4)))
	case 3:
		w.call(http.MethodDelete, name, "")
	case 4:
		w.call(http.MethodPost, name+"/abort", "")
	case 5:
		w.call(http.MethodPost, name+"/deleteMachines", fmt.Sprintf(`{"machineNames": [%q]}`, w.oneMachine()))
	case 6, 7, 8:
		w.clock.Step(time.Duration(w.chance.IntN(90)) * time.Second)
	case 9:
		w.machines.Hold()
	case 10:
		w.machines.Release()
	default:
		do := []string{armemulator.DoFail, armemulator.DoStuck, armemulator.DoRefuse, armemulator.DoRefuseAfter, armemulator.DoNoNode}
		if err := w.e.Inject(armemulator.Fault{Do: do[w.chance.IntN(len(do))], Say: "internal"}); err != nil {
			w.t.Error(err)
		}
	}
	w.check()
}

func (w *world) oneMachine() string {
	there := w.machines.There()
	if len(there) == 0 {
		return "none"
	}
	return there[w.chance.IntN(len(there))].Node
}

// check compares each settled pool with what is there of it.
func (w *world) check() {
	w.t.Helper()
	have := map[string]int{}
	for _, m := range w.machines.There() {
		have[m.Pool]++
	}
	for _, p := range w.e.Pools() {
		properties, _ := p["properties"].(map[string]any)
		name, count := fmt.Sprint(p["name"]), properties["count"].(int)
		if properties["provisioningState"] == "Succeeded" && have[name] > count {
			w.t.Fatalf("pool %s has %d machines of %d", name, have[name], count)
		}
		delete(have, name)
	}
	if len(have) > 0 {
		w.t.Fatalf("machines without a pool: %v", have)
	}
}
