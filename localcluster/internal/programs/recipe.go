package programs

import (
	"path"
	"slices"
	"strings"
)

// A recipe is one call of the Go compiler and what it makes.
type recipe struct {
	// name stands in tables and folders.
	name string
	// module is the folder of its Go module below the source folder.
	module string
	// packages are the main packages; an executable is named as its last element.
	packages []string
	// sources are the folders of our own, relative to the module, that go into it.
	sources []string
	// stamps are version variables that the linker fills in.
	stamps []stamp
	// tags are build tags.
	tags []string
	// static asks for cgo, linked so that no library is needed where it runs.
	static bool
	// links are further names of the (only) executable.
	links []string
}

// A stamp gives one string variable of a program the version of a module, so that
// the program tells its real version.
type stamp struct {
	variable string
	module   string
	part     versionPart
}

// versionPart is the part of a module's version that goes into a stamp.
type versionPart int

const (
	whole versionPart = iota // v1.37.2
	major                    // 1
	minor                    // 37
	plain                    // 1.37.2
)

const (
	localcluster = "kaito.sh/kaito/localcluster"
	k8sVersion   = "k8s.io/component-base/version"
	containerd   = "github.com/containerd/containerd/v2"
	plugins      = "github.com/containernetworking/plugins/plugins"
)

// recipes is every program of a local cluster. hyperkube comes first: the others
// then find most of their packages in the compiler's cache.
//
//nolint:gochecknoglobals // a table that nothing writes
var recipes = []recipe{
	{
		name:     "hyperkube",
		packages: []string{localcluster + "/cmd/hyperkube"},
		sources:  []string{"cmd/hyperkube", "internal/gpuplugin", "internal/volumes"},
		stamps: []stamp{
			{k8sVersion + ".gitVersion", "k8s.io/kubernetes", whole},
			{k8sVersion + ".gitMajor", "k8s.io/kubernetes", major},
			{k8sVersion + ".gitMinor", "k8s.io/kubernetes", minor},
		},
		links: []string{
			"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
			"kubelet", "kube-proxy", "kubectl", "gpu-device-plugin", "local-volumes",
		},
	},
	{
		name: "containerd",
		packages: []string{
			containerd + "/cmd/containerd",
			containerd + "/cmd/containerd-shim-runc-v2",
			containerd + "/cmd/ctr",
		},
		stamps: []stamp{{containerd + "/version.Version", containerd, whole}},
	},
	{
		name: "cni",
		packages: []string{
			plugins + "/main/bridge",
			plugins + "/main/loopback",
			plugins + "/ipam/host-local",
			plugins + "/meta/portmap",
		},
		stamps: []stamp{{
			"github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion",
			"github.com/containernetworking/plugins", whole,
		}},
	},
	{
		// Static, so that a cache that moves to another machine needs no
		// libseccomp there.
		name:     "runc",
		packages: []string{"github.com/opencontainers/runc"},
		tags:     []string{"seccomp", "netgo", "osusergo"},
		static:   true,
	},
	{
		name:     "registry",
		packages: []string{localcluster + "/cmd/registry"},
		sources:  []string{"cmd/registry", "internal/registry"},
	},
	{
		name:     "helm",
		packages: []string{"helm.sh/helm/v4/cmd/helm"},
		stamps:   []stamp{{"helm.sh/helm/v4/internal/version.version", "helm.sh/helm/v4", whole}},
	},
	{
		name:     "kwok",
		packages: []string{"sigs.k8s.io/kwok/cmd/kwok"},
		stamps:   []stamp{{"sigs.k8s.io/kwok/pkg/consts.Version", "sigs.k8s.io/kwok", plain}},
	},
	{
		name:     "pause",
		packages: []string{localcluster + "/cmd/pause"},
		sources:  []string{"cmd/pause"},
	},
	{
		name:     "coredns",
		module:   "dns",
		packages: []string{localcluster + "/dns/cmd/coredns"},
		sources:  []string{"cmd/coredns"},
	},
}

// programs names the executables.
func (r recipe) programs() []string {
	names := make([]string, len(r.packages))
	for i, p := range r.packages {
		names[i] = path.Base(p)
	}
	return names
}

// builds tells whether a program or link of this name comes from the recipe.
func (r recipe) builds(name string) bool {
	return slices.Contains(r.programs(), name) || slices.Contains(r.links, name)
}

// flags are the arguments of "go build" that change the executables.
func (r recipe) flags(v versions) []string {
	link := []string{"-s", "-w"}
	for _, s := range r.stamps {
		link = append(link, "-X", s.variable+"="+s.part.of(v[s.module]))
	}
	if r.static {
		link = append(link, "-extldflags", "-static")
	}
	flags := []string{"-ldflags", strings.Join(link, " ")}
	if len(r.tags) > 0 {
		flags = append(flags, "-tags", strings.Join(r.tags, ","))
	}
	return flags
}

// settings are the environment variables that change the executables. Every
// program has the same ones but for cgo, so that all share one build cache.
func (r recipe) settings() []string {
	cgo := "CGO_ENABLED=0"
	if r.static {
		cgo = "CGO_ENABLED=1"
	}
	return []string{cgo, "GOFLAGS=-buildvcs=false -trimpath", "GOWORK=off"}
}
