package podtemplate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// CheckVolume looks at the source of a volume that a user has written into a field of free
// form, as it stands in a pod's volumes beside the name. Errors are of type InvalidError,
// with places within the source.
func CheckVolume(raw []byte) error {
	const name = "volume"
	var source map[string]json.RawMessage
	if err := json.Unmarshal(raw, &source); err != nil || len(source) == 0 {
		return &InvalidError{"", "is no source of a volume", "write one as in a pod, such as {persistentVolumeClaim: {claimName: NAME}}"}
	}
	if _, given := source["name"]; given {
		return &InvalidError{"name", "is no field of a volume's source", "leave it out"}
	}
	if len(source) > 1 {
		return &InvalidError{"", "has several sources", "leave one"}
	}
	source["name"] = json.RawMessage(`"` + name + `"`)
	pod := map[string]any{"spec": map[string]any{
		"containers": []map[string]string{{"name": "c", "image": "i"}}, "volumes": []any{source},
	}}
	text, err := json.Marshal(pod)
	if err != nil {
		return &InvalidError{"", "cannot be read", err.Error()}
	}
	err = Check(text)
	var wrong *InvalidError
	if errors.As(err, &wrong) {
		return &InvalidError{strings.TrimPrefix(strings.TrimPrefix(wrong.Place, "spec.volumes[0]"), "."), wrong.Problem, wrong.Fix}
	}
	if err != nil {
		return fmt.Errorf("read a volume: %w", err)
	}
	return nil
}
