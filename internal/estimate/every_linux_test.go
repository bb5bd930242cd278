package estimate_test

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

// cpuTime is the processor time of this thread.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// machines are all instance types, each as a node with enough of what its row does not say.
func machines(t *testing.T) []model.NodeShape {
	t.Helper()
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	var nodes []model.NodeShape
	for _, cloud := range []string{"arc", "aws", "azure"} {
		for _, name := range types.Names(cloud) {
			one, _ := types.Lookup(name)
			node := model.NodeShape{Name: name, CPU: 64 * model.Core, Memory: 512 * model.GiB, GPUs: one.Shape()}
			if one.CPUs > 0 {
				node.CPU = model.MilliCPU(one.CPUs) * model.Core
			}
			if one.RAMGiB > 0 {
				node.Memory = model.Bytes(one.RAMGiB * float64(model.GiB))
			}
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// Every model on every instance type is a plan that holds it, or a refusal that says what is
// missing. The processor time is printed and judges nothing.
func TestEveryModelOnEveryInstanceType(t *testing.T) {
	t.Parallel()
	models, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	nodes := machines(t)
	if len(nodes) < 60 || len(models.IDs()) < 61 {
		t.Fatalf("%d models and %d instance types", len(models.IDs()), len(nodes))
	}
	type answer struct {
		m    model.Model
		node model.NodeShape
		plan model.Plan
		err  error
	}
	answers := make([]answer, 0, len(nodes)*len(models.IDs()))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := cpuTime(t)
	for _, id := range models.IDs() {
		m, _ := models.Lookup(id)
		for _, node := range nodes {
			p, err := estimate.OnNode(m, nil, node)
			answers = append(answers, answer{m, node, p, err})
		}
	}
	spent := cpuTime(t) - start
	planned, several := 0, 0
	for _, a := range answers {
		if a.err != nil {
			if len(a.err.Error()) < 40 {
				t.Errorf("%s on %s: %v", a.m.ID, a.node.Name, a.err)
			}
			continue
		}
		planned++
		if a.plan.Nodes > 1 {
			several++
		}
		checkPlan(t, a.m, a.node, a.plan)
	}
	t.Logf("%d models on %d instance types: %d plans, of which %d for several nodes, %d refusals, %v of CPU", len(models.IDs()), len(nodes), planned, several, len(answers)-planned, spent.Round(time.Millisecond))
	if planned < 1000 || several < 100 {
		t.Errorf("only %d plans, of which %d for several nodes", planned, several)
	}
}

func checkPlan(t *testing.T, m model.Model, node model.NodeShape, p model.Plan) {
	t.Helper()
	const longestNote = 1024 // status.plan.note
	if len(p.Note) > longestNote {
		t.Errorf("%s on %s: a note of %d letters", m.ID, node.Name, len(p.Note))
	}
	if p.Context > m.Context || p.Memory.Total() > node.Memory || p.CPU > node.CPU || p.Confidence == "" {
		t.Errorf("%s on %s: plan %+v is beyond model or node", m.ID, node.Name, p)
	}
	bits := 16
	if m.VLLM["kv-cache-dtype"] == "fp8" {
		bits = 8
	}
	memory, tensor := p.Memory, 1
	if p.GPU != nil {
		memory, tensor = p.GPU.Memory, p.GPU.Tensor
		if memory.Total() > node.GPUs.Memory*model.Bytes(p.AllGPUs()) {
			t.Errorf("%s on %s: %v of GPU memory is planned, there are %v", m.ID, node.Name, memory.Total(), node.GPUs.Memory*model.Bytes(p.AllGPUs()))
		}
	}
	if memory.Weights < m.Forms[p.Form].Size || memory.KVCache < least(m, bits, tensor, p.Context) {
		t.Errorf("%s on %s: %+v does not hold the weights and a context of %d", m.ID, node.Name, memory, p.Context)
	}
}
