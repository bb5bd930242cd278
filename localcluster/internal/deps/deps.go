package deps

import (
	_ "github.com/google/go-containerregistry/pkg/v1/remote"
	_ "github.com/vishvananda/netlink"
	_ "golang.org/x/sys/unix"
	_ "github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/spf13/cobra"
	_ "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	_ "sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
	_ "github.com/google/go-cmp/cmp"
	_ "sigs.k8s.io/yaml"
)
