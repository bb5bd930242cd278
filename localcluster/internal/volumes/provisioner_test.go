package volumes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func claim(change func(*corev1.PersistentVolumeClaim)) controller.ProvisionOptions {
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "weights"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5Gi")},
			},
		},
	}
	if change != nil {
		change(pvc)
	}
	retain := corev1.PersistentVolumeReclaimRetain
	return controller.ProvisionOptions{PVName: "pvc-1", PVC: pvc, StorageClass: &storagev1.StorageClass{ReclaimPolicy: &retain}}
}

func open(t *testing.T) *provisioner {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "volumes")
	if err := os.Mkdir(dir, 0o755); err != nil { // as somebody else may have made it
		t.Fatal(err)
	}
	p, err := newProvisioner(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.root.Close() })
	return p
}

func TestAClaimGetsAFolderThatAnyUserMayWrite(t *testing.T) {
	t.Parallel()
	p := open(t)
	for range 2 { // a second attempt finds the folder of the first
		pv, state, err := p.Provision(t.Context(), claim(nil))
		if err != nil || state != controller.ProvisioningFinished {
			t.Fatalf("provision: %v, %v", state, err)
		}
		want := filepath.Join(p.dir, "team-a_weights_pvc-1")
		if pv.Spec.HostPath == nil || pv.Spec.HostPath.Path != want {
			t.Fatalf("lies at %v, want %s", pv.Spec.HostPath, want)
		}
		info, err := os.Stat(want)
		if err != nil || info.Mode().Perm() != 0o777 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if size := pv.Spec.Capacity[corev1.ResourceStorage]; size.String() != "5Gi" {
			t.Errorf("capacity %s", size.String())
		}
		if pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			t.Errorf("reclaim policy %s", pv.Spec.PersistentVolumeReclaimPolicy)
		}
		if diff := cmp.Diff([]corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, pv.Spec.AccessModes); diff != "" {
			t.Error(diff)
		}
		if pv.Spec.NodeAffinity != nil {
			t.Errorf("the volume is bound to a node: %v", pv.Spec.NodeAffinity)
		}
	}
	if info, err := os.Stat(p.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("other users reach the folder of all volumes: %v, %v", info, err)
	}
}

func TestASelectorIsRefused(t *testing.T) {
	t.Parallel()
	p := open(t)
	_, _, err := p.Provision(t.Context(), claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.Selector = &metav1.LabelSelector{} }))
	if err == nil || !strings.Contains(err.Error(), "spec.selector") {
		t.Errorf("error: %v", err)
	}
}

func TestDeleteRemovesOnlyFoldersOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path func(dir string) string
		ok   bool
	}{
		"a volume":                        {func(dir string) string { return dir + "/a" }, true},
		"a volume that is gone already":   {func(dir string) string { return dir + "/none" }, true},
		"the folder of all volumes":       {func(dir string) string { return dir }, false},
		"the folder with a slash":         {func(dir string) string { return dir + "/" }, false},
		"the folder by a dot":             {func(dir string) string { return dir + "/." }, false},
		"the parent":                      {func(dir string) string { return dir + "/.." }, false},
		"a folder in a volume":            {func(dir string) string { return dir + "/a/b" }, false},
		"a way out":                       {func(dir string) string { return dir + "/../outside" }, false},
		"another folder":                  {func(string) string { return "/etc" }, false},
		"a folder whose name begins same": {func(dir string) string { return dir + "2/a" }, false},
		"no path":                         {func(string) string { return "" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			outside := filepath.Join(filepath.Dir(p.dir), "outside")
			for _, dir := range []string{filepath.Join(p.dir, "a/b"), outside} {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			pv := &corev1.PersistentVolume{}
			pv.Spec.HostPath = &corev1.HostPathVolumeSource{Path: c.path(p.dir)}
			if err := p.Delete(t.Context(), pv); (err == nil) != c.ok {
				t.Errorf("error: %v", err)
			}
			_, err := os.Stat(filepath.Join(p.dir, "a/b"))
			if gone := err != nil; gone != (name == "a volume") {
				t.Errorf("the volume: %v", err)
			}
			if _, err := os.Stat(outside); err != nil {
				t.Errorf("a folder outside: %v", err)
			}
		})
	}
}

func TestDeleteDoesNotFollowLinks(t *testing.T) {
	t.Parallel()
	p := open(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(p.dir, "link")); err != nil {
		t.Fatal(err)
	}
	pv := &corev1.PersistentVolume{}
	pv.Spec.HostPath = &corev1.HostPathVolumeSource{Path: filepath.Join(p.dir, "link")}
	if err := p.Delete(t.Context(), pv); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Errorf("content behind the link: %v", err)
	}
}

func TestAVolumeOfAnotherKindIsNotRemoved(t *testing.T) {
	t.Parallel()
	if err := open(t).Delete(t.Context(), &corev1.PersistentVolume{}); err == nil {
		t.Error("no error")
	}
}

func TestTheFolderOfAllVolumesIsMade(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "volumes")
	p, err := newProvisioner(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.root.Close() }()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestARelativeFolderIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := newProvisioner("volumes"); err == nil {
		t.Error("no error")
	}
}
