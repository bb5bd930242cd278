package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/oci/registrytest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

func TestCheckpointsInARegistry(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	for name, test := range map[string]func(*testing.T, place){
		"the newest comes back with every byte and mode":            comesBack,
		"told to stop, the trainer's last checkpoint is waited for": lastOne,
		"with nothing to push it ends at once":                      nothing,
		"once the adapter is published none is left behind":         published,
		"a trainer that replaces them all the time loses nothing":   replaced,
		"a registry that refuses does not hold the pod":             refused,
		"a disk that cannot take one is the user's to change":       fullDisk,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newPlace(t, r, strings.Trim(strings.ReplaceAll(name, " ", "-")[:12], "-")))
		})
	}
}

func comesBack(t *testing.T, p place) {
	dir, back := t.TempDir(), t.TempDir()
	if step, err := p.fetch(t, back); step != 0 || err != nil {
		t.Fatalf("of an empty registry: %d, %v", step, err)
	}
	seal(t, dir, run, 10)
	w := p.watch(t, dir)
	w.until("10 is there", p.holds(t, 10))
	_, before, _ := p.output(t).Look(t.Context(), p.output(t).Checkpoint)
	seal(t, dir, run, 20)
	w.until("20 is there", p.holds(t, 20))
	w.signals <- syscall.SIGTERM
	w.end()
	if _, digest, err := p.output(t).Look(t.Context(), p.output(t).Digest(before.String())); err != nil || digest.Hex != "" {
		t.Errorf("the checkpoint before is still there: %v, %v", digest, err)
	}
	for range 2 { // the second time it is there already
		if step, err := p.fetch(t, back); step != 20 || err != nil {
			t.Fatalf("%d, %v", step, err)
		}
		same(t, filepath.Join(dir, folderOf(20)), filepath.Join(back, folderOf(20)))
	}
	if left, err := os.ReadDir(back); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	// A pod that goes on from there does not push it again.
	w = p.watch(t, back)
	w.signals <- syscall.SIGTERM
	w.end()
	if !p.holds(t, 20)() {
		t.Error("it is gone")
	}
	foreign(t, p)
}

// foreign reads the checkpoint with somebody else's client.
func foreign(t *testing.T, p place) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Log("skopeo is not installed; hack/setup.sh installs it")
		return
	}
	out := filepath.Join(t.TempDir(), "out")
	text, err := exec.Command(skopeo, "copy", "--src-tls-verify=false", "--src-creds="+registrytest.User+":"+registrytest.Password,
		"docker://"+p.output(t).Checkpoint, "dir:"+out).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

func lastOne(t *testing.T, p place) {
	dir := t.TempDir()
	w := p.watch(t, dir)
	w.live(true)
	w.signals <- syscall.SIGTERM
	w.until("it asks for the trainer", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.asked > 3
	})
	seal(t, dir, run, 7)
	w.live(false)
	w.end()
	if !p.holds(t, 7)() {
		t.Error("the last checkpoint is lost")
	}
}

func nothing(t *testing.T, p place) {
	p.tune.Output.Image = "127.0.0.1:1/nobody/there:1"
	dir := t.TempDir()
	seal(t, dir, "another-run", 10)
	w := p.watch(t, dir)
	w.signals <- syscall.SIGTERM
	if err := <-w.ended; err != nil { // without a tick
		t.Error(err)
	}
}

func published(t *testing.T, p place) {
	dir := t.TempDir()
	seal(t, dir, run, 10)
	w := p.watch(t, dir)
	w.until("10 is there", p.holds(t, 10))
	image, err := oci.NewImage(oci.Bytes("application/vnd.oci.image.config.v1+json", []byte("{}")), nil, map[string]string{"sh.kaito.adapter.run-id": run})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.output(t).Client.PushImage(t.Context(), image, p.tune.Output.Image); err != nil {
		t.Fatal(err)
	}
	seal(t, dir, run, 20) // too late: it must not stay
	w.signals <- syscall.SIGTERM
	w.end()
	if _, digest, err := p.output(t).Look(t.Context(), p.output(t).Checkpoint); err != nil || digest.Hex != "" {
		t.Errorf("left behind: %v, %v", digest, err)
	}
}

// What must not be trained on is ignored. The registry is the test's own, since it damages
// blobs, which a registry shares between its repositories.
func TestUnusableCheckpointsAreIgnored(t *testing.T) {
	t.Parallel()
	p := newPlace(t, registrytest.Start(t), "unusable")
	plant := func(step int, change func(dir string, notes map[string]string)) {
		dir, notes := t.TempDir(), map[string]string{annotationRun: run, annotationStep: fmt.Sprint(step)}
		seal(t, dir, run, step)
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		files := &opened{step: step}
		change(filepath.Join(dir, folderOf(step)), notes)
		if err := files.walk(root); err != nil {
			t.Fatal(err)
		}
		defer files.close()
		image, err := files.image(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		var layers []oci.Blob
		for _, b := range image.Blobs[:len(image.Blobs)-1] {
			if to := notes[b.Annotations[annotationTitle]]; to != "" {
				b.Annotations[annotationTitle] = to
			}
			layers = append(layers, b)
		}
		delete(notes, "optimizer.pt")
		image, err = oci.NewImage(oci.Bytes(kind, []byte("{}")), layers, notes)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.output(t).Client.PushImage(t.Context(), image, p.output(t).Checkpoint); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(dir string, notes map[string]string){
		"of another run":        func(_ string, notes map[string]string) { notes[annotationRun] = "another" },
		"of no step":            func(_ string, notes map[string]string) { notes[annotationStep] = "-1" },
		"that leads out":        func(_ string, notes map[string]string) { notes["optimizer.pt"] = "../optimizer.pt" },
		"that claims our notes": func(_ string, notes map[string]string) { notes["optimizer.pt"] = ".kaito/weights.json" },
		"with a false mark": func(dir string, _ map[string]string) {
			write(t, filepath.Join(dir, contract.CheckpointMark), []byte(`{"runID":"0123456789ab","step":3}`), 0o644)
		},
		"without a mark": func(dir string, _ map[string]string) { _ = os.Remove(filepath.Join(dir, contract.CheckpointMark)) },
	} {
		plant(10, change)
		back := t.TempDir()
		step, err := p.fetch(t, back)
		left, _ := os.ReadDir(back)
		if step != 0 || err != nil || len(left) != 0 {
			t.Errorf("one %s: %d, %v, left %v", name, step, err, left)
		}
	}
	plant(10, func(string, map[string]string) {})
	damage(t, p)
	back := t.TempDir()
	if step, err := p.fetch(t, back); step != 0 || err != nil {
		t.Errorf("damaged on the registry's disk: %d, %v", step, err)
	}
	// The next one takes its place.
	dir := t.TempDir()
	seal(t, dir, run, 5)
	w := p.watch(t, dir)
	w.until("5 is there", p.holds(t, 5))
	w.signals <- syscall.SIGTERM
	w.end()
}

// damage changes a byte of a file of 14,244 bytes in the registry's folder.
func damage(t *testing.T, p place) {
	found := 0
	_ = filepath.WalkDir(p.registry.Data, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() != "data" {
			return err
		}
		raw, err := os.ReadFile(name)
		if err == nil && len(raw) == 14244 {
			found++
			raw[7] ^= 1
			err = os.WriteFile(name, raw, 0o644)
		}
		return err
	})
	if found == 0 {
		t.Fatal("no blob to damage")
	}
}

func replaced(t *testing.T, p place) {
	dir := t.TempDir()
	seal(t, dir, run, 1)
	w := p.watch(t, dir)
	w.live(true)
	const most = 60
	for step := 2; step <= most; step++ {
		seal(t, dir, run, step)
		old := filepath.Join(dir, folderOf(step-1))
		if err := errors.Join(os.Remove(filepath.Join(old, contract.CheckpointMark)), os.RemoveAll(old)); err != nil {
			t.Fatal(err)
		}
		select {
		case w.ticks <- time.Time{}:
		case err := <-w.ended:
			t.Fatal(err)
		}
	}
	w.signals <- syscall.SIGTERM
	w.live(false)
	w.end()
	back := t.TempDir()
	if step, err := p.fetch(t, back); step != most || err != nil {
		t.Fatalf("%d, %v", step, err)
	}
	same(t, filepath.Join(dir, folderOf(most)), filepath.Join(back, folderOf(most)))
}

func refused(t *testing.T, p place) {
	write(t, p.secret, fmt.Appendf(nil, `{"auths":{%q:{"username":"kaito","password":"wrong"}}}`, p.registry.Addr), 0o600)
	dir := t.TempDir()
	seal(t, dir, run, 10)
	w := p.watch(t, dir)
	w.signals <- syscall.SIGTERM
	w.end()
	// Whether the account may push has been found out before: here it can only be one that may not look.
	if step, err := p.fetch(t, t.TempDir()); step != 0 || err != nil {
		t.Errorf("a fetch with a wrong password: %d, %v", step, err)
	}
}

func fullDisk(t *testing.T, p place) {
	dir := t.TempDir()
	seal(t, dir, run, 10)
	w := p.watch(t, dir)
	w.until("10 is there", p.holds(t, 10))
	w.signals <- syscall.SIGTERM
	w.end()
	p.free = 1e6
	var end *ending.Ending
	if _, err := p.fetch(t, t.TempDir()); !errors.As(err, &end) || end.Reason != ending.DiskFull || !strings.Contains(end.Message, "has 1 MB of 4 MB free") {
		t.Errorf("got %v", err)
	}
}

// The registry is killed while a checkpoint is on its way, and comes back.
func TestSidecarOutlivesTheRegistry(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	p, dir := newPlace(t, r, "harbour"), t.TempDir()
	seal(t, dir, run, 10)
	w := p.watch(t, dir)
	w.until("10 is there", p.holds(t, 10))
	r.Kill()
	seal(t, dir, run, 20)
	for range 50 { // it tries, fails and rests
		w.ticks <- time.Time{}
	}
	r.Start(t)
	w.until("20 is there", p.holds(t, 20))
	w.signals <- syscall.SIGTERM
	w.end()
	back := t.TempDir()
	if step, err := p.fetch(t, back); step != 20 || err != nil {
		t.Fatalf("%d, %v", step, err)
	}
	same(t, filepath.Join(dir, folderOf(20)), filepath.Join(back, folderOf(20)))
}

// FuzzRead: whatever a manifest holds, what is taken of it is a checkpoint of the run.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"config":{"mediaType":"application/vnd.kaito.checkpoint.v1+json"},"layers":[{"size":7}],"annotations":{"sh.kaito.checkpoint.run-id":"0123456789ab","sh.kaito.checkpoint.step":"10"}}`))
	f.Add([]byte(`{"layers":[{"size":-1}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		layers, step, err := read(raw, run)
		var unused *ignored
		switch {
		case err != nil && !errors.As(err, &unused):
			t.Errorf("not a refusal: %v", err)
		case err == nil && (step < 1 || len(layers) > maxFiles):
			t.Errorf("took step %d with %d files of %s", step, len(layers), raw)
		}
	})
}
