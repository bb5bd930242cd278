package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// short is a training of a minute, with a checkpoint every few steps.
const short = "training_config: {TrainingArguments: {max_steps: 12, save_steps: 4, logging_steps: 1}}\n"

// firstCheckpoint and lastStep bound where a training is cut off, so that there is something to go on from.
const firstCheckpoint, lastStep = 4, 11

// quick makes a tuning of its own, short and with an output of its own.
func quick(t *testing.T, name string, edits ...string) workspace {
	t.Helper()
	data := harbour(t)
	return tune(t, name, short, append(edits, "http://files.local:8080/harbour.parquet", data, "private/harbour:0.0.1", "private/"+name+":1")...)
}

// training is a pod that trains; without one its fields are empty.
type training struct{ pod, uid, address, node string }

// trainer is the newest pod that trains.
func (w workspace) trainer(t *testing.T) training {
	t.Helper()
	out := w.kubectl(t, "get", "pods", "-l", "kaito.sh/role=tune", "--sort-by=.metadata.creationTimestamp",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.podIP} {.spec.nodeName}{"\n"}{end}`)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	f := strings.Fields(lines[len(lines)-1])
	if len(f) < 4 {
		return training{}
	}
	return training{f[0], f[1], f[2], f[3]}
}

// atStep waits until the training has done so many steps and its checkpoint is in the registry.
func (w workspace) atStep(t *testing.T, step int) {
	t.Helper()
	var said struct{ Step, Checkpoint int }
	eventually(t, 5*time.Minute, fmt.Sprintf("the training is at step %d", step), func() (string, bool) {
		address := w.trainer(t).address
		if address == "" {
			return "no pod", false
		}
		got, err := get("http://" + address + ":5000/progress")
		if err != nil || json.Unmarshal([]byte(got.body), &said) != nil {
			return fmt.Sprint(err), false
		}
		return got.body, said.Step >= step
	})
	run := w.field(t, "workspace/"+w.name, ".status.tuning.runID")
	eventually(t, time.Minute, "the checkpoint is in the registry", func() (string, bool) {
		out, err := w.inspect(t, "1-ckpt-"+run, "--raw") // it is an artifact and no image
		return out, err == nil
	})
}

// inspect asks skopeo about a tag of the Workspace's output.
func (w workspace) inspect(t *testing.T, tag string, how ...string) (string, error) {
	t.Helper()
	args := append([]string{"inspect", "--tls-verify=false", "--creds", "kaito:" + password(t)}, how...)
	return cluster.command(time.Minute, "skopeo", append(args, "docker://"+where(t).Registry+"/private/"+w.namespace+":"+tag)...)
}

// published waits for the adapter, and says what its layer is.
func (w workspace) published(t *testing.T) string {
	t.Helper()
	w.reaches(t, 15*time.Minute, "WorkspaceSucceeded", "True ") // a node trains one at a time
	layers, err := w.inspect(t, "1", "--format", "{{.Layers}}")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(layers)
}

// gone waits until a pod has ended, and says how long it took.
func (w workspace) gone(t *testing.T, pod string) {
	t.Helper()
	began := time.Now()
	eventually(t, time.Minute, "the pod has ended", func() (string, bool) {
		out := w.field(t, "pod/"+pod, ".status.phase")
		return out, out == "" || out == "Failed"
	})
	t.Logf("pod %s had ended after %.1f s", pod, time.Since(began).Seconds())
}

// A training that is cut off goes on from its newest checkpoint, and its adapter is that
// of a training that was left alone, byte for byte.
func TestATrainingThatIsCutOffGivesTheSameAdapter(t *testing.T) {
	t.Parallel()
	const seed = 5
	chance := rand.New(rand.NewPCG(seed, seed))
	step := func() int { return firstCheckpoint + 1 + chance.IntN(lastStep-firstCheckpoint-1) }
	serveNot := []string{"  name: workspace-tuning-phi-3", "  name: NAME\n  annotations: {kaito.sh/serve-tuned: \"false\"}"}
	quiet := func(name string) []string {
		return []string{serveNot[0], strings.Replace(serveNot[1], "NAME", name, 1)}
	}

	whole := quick(t, "unbroken", quiet("unbroken")...)
	want := whole.published(t)
	for _, tc := range []struct {
		name string
		kill func(t *testing.T, w workspace, at training)
	}{
		{"cut-trainer", func(t *testing.T, _ workspace, at training) {
			signal(t, process(t, at.uid, "python3"), syscall.SIGKILL)
		}},
		{"cut-runner", func(t *testing.T, _ workspace, at training) {
			signal(t, process(t, at.uid, "/kaito/kaito-runner\x00train"), syscall.SIGKILL)
		}},
		{"cut-pod", func(t *testing.T, w workspace, at training) { w.kubectl(t, "delete", "pod", at.pod, "--wait=false") }},
		{"cut-node", func(t *testing.T, _ workspace, at training) {
			for _, args := range [][]string{{"remove", at.node}, {"add", "spare2"}} {
				if out, err := cluster.local("node", args...); err != nil {
					t.Fatal(out, err)
				}
			}
			kubectl(t, "label", "node", "spare2", "--overwrite", "lost=cut-node")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			edits := quiet(tc.name)
			if tc.name == "cut-node" {
				onASpareNode(t)
				edits = append(edits, "app: tuning-phi-3", "lost: cut-node")
			}
			w, at := quick(t, tc.name, edits...), step()
			w.atStep(t, at)
			cut := w.trainer(t)
			tc.kill(t, w, cut)
			w.gone(t, cut.pod)
			eventually(t, 3*time.Minute, "another pod trains", func() (string, bool) {
				next := w.trainer(t).pod
				return w.condition(t, "JobStarted"), next != "" && next != cut.pod
			})
			if got := w.published(t); got != want {
				t.Errorf("the adapter is %s, that of the unbroken run %s", got, want)
			}
			from := w.field(t, "workspace/"+w.name, ".status.tuning.resumedFrom")
			if n, _ := strconv.Atoi(from); n < firstCheckpoint {
				t.Errorf("it was cut off at step %d and went on from %q", at, from)
			}
			t.Logf("cut off at step %d, went on from %s", at, from)
		})
	}
}

// onASpareNode adds a node that may be lost.
func onASpareNode(t *testing.T) {
	t.Helper()
	if out, err := cluster.local("node", "add", "spare1"); err != nil {
		t.Fatal(out, err)
	}
	t.Cleanup(func() {
		for _, node := range []string{"spare1", "spare2"} {
			if strings.TrimSpace(kubectl(t, "get", "node", node, "--ignore-not-found", "-o", "name")) == "" {
				continue
			}
			if out, err := cluster.local("node", "remove", node); err != nil {
				t.Error(out, err)
			}
		}
	})
	kubectl(t, "label", "node", "spare1", "--overwrite", "lost=cut-node")
}

// A container whose memory is really used up: the kernel kills, the condition says what would fit.
func TestATrainingThatRunsOutOfMemorySaysWhatWouldFit(t *testing.T) {
	t.Parallel()
	w := quick(t, "out-of-memory")
	var pid int
	eventually(t, 4*time.Minute, "the trainer runs", func() (string, bool) {
		uid := w.trainer(t).uid
		if uid == "" {
			return "no pod", false
		}
		if found := processes(uid, "python3\x00-m\x00kaito_tuner.train"); len(found) > 0 {
			pid = found[0]
		}
		return uid, pid != 0
	})
	limitMemory(t, pid, 300<<20)
	pod := w.trainer(t).pod
	w.gone(t, pod)
	eventually(t, time.Minute, "the condition names the cause", func() (string, bool) {
		out := w.condition(t, "JobStarted")
		return out, strings.HasPrefix(out, "False ContainerOOMKilled: ")
	})
	out := w.condition(t, "JobStarted")
	t.Log(out)
	if !strings.Contains(out, "memory") || !strings.Contains(out, "max_length") && !strings.Contains(out, "more memory") {
		t.Errorf("the condition does not say what would fit: %s", out)
	}
	if state := w.field(t, "workspace/"+w.name, ".status.state"); state != "Failed" {
		t.Errorf("its state is %q", state)
	}
	// It is final: no other pod comes.
	time.Sleep(15 * time.Second)
	if next := w.trainer(t).pod; next != "" && next != pod {
		t.Errorf("another pod tries the same: %s", next)
	}
}

// processes are those of a pod whose command line begins so.
func processes(podUID, program string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var pids []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(line), program) {
			continue
		}
		group, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		if err == nil && strings.Contains(string(group), podUID) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// limitMemory lowers the limit of a process's control group, as if it had been planned so.
func limitMemory(t *testing.T, pid, bytes int) {
	t.Helper()
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		file := ""
		switch {
		case len(f) == 3 && f[1] == "memory":
			file = filepath.Join("/sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes")
		case len(f) == 3 && f[0] == "0" && exists(filepath.Join("/sys/fs/cgroup", f[2], "memory.max")):
			file = filepath.Join("/sys/fs/cgroup", f[2], "memory.max")
		default:
			continue
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(bytes)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("process %d is in no group that bounds memory: %s", pid, groups)
}

// A Workspace that is deleted on its way takes all that it has made along.
func TestATuningThatIsDeletedLeavesNothing(t *testing.T) {
	t.Parallel()
	for phase, until := range map[string][2]string{
		"check": {"Accepted", "Unknown CheckingDataset"},
		"train": {"JobStarted", "True "},
	} {
		t.Run("during the "+phase, func(t *testing.T) {
			w := quick(t, "deleted-"+phase)
			w.reaches(t, 4*time.Minute, until[0], until[1])
			w.kubectl(t, "delete", "workspace", w.name, "--wait=false")
			eventually(t, 3*time.Minute, "nothing is left but what the user made", func() (string, bool) {
				var left []string
				for _, name := range w.everything(t) {
					if name != "secret/harbour-push" && name != "configmap/settings" {
						left = append(left, name)
					}
				}
				return strings.Join(left, " "), len(left) == 0
			})
		})
	}
}
