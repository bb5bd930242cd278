package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Name is the provisioner's name in a StorageClass.
const Name = "kaito.sh/local"

// openMode lets any user of a pod write. The kubelet does not apply fsGroup to
// folders of the host, and the programs in our pods run as users without rights
// (uid 2000, gid 0); who may mount a volume is decided by its claim.
const openMode fs.FileMode = 0o777

// closedMode keeps other users of the machine away from the folder of all volumes.
// The kubelet is root and passes.
const closedMode fs.FileMode = 0o700

// A provisioner makes and removes folders below one folder, and touches nothing
// outside it.
type provisioner struct {
	dir  string
	root *os.Root
}

// newProvisioner opens the folder of all volumes, making it when it is missing.
func newProvisioner(dir string) (*provisioner, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("folder %q: must be an absolute path", dir)
	}
	if err := os.MkdirAll(dir, closedMode); err != nil {
		return nil, fmt.Errorf("make the folder of all volumes: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of all volumes: %w", err)
	}
	// One that was there already may be open to others.
	if err := root.Chmod(".", closedMode); err != nil {
		return nil, errors.Join(fmt.Errorf("close the folder of all volumes to others: %w", err), root.Close())
	}
	return &provisioner{dir: filepath.Clean(dir), root: root}, nil
}

var _ controller.Provisioner = (*provisioner)(nil)

// Provision makes the folder of a claim. The claim's size is noted but not
// enforced: the folder can grow as far as the disk.
func (p *provisioner) Provision(_ context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if o.PVC.Spec.Selector != nil {
		return nil, controller.ProvisioningFinished, errors.New("claims with a selector are not supported by " + Name + ": remove spec.selector")
	}
	name := folder(o)
	if err := p.root.Mkdir(name, openMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make the folder of volume %s: %w", o.PVName, err)
	}
	// Mkdir's mode passes through the umask.
	if err := p.root.Chmod(name, openMode); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open the folder of volume %s to pods: %w", o.PVName, err)
	}
	return volume(o, filepath.Join(p.dir, name)), controller.ProvisioningFinished, nil
}

// Delete removes the folder of a volume.
func (p *provisioner) Delete(_ context.Context, pv *corev1.PersistentVolume) error {
	source := pv.Spec.HostPath
	if source == nil {
		return fmt.Errorf("volume %s has no hostPath: it was not made by %s", pv.Name, Name)
	}
	parent, name := filepath.Split(source.Path)
	if filepath.Clean(parent) != p.dir || name == "" || !filepath.IsLocal(name) || name == "." {
		return fmt.Errorf("volume %s lies at %s, outside of %s: it is not removed", pv.Name, source.Path, p.dir)
	}
	if err := p.root.RemoveAll(name); err != nil {
		return fmt.Errorf("remove the folder of volume %s: %w", pv.Name, err)
	}
	return nil
}

// folder names a volume's folder after its claim, for a person who looks for it;
// the volume's name makes it unique. None of the three may hold a slash.
func folder(o controller.ProvisionOptions) string {
	return strings.Join([]string{o.PVC.Namespace, o.PVC.Name, o.PVName}, "_")
}

// volume is the object that offers a folder to its claim.
func volume(o controller.ProvisionOptions, path string) *corev1.PersistentVolume {
	kind := corev1.HostPathDirectory
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			VolumeMode:                    o.PVC.Spec.VolumeMode,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind},
			},
		},
	}
	if o.StorageClass != nil && o.StorageClass.ReclaimPolicy != nil {
		pv.Spec.PersistentVolumeReclaimPolicy = *o.StorageClass.ReclaimPolicy
	}
	return pv
}
