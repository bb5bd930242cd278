package render

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"kaito.sh/kaito/localcluster/internal/cgroup"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/state"
)

const (
	// evictionReserve is what must stay free on the machine; the kubelet takes it
	// from what pods may have.
	evictionReserve = 200 << 20
	// ownPrograms is what containerd, kubelet and kube-proxy may use beside the pods.
	ownPrograms = 512 << 20
)

// TooLargeError says that a node's shape does not fit on the machine.
type TooLargeError struct {
	// What is too large, as asked and as there is at most.
	What, Asked, Most string
}

// Error says how much there is.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s %s is more than this machine can give (%s); ask for less", e.What, e.Asked, e.Most)
}

// Check answers whether the shape fits on the machine.
func (m Machine) Check(s state.Shape) error {
	if s.MilliCPU > m.MilliCPU {
		return &TooLargeError{"cpu", fmt.Sprintf("%dm", s.MilliCPU), fmt.Sprintf("%dm", m.MilliCPU)}
	}
	if most := m.Memory - evictionReserve; s.Memory > most {
		return &TooLargeError{"memory", fmt.Sprintf("%dMi", s.Memory>>20), fmt.Sprintf("%dMi", most>>20)}
	}
	return nil
}

// Limits bound the node's control group: what its pods may have and what its own
// programs need beside them.
func (n Node) Limits() cgroup.Limits {
	l := cgroup.Limits{MilliCPU: n.Spec.MilliCPU}
	if n.Spec.Memory > 0 {
		l.Memory = n.Spec.Memory + evictionReserve + ownPrograms
	}
	return l
}

// Containerd is containerd's configuration. The out-of-memory scores are left
// alone, because root in a virtual machine may lack the right to lower them.
func (n Node) Containerd() string {
	at := func(name string) string { return strconv.Quote(n.Cluster.Node(n.Spec.Name, name)) }
	return `version = 3
root = ` + at("containerd") + `
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "` + ContainerdSocket + `"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "` + PauseImage + `"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = ` + at("certs.d") + `
[plugins."io.containerd.cri.v1.runtime"]
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [` + strconv.Quote(n.Programs) + `]
    conf_dir = ` + at("cni") + `
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = ` + strconv.Quote(filepath.Join(n.Programs, "runc")) + `
      SystemdCgroup = false
`
}

// RegistryHosts leads the registry's name to the bridge address, over plain HTTP.
func RegistryHosts(c layout.Cluster) string {
	url := strconv.Quote("http://" + c.Address(layout.RegistryPort))
	return "server = " + url + "\n[host." + url + "]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n"
}

// CNI gives each pod of the node an address on the node's own bridge.
func (n Node) CNI() string {
	return `{
  "cniVersion": "1.0.0",
  "name": "kaito",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
      "ipam": {"type": "host-local", "dataDir": "/run/cni-networks", "ranges": [[{"subnet": "` + n.Cluster.PodCIDR(n.Spec.Number) + `"}]]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables", "snat": true},
    {"type": "loopback"}
  ]
}
`
}

// Kubelet is the kubelet's configuration. JSON stands in for YAML where values
// are the user's own, so that none of them can break out of its place.
func (n Node) Kubelet() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	ca := n.Cluster.PKI("ca.crt")
	line("apiVersion: kubelet.config.k8s.io/v1beta1")
	line("kind: KubeletConfiguration")
	line("address: %s", n.Cluster.NodeIP(n.Spec.Number))
	line("authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %s}}", quote(ca))
	line("authorization: {mode: Webhook}")
	line("tlsCertFile: %s", quote(n.Cluster.PKI("kubelet-server-"+n.Spec.Name+".crt")))
	line("tlsPrivateKeyFile: %s", quote(n.Cluster.PKI("kubelet-server-"+n.Spec.Name+".key")))
	line("containerRuntimeEndpoint: unix://%s", ContainerdSocket)
	line("cgroupDriver: cgroupfs")
	line("cgroupRoot: /%s", n.Cluster.NodeCgroup(n.Spec.Name))
	line("failCgroupV1: false")
	line("failSwapOn: false")
	line("clusterDNS: [%s]", n.Cluster.HostIP())
	line("clusterDomain: cluster.local")
	line("resolvConf: %s", quote(n.Cluster.Node(n.Spec.Name, "resolv.conf")))
	line("podLogsDir: /var/log/pods")
	line("healthzBindAddress: 127.0.0.1")
	line("makeIPTablesUtilChains: false")
	line("evictionHard: {memory.available: %q, nodefs.available: 2%%, imagefs.available: 2%%}", strconv.Itoa(evictionReserve))
	line("imageGCHighThresholdPercent: 99")
	line("imageGCLowThresholdPercent: 98")
	line("imagePullCredentialsVerificationPolicy: NeverVerify")
	line("serializeImagePulls: false")
	line("maxPods: 250")
	line("nodeStatusUpdateFrequency: 2s")
	line("nodeStatusReportFrequency: 10s")
	line("oomScoreAdj: 0")
	if r := n.reserved(); len(r) > 0 {
		line("systemReserved: %s", quote(r))
	}
	if len(n.Spec.Taints) > 0 {
		line("registerWithTaints: %s", quote(n.Spec.Taints))
	}
	if n.Spec.ProviderID != "" {
		line("providerID: %s", quote(n.Spec.ProviderID))
	}
	return b.String()
}

// reserved is what the kubelet takes away from the machine, so that what is left
// for pods is what was asked for.
func (n Node) reserved() map[string]string {
	r := map[string]string{}
	if n.Spec.MilliCPU > 0 && n.Spec.MilliCPU < n.Machine.MilliCPU {
		r["cpu"] = fmt.Sprintf("%dm", n.Machine.MilliCPU-n.Spec.MilliCPU)
	}
	if rest := n.Machine.Memory - evictionReserve - n.Spec.Memory; n.Spec.Memory > 0 && rest > 0 {
		r["memory"] = strconv.FormatInt(rest, 10)
	}
	return r
}

// Proxy is kube-proxy's configuration. Connection tracking is left as it is: its
// limits cannot be written outside of the machine's first network namespace.
func (n Node) Proxy() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: %[1]s
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clusterCIDR: %[2]s
hostnameOverride: %[3]s
clientConnection: {kubeconfig: %[4]s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, n.Cluster.NodeIP(n.Spec.Number), n.Cluster.PodsCIDR(), n.Spec.Name, quote(n.Cluster.Conf("kube-proxy.kubeconfig")))
}

// quote is JSON, which YAML reads as it is.
func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // only strings, maps and slices of strings come here
		return fmt.Sprintf("%q", err.Error())
	}
	return string(b)
}
