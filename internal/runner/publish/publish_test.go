package publish

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/adaptertest"
	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/oci/registrytest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

func TestPublishToARegistry(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	for name, test := range map[string]func(*testing.T, *pod){
		"the adapter comes back, and the message says what a reader needs": publishes,
		"a tag is written once, however often publish runs":                writesOnce,
		"an answer that is lost does not write a tag twice":                losesAnswer,
		"a tag of another run is replaced":                                 replaces,
		"two at once publish the same":                                     twice,
		"the checkpoint goes, and one that cannot go does no harm":         tidies,
		"who may push but not look can publish":                            blind,
		"an adapter that nobody could use is refused":                      unusable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newPod(t, r.Addr+"/private/"+strings.Trim(strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")[:16], "-")+":1"))
		})
	}
}

func publishes(t *testing.T, p *pod) {
	got, err := p.publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pulled := p.pulled(t)
	at := got.Published.Digest
	if !strings.HasSuffix(pulled.Name, "@"+at) || got.Published.Image != p.tune.Output.Image {
		t.Errorf("published %+v, pulled %s", got.Published, pulled.Name)
	}
	want, err := adapter.Check(filepath.Join(p.results, "adapter"))
	if diff := cmp.Diff(want, pulled.Facts); err != nil || diff != "" {
		t.Errorf("%v, facts (-trained +pulled):\n%s", err, diff)
	}
	if got.Training.Steps != 150 || got.Dataset.Rows != 100 || got.Reason != contract.Done || got.RunID != runID {
		t.Errorf("%+v", got)
	}
	log := filepath.Join(t.TempDir(), "log")
	if err := ending.WriteResult(log, got); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(log)
	var said contract.Result
	if err != nil || len(raw) > 2048 || json.Unmarshal(raw, &said) != nil {
		t.Fatalf("%d bytes: %s, %v", len(raw), raw, err)
	}
	if said.Published == nil || said.Published.Digest != at || len(said.Training.Losses) < 16 || said.Dataset.Digest != "sha256:aa" {
		t.Errorf("in 2 KiB: %s", raw)
	}
}

func writesOnce(t *testing.T, p *pod) {
	m := &meter{}
	p.wire = m
	first, err := p.publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Another pod of the run took another time for it; its adapter is the same.
	slower := training()
	slower.Seconds, slower.TokensPerSecond, slower.PeakBytes, slower.ResumedFrom = 999, 1, 1e9, 75
	p.say(t, "training.json", slower)
	second, err := p.publish(t.Context())
	if err != nil || second.Published.Digest != first.Published.Digest {
		t.Errorf("%+v, %v", second.Published, err)
	}
	if diff := cmp.Diff([]string{"1"}, m.puts); diff != "" {
		t.Errorf("manifests written (-want +got):\n%s", diff)
	}
	// Even where the tag went, the same run makes the same image.
	if out, err := p.open(); err != nil || out.Client.Delete(t.Context(), p.tune.Output.Image) != nil {
		t.Fatal(err)
	}
	third, err := p.publish(t.Context())
	if err != nil || third.Published.Digest != first.Published.Digest {
		t.Errorf("%+v, %v", third.Published, err)
	}
}

func losesAnswer(t *testing.T, p *pod) {
	var once, dark sync.Once
	m := &meter{after: func(r *http.Request, _ *http.Response) (err error) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			once.Do(func() { err = errors.New("the line is cut before the answer") })
		}
		return err
	}}
	m.before = func(r *http.Request) {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
			dark.Do(func() { r.URL.Host = "127.0.0.1:1" }) // and the first look at it fails too
		}
	}
	p.wire = m
	got, err := p.publish(t.Context())
	if err != nil || got.Published.Digest == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"1"}, m.puts); diff != "" {
		t.Errorf("manifests written (-want +got):\n%s", diff)
	}
}

func replaces(t *testing.T, p *pod) {
	p.tune.RunID = "another-run"
	other, err := p.publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.tune.RunID = runID
	ours, err := p.publish(t.Context())
	if err != nil || ours.Published.Digest == other.Published.Digest {
		t.Fatalf("%+v, %v", ours.Published, err)
	}
	if got := p.pulled(t); got.Annotations[adapter.AnnotationRun] != runID {
		t.Errorf("the tag holds run %q", got.Annotations[adapter.AnnotationRun])
	}
}

func twice(t *testing.T, p *pod) {
	m := &meter{}
	p.wire = m
	var both sync.WaitGroup
	var digests [2]string
	for i := range digests {
		both.Go(func() {
			got, err := p.publish(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			digests[i] = got.Published.Digest
		})
	}
	both.Wait()
	if digests[0] != digests[1] || digests[0] == "" || len(m.puts) > 2 {
		t.Errorf("%v, written %v", digests, m.puts)
	}
}

func tidies(t *testing.T, p *pod) {
	out, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	image, err := oci.NewImage(oci.Bytes("application/vnd.kaito.checkpoint.v1+json", []byte("{}")), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Client.PushImage(t.Context(), image, out.Checkpoint); err != nil {
		t.Fatal(err)
	}
	p.wire = &meter{before: func(r *http.Request) {
		if r.Method == http.MethodDelete {
			r.Header.Del("Authorization") // this account may not remove
		}
	}}
	if _, err := p.publish(t.Context()); err != nil {
		t.Errorf("where nothing may be removed: %v", err)
	}
	if _, digest, err := out.Look(t.Context(), out.Checkpoint); err != nil || digest.Hex == "" {
		t.Errorf("%v, %v", digest, err)
	}
	p.wire = nil
	if _, err := p.publish(t.Context()); err != nil {
		t.Error(err)
	}
	if _, digest, err := out.Look(t.Context(), out.Checkpoint); err != nil || digest.Hex != "" {
		t.Errorf("the checkpoint is left behind: %v, %v", digest, err)
	}
}

func blind(t *testing.T, p *pod) {
	p.wire = &meter{before: func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") && r.Method != http.MethodPut {
			r.Header.Del("Authorization")
		}
	}}
	if _, err := p.publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.pulled(t)
}

func unusable(t *testing.T, p *pod) {
	if err := os.Truncate(filepath.Join(p.results, "adapter", adapter.WeightsFile), 100); err != nil {
		t.Fatal(err)
	}
	var end *ending.Ending
	if _, err := p.publish(t.Context()); !errors.As(err, &end) || end.Reason != ending.AdapterUnusable || end.Code() != ending.CodeConfig {
		t.Errorf("got %v", err)
	}
}

// The registry is killed while the weights are on their way, and comes back.
func TestPublishOutlivesTheRegistry(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	p := newPod(t, r.Addr+"/private/harbour:1")
	adaptertest.Write(t, filepath.Join(p.results, "adapter"), adaptertest.Config(64), adaptertest.Tensors(8, 2048, 64))
	var kill, start sync.Once
	p.wire = &meter{before: func(req *http.Request) {
		if req.Method == http.MethodPut && req.ContentLength > 8<<20 {
			kill.Do(func() { r.Kill() })
		}
	}}
	var slept time.Duration
	p.sleep = func(_ context.Context, d time.Duration) error {
		if slept += d; slept > 30*time.Second { // the client has given up a few times by then
			start.Do(func() { r.Start(t) })
		}
		return nil
	}
	got, err := p.publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.pulled(t); got.Published.Bytes < 8<<20 {
		t.Errorf("%+v", got.Published)
	}
}

func TestPublishDoesNotWaitForARegistryOnceThePodStops(t *testing.T) {
	t.Parallel()
	p := newPod(t, "127.0.0.1:1/private/harbour:1")
	stop := make(chan struct{})
	close(stop)
	var end *ending.Ending
	_, err := Run(t.Context(), Options{
		Tune: p.tune, Open: p.open, Stop: stop, Adapter: filepath.Join(p.results, "adapter"), Training: filepath.Join(p.results, "training.json"),
		Dataset: filepath.Join(p.results, "summary.json"), Board: board(), Log: quiet(),
	})
	if !errors.As(err, &end) || end.Reason != ending.PushUnreachable || end.Code() != ending.CodeFailed {
		t.Errorf("got %v", err)
	}
}

func TestPublishToAVolume(t *testing.T) {
	t.Parallel()
	p := newPod(t, "")
	p.tune.Output = contract.TuneOutput{Volume: true}
	for _, folder := range []string{"checkpoints/" + runID + "/checkpoint-5", "checkpoints/another/checkpoint-1"} {
		if err := os.MkdirAll(filepath.Join(p.folder, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// An adapter of another rank stands there.
	adaptertest.Write(t, p.folder, adaptertest.Config(4), adaptertest.Tensors(2, 16, 4))
	want, err := adapter.Check(filepath.Join(p.results, "adapter"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := p.publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		have, err := adapter.Check(p.folder)
		if err != nil || have.Digest != want.Digest || got.Published.Image != "" || got.Published.Bytes == 0 {
			t.Errorf("%+v, %v, %+v", have, err, got.Published)
		}
	}
	var left []string
	entries, _ := os.ReadDir(p.folder)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{adapter.ConfigFile, adapter.WeightsFile, "checkpoints"}, left); diff != "" {
		t.Errorf("on the volume (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(p.folder, "checkpoints", runID)); !os.IsNotExist(err) {
		t.Errorf("this run's checkpoints: %v", err)
	}
	if _, err := os.Stat(filepath.Join(p.folder, "checkpoints", "another")); err != nil {
		t.Errorf("another run's checkpoints: %v", err)
	}
}

// A cut between any two steps leaves the whole adapter or none that anybody would take.
func TestVolumeNeverHoldsHalfAnAdapter(t *testing.T) {
	t.Parallel()
	p := newPod(t, "")
	adaptertest.Write(t, p.folder, adaptertest.Config(4), adaptertest.Tensors(2, 16, 4))
	// What cannot be put in its place: a folder with something in it stands there.
	if err := errors.Join(os.Remove(filepath.Join(p.folder, adapter.WeightsFile)), os.MkdirAll(filepath.Join(p.folder, adapter.WeightsFile, "x"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := toVolume(filepath.Join(p.results, "adapter"), p.folder, runID, "Publishing"); err == nil {
		t.Fatal("it was written over a folder")
	}
	entries, _ := os.ReadDir(p.folder)
	if len(entries) != 1 || entries[0].Name() != adapter.WeightsFile {
		t.Errorf("left: %v", entries)
	}
}
