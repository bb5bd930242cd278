package testkit

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

// Workspace serves the development model on nodes with the label apps=<name>.
// Edits change it, in order.
func Workspace(namespace, name string, edits ...func(*v1beta1.Workspace)) *v1beta1.Workspace {
	ws := &v1beta1.Workspace{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1beta1.GroupVersion.String(), Kind: v1beta1.WorkspaceKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
	OnNodes("apps", name)(ws)
	Preset("smollm2-135m-instruct")(ws)
	for _, edit := range edits {
		edit(ws)
	}
	return ws
}

// OnNodes is a Workspace that runs on nodes with one label.
func OnNodes(key, value string) func(*v1beta1.Workspace) {
	return func(ws *v1beta1.Workspace) {
		ws.Resource.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
}

// Preset is a Workspace that serves a model of this name.
func Preset(name string) func(*v1beta1.Workspace) {
	return func(ws *v1beta1.Workspace) {
		ws.Inference = &v1beta1.InferenceSpec{Preset: &v1beta1.PresetSpec{Name: name}}
	}
}

// InstanceType is a Workspace that asks for nodes of this type.
func InstanceType(name string) func(*v1beta1.Workspace) {
	return func(ws *v1beta1.Workspace) { ws.Resource.InstanceType = name }
}

// Tuning is a Workspace that tunes the development model instead of serving it.
func Tuning(ws *v1beta1.Workspace) {
	ws.Inference = nil
	ws.Tuning = &v1beta1.TuningSpec{
		Preset: &v1beta1.PresetSpec{Name: "smollm2-135m-instruct"},
		Method: v1beta1.TuningQLoRA,
		Input:  &v1beta1.DataSource{URLs: []string{"https://data.example/train.parquet"}},
		Output: &v1beta1.DataDestination{Image: "registry.example/adapters/demo:0.0.1", ImagePushSecret: "push"},
	}
}
