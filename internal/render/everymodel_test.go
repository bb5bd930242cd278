package render_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/sizing"
)

// every is each model of the catalog on the first of the types that hold it, rendered; ids
// of models that no type holds are told apart.
func every(t *testing.T) (all map[string]render.Serving, nowhere []string) {
	t.Helper()
	models, err := catalog.LoadLines(shipped.Lines)
	if err != nil {
		t.Fatal(err)
	}
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]render.Serving{}
	for _, id := range models.IDs() {
		m, _ := models.Lookup(id)
		answer := sizing.Serve(sizing.Ask{Model: m, Types: types.All()}, types)
		if len(answer.Plans) == 0 {
			nowhere = append(nowhere, id)
			continue
		}
		plan := answer.Plans[0]
		command, err := sizing.Command(m, plan.Plan, engine.Settings{}, nil)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		name := "w-" + strings.ReplaceAll(id, ".", "-")
		weights := render.Weights{Image: "registry.local:5000/kaito/models/" + m.ID + ":" + string(plan.Form)}
		if hub := m.Forms[plan.Form].Hub; hub != nil {
			weights = render.Weights{Fetch: &contract.Weights{
				Dir: contract.ModelDir, Bytes: int64(m.Forms[plan.Form].Size),
				Hub: &contract.WeightsHub{Endpoint: "https://hub.example", Repository: hub.Repository, Revision: hub.Revision, Files: hub.Files},
			}}
		}
		all[id] = render.Serving{
			Workspace: &v1beta1.Workspace{
				ObjectMeta: metav1.ObjectMeta{Name: name[:min(len(name), 52)], Namespace: "default", UID: "0f0e0d0c-0b0a-0908-0706-050403020100"},
				Resource:   v1beta1.ResourceSpec{InstanceType: plan.Type.Name, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"apps": name}}},
				Inference:  &v1beta1.InferenceSpec{Preset: &v1beta1.PresetSpec{Name: id}},
			},
			Model: m, Plan: plan.Plan, Command: command, Weights: weights,
			Images: render.Images{Runner: "registry.local:5000/kaito/runner:dev", Engine: "registry.local:5000/kaito/engine:dev"},
		}
	}
	return all, nowhere
}

// What a new model or a new engine version brings must be objects that the server takes.
func TestTheServerAcceptsEveryModel(t *testing.T) {
	t.Parallel()
	all, nowhere := every(t)
	t.Logf("%d models; no type holds %q", len(all), nowhere)
	if len(all) < 50 {
		t.Fatalf("only %d models have a plan", len(all))
	}
	namespace := api.Namespace(t)
	for id, s := range all {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			kinds := 0
			for _, text := range strings.Split(string(document(t, s)), "---\n") {
				o := object(t, text, namespace)
				kinds++
				if err := apply(t, o); err != nil {
					t.Errorf("%s: %v", o.GetKind(), err)
				}
				if o.GetKind() != "StatefulSet" {
					continue
				}
				if err := api.Client(t).Create(t.Context(), podFrom(t, o), client.DryRunAll); err != nil {
					t.Errorf("its pod: %v", err)
				}
			}
			if kinds < 5 {
				t.Errorf("only %d objects", kinds)
			}
			claim := render.NodeClaim(render.Node{Workspace: s.Workspace, InstanceType: s.Workspace.Resource.InstanceType, GPUs: s.Plan.GPUs(), Disk: model.GiB})
			if err := api.Client(t).Create(t.Context(), claim, client.DryRunAll); err != nil {
				t.Errorf("its NodeClaim: %v", err)
			}
		})
	}
}
