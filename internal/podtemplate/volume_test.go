package podtemplate_test

import (
	"testing"

	"kaito.sh/kaito/internal/podtemplate"
)

func TestVolume(t *testing.T) {
	t.Parallel()
	if err := podtemplate.CheckVolume([]byte(`{"persistentVolumeClaim":{"claimName":"mine","readOnly":true}}`)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ raw, want string }{
		"nothing":        {`{}`, "is no source of a volume: write one as in a pod, such as {persistentVolumeClaim: {claimName: NAME}}"},
		"text":           {`"mine"`, "is no source of a volume: write one as in a pod, such as {persistentVolumeClaim: {claimName: NAME}}"},
		"a name":         {`{"name":"a","emptyDir":{}}`, "name is no field of a volume's source: leave it out"},
		"two sources":    {`{"emptyDir":{},"hostPath":{"path":"/a"}}`, "has several sources: leave one"},
		"a wrong source": {`{"pvc":{"claimName":"mine"}}`, "pvc is no field of a pod: correct its name or leave it out; `kubectl explain pod.spec.volumes` lists what there is"},
		"a wrong field":  {`{"persistentVolumeClaim":{"claim":"mine"}}`, "persistentVolumeClaim.claim is no field of a pod: correct its name or leave it out; `kubectl explain pod.spec.volumes.persistentVolumeClaim` lists what there is"},
		"a wrong value":  {`{"persistentVolumeClaim":{"claimName":7}}`, "persistentVolumeClaim.claimName is a number where text belongs: `kubectl explain pod.spec.volumes.persistentVolumeClaim.claimName` says what belongs there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := podtemplate.CheckVolume([]byte(tc.raw)); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
