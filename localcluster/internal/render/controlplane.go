package render

import (
	"path/filepath"
	"strconv"

	"kaito.sh/kaito/localcluster/internal/layout"
)

// Names of the components outside of nodes, as in logs and pid files.
const (
	Etcd      = "etcd"
	APIServer = "kube-apiserver"
	Manager   = "kube-controller-manager"
	Scheduler = "kube-scheduler"
	Registry  = "registry"
	DNS       = "coredns"
	Volumes   = "local-volumes"
	FilesName = "files"
)

// ControlPlane renders the components outside of nodes.
type ControlPlane struct {
	// Cluster that they make up.
	Cluster layout.Cluster
	// Programs is the folder of the programs.
	Programs string
	// Self is the command that serves files: this program and its hidden verb.
	Self []string
}

// Component is one long-running program.
type Component struct {
	// Name for logs and pid files.
	Name string
	// Argv is the program and its arguments.
	Argv []string
	// Ports that it listens on at the bridge address.
	Ports []int
	// NeedsAPI is true for what must start after the API server answers.
	NeedsAPI bool
}

// Components are in the order in which they start.
func (p ControlPlane) Components() []Component {
	return []Component{
		{Etcd, p.etcd(), []int{layout.EtcdPort, layout.EtcdPeerPort}, false},
		{APIServer, p.apiServer(), []int{layout.APIPort}, false},
		{Registry, p.registry(), []int{layout.RegistryPort}, false},
		{FilesName, append(append([]string{}, p.Self...), "--dir", p.Cluster.Path("files"), "--addr", p.Cluster.Address(layout.FilesPort)), []int{layout.FilesPort}, false},
		{Manager, p.manager(), []int{layout.ManagerPort}, true},
		{Scheduler, p.scheduler(), []int{layout.SchedulerPort}, true},
		{DNS, p.dns(), []int{layout.DNSPort}, true},
		{Volumes, p.volumes(), nil, true},
	}
}

func (p ControlPlane) program(name string, args ...string) []string {
	return append([]string{filepath.Join(p.Programs, name)}, args...)
}

func (p ControlPlane) crt(name string) string { return p.Cluster.PKI(name + ".crt") }
func (p ControlPlane) key(name string) string { return p.Cluster.PKI(name + ".key") }

func (p ControlPlane) etcd() []string {
	client, peer := "https://"+p.Cluster.Address(layout.EtcdPort), "https://"+p.Cluster.Address(layout.EtcdPeerPort)
	return p.program(Etcd,
		"--name=kaito", "--data-dir="+p.Cluster.Path("etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=kaito="+peer,
		"--cert-file="+p.crt("etcd-server"), "--key-file="+p.key("etcd-server"),
		"--trusted-ca-file="+p.crt("etcd-ca"), "--client-cert-auth",
		"--peer-cert-file="+p.crt("etcd-server"), "--peer-key-file="+p.key("etcd-server"),
		"--peer-trusted-ca-file="+p.crt("etcd-ca"), "--peer-client-cert-auth",
		"--auto-compaction-mode=periodic", "--auto-compaction-retention=1h", "--log-level=warn")
}

func (p ControlPlane) apiServer() []string {
	return p.program(APIServer,
		"--etcd-servers=https://"+p.Cluster.Address(layout.EtcdPort),
		"--etcd-cafile="+p.crt("etcd-ca"), "--etcd-certfile="+p.crt("etcd-client"), "--etcd-keyfile="+p.key("etcd-client"),
		"--bind-address="+p.Cluster.HostIP(), "--advertise-address="+p.Cluster.HostIP(), "--secure-port="+strconv.Itoa(layout.APIPort),
		"--service-cluster-ip-range="+p.Cluster.ServiceCIDR(),
		"--client-ca-file="+p.crt("ca"), "--tls-cert-file="+p.crt("apiserver"), "--tls-private-key-file="+p.key("apiserver"),
		"--kubelet-client-certificate="+p.crt("apiserver-kubelet-client"), "--kubelet-client-key="+p.key("apiserver-kubelet-client"),
		"--kubelet-certificate-authority="+p.crt("ca"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+p.key("sa"), "--service-account-signing-key-file="+p.key("sa"),
		"--requestheader-client-ca-file="+p.crt("front-proxy-ca"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file="+p.crt("front-proxy-client"), "--proxy-client-key-file="+p.key("front-proxy-client"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--profiling=false", "--v=1")
}

func (p ControlPlane) kubeconfigs(name string) []string {
	f := p.Cluster.Conf(name + ".kubeconfig")
	return []string{"--kubeconfig=" + f, "--authentication-kubeconfig=" + f, "--authorization-kubeconfig=" + f}
}

func (p ControlPlane) manager() []string {
	return p.program(Manager, append(p.kubeconfigs(Manager),
		"--bind-address="+p.Cluster.HostIP(), "--client-ca-file="+p.crt("ca"), "--requestheader-client-ca-file="+p.crt("front-proxy-ca"),
		"--root-ca-file="+p.crt("ca"), "--service-account-private-key-file="+p.key("sa"), "--use-service-account-credentials=true",
		"--cluster-signing-cert-file="+p.crt("ca"), "--cluster-signing-key-file="+p.key("ca"),
		"--cluster-cidr="+p.Cluster.PodsCIDR(), "--service-cluster-ip-range="+p.Cluster.ServiceCIDR(),
		// The nodes' CNI configuration holds their ranges.
		"--allocate-node-cidrs=false", "--configure-cloud-routes=false",
		"--leader-elect=false", "--node-monitor-grace-period=20s", "--kube-api-qps=200", "--kube-api-burst=400", "--v=1")...)
}

func (p ControlPlane) scheduler() []string {
	return p.program(Scheduler, append(p.kubeconfigs(Scheduler),
		"--bind-address="+p.Cluster.HostIP(), "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400", "--v=1")...)
}

func (p ControlPlane) registry() []string {
	return p.program(Registry, "--data", p.Cluster.Path("registry", "data"), "--addr", p.Cluster.Address(layout.RegistryPort),
		"--htpasswd", p.Cluster.Path("registry", "htpasswd"), "--private-prefix", "private/")
}

func (p ControlPlane) dns() []string { return p.program(DNS, "-conf", p.Cluster.Conf("Corefile")) }

func (p ControlPlane) volumes() []string {
	return p.program(Volumes, "--kubeconfig", p.Cluster.Conf(Volumes+".kubeconfig"), "--dir", p.Cluster.Path("volumes"))
}

// HostsFile is where a cluster's user may name more hosts for pods, as in /etc/hosts; it is
// read again when it changes.
func HostsFile(c layout.Cluster) string { return c.Conf("hosts") }

// Corefile answers for the cluster's names, for the two of this launcher and for those of
// the hosts file. Everything else is unknown at once, so that nothing waits for a world that
// pods cannot reach.
func Corefile(c layout.Cluster) string {
	const everything = "ANY" + " ANY" // each class, each type
	return `cluster.local:53 in-addr.arpa:53 {
	bind ` + c.HostIP() + `
	errors
	kubernetes cluster.local in-addr.arpa {
		kubeconfig ` + c.Conf(DNS+".kubeconfig") + `
		pods insecure
	}
	loadbalance
}
.:53 {
	bind ` + c.HostIP() + `
	errors
	hosts ` + HostsFile(c) + ` {
		` + c.HostIP() + ` ` + RegistryHost + ` ` + FilesHost + `
		no_reverse
		reload 1s
		fallthrough
	}
	template ` + everything + ` {
		rcode NXDOMAIN
	}
}
`
}
