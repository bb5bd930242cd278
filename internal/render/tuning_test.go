package render_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/tuning"
)

// tuneInput is what stands beside each golden of a tuning.
type tuneInput struct {
	input
	Config      string   `json:"config"`
	Mount       string   `json:"mount"`
	TokenSecret string   `json:"tokenSecret"`
	PlainHTTP   bool     `json:"plainHTTP"`
	AllowCIDRs  []string `json:"allowCIDRs"`
	Data        struct {
		Digest     string `json:"digest"`
		Bytes      int64  `json:"bytes"`
		LongestRow int    `json:"longestRow"`
	} `json:"data"`
}

// examples are what Python's tests read: the very files that the operator writes.
const examples = "../../runtimes/schema/examples/tune"

func TestTuningGoldens(t *testing.T) {
	t.Parallel()
	for _, file := range tuneCases(t) {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := tuningOf(t, file)
			got := tuneDocument(t, one)
			if again := tuneDocument(t, one); !bytes.Equal(got, again) {
				t.Error("rendering twice gives different bytes")
			}
			golden(t, filepath.Join(filepath.Dir(file), "want.yaml"), got)
			golden(t, filepath.Join(examples, name+".json"), []byte(render.TuneConfig(one).Data["tune.json"]))
		})
	}
}

// Each container sees what it needs: whoever reads data that strangers have written has no
// push Secret, the trainer has no Secret at all, and only the trainer has a GPU.
func TestContainersOfATuningSeeNothingElse(t *testing.T) {
	t.Parallel()
	const secrets = "/etc/kaito-secrets/"
	may := map[string][]string{
		"runner":     {"/kaito"},
		"push-check": {secrets + "push", "/checkpoints", "/output"},
		"checkpoint": {secrets + "push", "/checkpoints ro"},
		"check":      {secrets + "pull", secrets + "hub", "/kaito ro", "/data", "/weights", "/input ro"},
		"prepare":    {secrets + "pull", secrets + "hub", "/kaito ro", "/data", "/weights", "/weights ro", "/input ro"},
		"train":      {"/kaito ro", "/data ro", "/weights ro", "/results", "/checkpoints", "/cache", "/dev/shm"},
		"publish":    {secrets + "push", "/results ro", "/data/summary.json ro", "/output"},
	}
	for _, file := range tuneCases(t) {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			one := tuningOf(t, file)
			for _, c := range append(containersOf(render.CheckJob(one)), containersOf(render.TuneJob(one))...) {
				for _, m := range c.VolumeMounts {
					at := *m.MountPath
					if at == "/tmp" || at == contract.ConfigDir {
						continue
					}
					if strings.HasPrefix(at, secrets) {
						at = secrets + strings.Split(strings.TrimPrefix(at, secrets), "/")[0]
					} else if m.ReadOnly != nil && *m.ReadOnly {
						at += " ro"
					}
					if !contains(may[*c.Name], at) {
						t.Errorf("container %s mounts %q, which it has no use for", *c.Name, at)
					}
				}
				if _, gpu := (*c.Resources.Limits)["nvidia.com/gpu"]; gpu != (*c.Name == "train" && one.Plan.GPU != nil) {
					t.Errorf("container %s: GPU is %v", *c.Name, gpu)
				}
			}
		})
	}
}

// The data is not there yet when a check runs; what it is told must be complete all the same.
func TestACheckNeedsNoPlan(t *testing.T) {
	t.Parallel()
	one := tuningOf(t, filepath.Join("testdata", "tuning", "smollm2-qlora", "input.yaml"))
	one.Plan, one.Attempt, one.DataDigest, one.DataBytes = model.TunePlan{}, 0, "", 0
	told := render.TuneContract(one)
	if told.Threads != 1 || told.Model.MaxLength != 2048 || told.Input.Digest != "" {
		t.Errorf("a check is told %+v", told)
	}
	if got := containersOf(render.CheckJob(one)); len(got) != 3 {
		t.Errorf("a check has %d containers, want 3", len(got))
	}
}

func TestThePlanDecidesWhatIsComputedTwice(t *testing.T) {
	t.Parallel()
	one := tuningOf(t, filepath.Join("testdata", "tuning", "smollm2-qlora", "input.yaml"))
	for _, recompute := range []bool{false, true} {
		one.Plan.Recompute = recompute
		if got := render.TuneContract(one).Settings[tuning.SectionTraining]["gradient_checkpointing"]; got != recompute {
			t.Errorf("the trainer is told %v, the plan says %v", got, recompute)
		}
	}
	if _, changed := one.Settings.Values[tuning.SectionTraining]["gradient_checkpointing"].(bool); changed {
		t.Error("rendering changed the settings that it was given")
	}
}

func tuneCases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "tuning", "*", "input.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("goldens of tunings: %v, %v", files, err)
	}
	return files
}

// golden compares bytes with a file, or rewrites it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("differs from %s; rewrite it with -update (-want +got):\n%s", file, diff)
	}
}

// tuningOf does what the controller does, from a file.
func tuningOf(t *testing.T, file string) render.Tuning {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var in tuneInput
	if err := yaml.UnmarshalStrict(data, &in); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	models, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	stanza := in.Workspace.Tuning
	m, ok := models.Lookup(stanza.Preset.Name)
	if !ok {
		t.Fatalf("%s names a model that is not in the catalog", file)
	}
	settings, err := tuning.Parse([]byte(in.Config), strings.ToLower(string(stanza.Method)), m)
	if err != nil {
		t.Fatal(err)
	}
	plan, _, err := estimate.Tune(m, settings.LoadOf(in.Data.LongestRow), []model.NodeShape{in.shape(t)})
	if err != nil {
		t.Fatal(err)
	}
	one := render.Tuning{
		Workspace: &in.Workspace, RunID: "0123456789ab", Attempt: 1, Model: m, Plan: plan, Settings: settings,
		Images: render.TuningImages{
			Runner: "registry.local:5000/kaito/runner:dev", Gate: "registry.local:5000/kaito/gate:dev", Tuner: "registry.local:5000/kaito/tuner:dev",
		},
		Source:      source(m, in),
		Mount:       in.Mount,
		TokenSecret: in.TokenSecret, PullSecrets: in.PullSecrets, PlainHTTP: in.PlainHTTP, AllowCIDRs: in.AllowCIDRs,
		DataDigest: in.Data.Digest, DataBytes: model.Bytes(in.Data.Bytes), OperatorNamespace: "kaito-system",
	}
	if plan.GPU != nil {
		one.Images.Tuner = "registry.local:5000/kaito/tuner-gpu:dev"
	}
	if v := stanza.Input.VolumeSource; v != nil {
		one.InputVolume = volume(t, v.Raw)
	}
	if v := stanza.Output.VolumeSource; v != nil {
		one.OutputVolume = volume(t, v.Raw)
	}
	return one
}

// source is the hub where the catalog names a repository, else a model image.
func source(m model.Model, in tuneInput) contract.Weights {
	form := m.Forms[model.FormHF]
	w := contract.Weights{Dir: contract.ModelDir, Bytes: int64(form.Size)}
	if form.Hub != nil {
		w.Hub = &contract.WeightsHub{Endpoint: "https://huggingface.co", Repository: form.Hub.Repository, Revision: form.Hub.Revision}
		if in.TokenSecret != "" {
			w.Hub.TokenFile = contract.HubTokenFile
		}
		return w
	}
	w.Image = &contract.WeightsImage{Reference: "registry.local:5000/kaito/models/" + m.ID + ":hf", PlainHTTP: in.PlainHTTP}
	for _, secret := range in.PullSecrets {
		w.Image.Credentials = append(w.Image.Credentials, contract.PullSecretFile(secret))
	}
	return w
}

func volume(t *testing.T, raw []byte) *corev1ac.VolumeSourceApplyConfiguration {
	t.Helper()
	var source corev1ac.VolumeSourceApplyConfiguration
	if err := json.Unmarshal(raw, &source); err != nil {
		t.Fatal(err)
	}
	return &source
}

func tuneDocument(t *testing.T, one render.Tuning) []byte {
	t.Helper()
	var parts []string
	for _, o := range []any{render.TuneConfig(one), render.TuneNetworkPolicy(one), render.CheckJob(one), render.TuneJob(one)} {
		parts = append(parts, marshal(t, o))
	}
	return []byte(strings.Join(parts, "---\n"))
}

func containersOf(j *batchv1ac.JobApplyConfiguration) []corev1ac.ContainerApplyConfiguration {
	return append(append([]corev1ac.ContainerApplyConfiguration{}, j.Spec.Template.Spec.InitContainers...), j.Spec.Template.Spec.Containers...)
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func TestFurtherAuthoritiesStandBesideWhatPodsAreTold(t *testing.T) {
	t.Parallel()
	one := tuningOf(t, filepath.Join("testdata", "tuning", "smollm2-qlora", "input.yaml"))
	one.Authorities = "-----BEGIN CERTIFICATE-----\n"
	if got := render.TuneConfig(one).Data["ca.crt"]; got != one.Authorities {
		t.Errorf("ca.crt is %q", got)
	}
	if got := render.TuneContract(one).Input.CAFile; got != contract.ConfigDir+"/ca.crt" {
		t.Errorf("the pods are told %q", got)
	}
}
