package podtemplate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// Volume reads the source of a volume that a user has written into a field of free form,
// as it stands in a pod's volumes beside the name. Errors are of type InvalidError, with
// places within the source.
func Volume(raw []byte) (*corev1ac.VolumeSourceApplyConfiguration, error) {
	const name = "volume"
	var source map[string]json.RawMessage
	if err := json.Unmarshal(raw, &source); err != nil || len(source) == 0 {
		return nil, &InvalidError{"", "is no source of a volume", "write one as in a pod, such as {persistentVolumeClaim: {claimName: NAME}}"}
	}
	if _, given := source["name"]; given {
		return nil, &InvalidError{"name", "is no field of a volume's source", "leave it out"}
	}
	if len(source) > 1 {
		return nil, &InvalidError{"", "has several sources", "leave one"}
	}
	source["name"] = json.RawMessage(`"` + name + `"`)
	pod := map[string]any{"spec": map[string]any{
		"containers": []map[string]string{{"name": "c", "image": "i"}}, "volumes": []any{source},
	}}
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, &InvalidError{"", "cannot be read", err.Error()}
	}
	template, err := Parse(text)
	var wrong *InvalidError
	if errors.As(err, &wrong) {
		return nil, &InvalidError{strings.TrimPrefix(strings.TrimPrefix(wrong.Place, "spec.volumes[0]"), "."), wrong.Problem, wrong.Fix}
	}
	if err != nil {
		return nil, fmt.Errorf("read a volume: %w", err)
	}
	return &template.Spec.Volumes[0].VolumeSourceApplyConfiguration, nil
}
