// Package provisioner assembles gpu-provisioner: its manager, its controllers, one provider.
package provisioner
