package plan

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kaito.sh/kaito/internal/nodelabel"
	"kaito.sh/kaito/internal/testkit"
)

// kubeconfig leads to the API server of the tests, as its administrator or as somebody else.
func kubeconfig(t *testing.T, as string) string {
	t.Helper()
	c, config := api.Config(t), clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Impersonate: as}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// withGPUs is a node on which NVIDIA's device plugin and its discovery run.
func withGPUs(count, product, mib, major, minor string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Allocatable["nvidia.com/gpu"] = resource.MustParse(count)
		n.Status.Capacity = n.Status.Allocatable.DeepCopy()
		n.Labels["nvidia.com/gpu.product"], n.Labels["nvidia.com/gpu.memory"] = product, mib
		n.Labels["nvidia.com/gpu.compute.major"], n.Labels["nvidia.com/gpu.compute.minor"] = major, minor
	}
}

// joinFew makes nodes of several kinds; the names of all begin with the label that they have.
func joinFew(t *testing.T, label string) {
	t.Helper()
	mine := testkit.NodeLabel("apps", label)
	large := testkit.Allocatable("24", "200Gi")
	for name, edits := range map[string][]func(*corev1.Node){
		"a100-1":   {large, withGPUs("1", "NVIDIA-A100-SXM4-80GB", "81920", "8", "0"), testkit.NodeLabel(corev1.LabelInstanceTypeStable, "Standard_NC24ads_A100_v4")},
		"a100-2":   {large, withGPUs("1", "NVIDIA-A100-SXM4-80GB", "81920", "8", "0"), testkit.NodeLabel(corev1.LabelInstanceTypeStable, "Standard_NC24ads_A100_v4")},
		"cordoned": {large, withGPUs("1", "NVIDIA-A100-SXM4-80GB", "81920", "8", "0"), testkit.Cordoned},
		"cpu":      {},
		"made":     {large, testkit.NodeLabel(nodelabel.NodePool, nodelabel.PoolName), testkit.NodeLabel(nodelabel.Workspace, "other"), testkit.NodeLabel(nodelabel.Namespace, "team")},
		"t4":       {large, withGPUs("1", "Tesla-T4", "15360", "7", "5")},
		"v100":     {large, withGPUs("1", "Tesla-V100", "16384", "7", "0")},
	} {
		api.Join(t, testkit.Node(label+"-"+name, append([]func(*corev1.Node){mine}, edits...)...))
	}
}

func TestOwnNodesOnARealAPIServer(t *testing.T) { //nolint:paralleltest // it runs an operator
	operate(t)
	label, config := api.Namespace(t), kubeconfig(t, "")
	joinFew(t, label)
	own := []string{"--own-nodes", "--kubeconfig", config, "--selector", "apps=" + label}
	t.Run("a table of the nodes that there are", func(t *testing.T) {
		out, _, err := run(append([]string{"phi-4-mini-instruct", "--prices", file(t, "p.yaml", prices)}, own...)...)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "own-nodes.txt", strings.ReplaceAll(out, label, "pool"))
	})
	t.Run("a training on them", func(t *testing.T) {
		out, _, err := run(append([]string{"phi-4-mini-instruct", "--tune", "qlora", "--length", "1024"}, own...)...)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "own-nodes-tune.txt", strings.ReplaceAll(out, label, "pool"))
	})
	t.Run("a Workspace for them", func(t *testing.T) {
		out, _, err := run(append([]string{"phi-4-mini-instruct", "--manifest", "--context", "4096"}, own...)...)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "own-nodes-manifest.yaml", strings.ReplaceAll(out, label, "pool"))
	})
	t.Run("what the operator chooses is the first row", func(t *testing.T) {
		text := "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: w}\nresource: {labelSelector: {matchLabels: {apps: " + label + "}}}\ninference: {preset: {name: phi-4-mini-instruct}}\n"
		out, _, err := run("-f", file(t, "w.yaml", text), "--own-nodes", "--kubeconfig", config, "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		var d document
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatal(err)
		}
		if len(d.Plans) != 2 || strings.Join(d.Plans[0].NodeNames, " ") != label+"-a100-1 "+label+"-a100-2" {
			t.Fatalf("plans are %s", out)
		}
		ws := submit(t, label, text)
		settled(t, ws, true)
		d.Plans = d.Plans[:1]
		one, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		samePlan(t, string(one), ws.Status.Plan)
	})
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a selector that matches nothing": {[]string{"phi-4", "--own-nodes", "--kubeconfig", config, "-l", "apps=nowhere"}, `no node of the cluster matches the selector "apps=nowhere"`},
		"a model that none of them holds": {append([]string{"llama-3.3-70b-instruct"}, own...), `model "llama-3.3-70b-instruct" fits none of the nodes as it is asked for`},
		"none that takes pods":            {[]string{"phi-4", "--own-nodes", "--kubeconfig", config, "-l", "kubernetes.io/hostname=" + label + "-cordoned"}, "no node can take a model now: " + label + "-cordoned (cordoned)"},
		"somebody without the right":      {[]string{"phi-4", "--own-nodes", "--kubeconfig", kubeconfig(t, "jane")}, `User "jane" cannot list resource "nodes"`},
		"a kubeconfig that is not there":  {[]string{"phi-4", "--own-nodes", "--kubeconfig", "/nonexistent"}, "/nonexistent"},
		"a context that is not there":     {[]string{"phi-4", "--own-nodes", "--kubeconfig", config, "--kube-context", "y"}, `"y"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := run(tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ended with %v, want %q", err, tc.want)
			}
		})
	}
}
