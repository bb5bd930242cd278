package podtemplate_test

import (
	"testing"

	"kaito.sh/kaito/internal/render/podtemplate"
)

func TestAVolumeIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	got, err := podtemplate.Volume([]byte(`{"persistentVolumeClaim":{"claimName":"mine","readOnly":true}}`))
	if err != nil || *got.PersistentVolumeClaim.ClaimName != "mine" || !*got.PersistentVolumeClaim.ReadOnly {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := podtemplate.Volume([]byte(`{"emptyDir":{},"hostPath":{"path":"/a"}}`)); err == nil {
		t.Error("a volume of two sources is taken")
	}
}
