package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const pod = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: registry.local:5000/%[2]s
    imagePullPolicy: Always
    readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
%[3]s`

const service = `
apiVersion: v1
kind: Service
metadata: {name: site}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}`

// TestLocalCluster is one story, because each part needs what the one before made.
func TestLocalCluster(t *testing.T) {
	a, b := local{t, "e2e-a"}, local{t, "e2e-b"}
	for _, l := range []local{a, b} {
		l.do("down", "--purge") // what a killed run left
	}
	before := snapshot(t, nil)
	t.Cleanup(func() {
		for _, l := range []local{a, b} {
			_, _ = l.try("down", "--purge")
		}
		_ = os.Remove(*dataRoot)
	})
	a.up()
	b.up()
	own := bridges(a, b)
	for _, l := range []local{a, b} {
		web(l)
	}
	names(a)
	t.Run("refusals say what to do", func(t *testing.T) { refusals(local{t, a.name}) })
	t.Run("private images need their secret", func(t *testing.T) { private(local{t, a.name}) })
	t.Run("volumes", func(t *testing.T) { volume(local{t, a.name}) })
	t.Run("a node with GPUs comes and goes", func(t *testing.T) { gpuNode(local{t, a.name}) })
	t.Run("the first node goes", func(t *testing.T) { firstNodeGoes(local{t, b.name}) })
	t.Run("a stopped kubelet is noticed and recovers", func(t *testing.T) { stoppedKubelet(local{t, a.name}) })
	t.Run("everything is killed and comes back", func(t *testing.T) {
		l := local{t, a.name}
		kill(l)
		l.up()
		keeps(l)
	})
	t.Run("everything is killed and leaves nothing", func(t *testing.T) {
		kill(local{t, a.name})
		kill(local{t, b.name})
		local{t, a.name}.do("down")
		local{t, b.name}.do("down")
		same(t, before, own)
	})
	t.Run("data is there after down and up", func(t *testing.T) {
		l := local{t, a.name}
		l.up()
		keeps(l)
		l.do("down", "--purge")
		local{t, b.name}.do("down", "--purge")
		if _, err := os.Stat(filepath.Join(*dataRoot, a.name)); err == nil {
			t.Error("purge left the data")
		}
		same(t, before, own)
	})
}

func bridges(all ...local) []string {
	var out []string
	for _, l := range all {
		out = append(out, "kl"+strconv.Itoa(l.status().Index))
	}
	return out
}

// web runs the first pod with a service, reached from the machine by both addresses.
func web(l local) {
	l.t.Helper()
	if err := l.push("web:1", authn.Anonymous); err != nil {
		l.t.Fatalf("push: %v", err)
	}
	l.must(fmt.Sprintf(pod, "web", "web:1", "")+"\n---"+service, "apply", "-f", "-")
	l.ready("web")
	l.answers("http://"+l.podIP("web")+":8000/", "web")
	l.answers("http://"+clusterIP(l)+"/", "web")
}

func clusterIP(l local) string {
	l.t.Helper()
	return l.must("", "get", "service", "site", "-o", "jsonpath={.spec.clusterIP}")
}

// names are resolved in a pod: services, the registry, the file server, and quickly nothing else.
func names(l local) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(*dataRoot, l.name, "files", "data.txt"), []byte("rows"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	fetch := "http://" + l.podIP("web") + ":8000/fetch?url="
	l.answers(fetch+"http://site/", "web")
	l.answers(fetch+"http://site.default.svc.cluster.local/", "web")
	l.answers(fetch+"http://files.local:8080/data.txt", "rows")
	if got, err := l.get(fetch + "http://registry.local:5000/v2/"); err != nil && !strings.Contains(err.Error(), "401") {
		l.t.Errorf("registry from a pod: %q, %v", got, err)
	}
	begin := time.Now()
	if _, err := l.get(fetch + "http://example.com/"); err == nil || !strings.Contains(err.Error(), "no such host") {
		l.t.Errorf("a name outside must be unknown: %v", err)
	}
	l.t.Logf("a name outside was unknown after %s", time.Since(begin))
}

func refusals(l local) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"too many nodes":             {[]string{"up", "--nodes", "6"}, "give 1 to 5"},
		"a disk that is too small":   {[]string{"up", "--min-disk", "9000Ti"}, "--min-disk"},
		"a folder without programs":  {[]string{"up", "--programs", "/var/empty", "--min-disk", "1Gi"}, "not complete"},
		"a node larger than all":     {[]string{"node", "add", "big", "--cpu", "4096"}, "more than this machine can give"},
		"more memory than all":       {[]string{"node", "add", "big", "--memory", "512Ti"}, "more than this machine can give"},
		"a name that is taken":       {[]string{"node", "add", "node1"}, "already"},
		"a node that is not there":   {[]string{"node", "remove", "nobody"}, "there is no node"},
		"a taint without an effect":  {[]string{"node", "add", "x", "--taint", "sku=gpu"}, "key=value:Effect"},
		"an image that is not there": {[]string{"load", "/var/empty/none.tar"}, "no such file"},
		"a log that is not there":    {[]string{"logs", "nobody"}, "there are: "},
	}
	for name, tc := range cases {
		l.t.Run(name, func(t *testing.T) {
			if out, err := (local{t, l.name}).try(tc.args...); err == nil || !strings.Contains(out, tc.want) {
				t.Errorf("got %v %q, want %q", err, out, tc.want)
			}
		})
	}
}

// private pushes to a protected repository and pulls from it, each refused without the password.
func private(l local) {
	password, err := os.ReadFile(filepath.Join(*dataRoot, l.name, "registry", "password"))
	if err != nil {
		l.t.Fatal(err)
	}
	secret := strings.TrimSpace(string(password))
	if err := l.push("private/web:1", authn.Anonymous); err == nil {
		l.t.Fatal("a push without a password was taken")
	}
	if err := l.push("private/web:1", &authn.Basic{Username: "kaito", Password: secret}); err != nil {
		l.t.Fatalf("push with the password: %v", err)
	}
	l.must(fmt.Sprintf(pod, "refused", "private/web:1", ""), "apply", "-f", "-")
	l.await("pull without a secret refused", time.Minute, func() string {
		out, _ := l.kubectl("", "get", "pod", "refused", "-o", "jsonpath={.status.containerStatuses[0].state.waiting}")
		if strings.Contains(out, "ErrImagePull") || strings.Contains(out, "ImagePullBackOff") {
			return ""
		}
		return out
	})
	l.must("", "delete", "pod", "refused", "--now")
	l.must("", "create", "secret", "docker-registry", "pull", "--docker-server=registry.local:5000", "--docker-username=kaito", "--docker-password="+secret)
	l.must(fmt.Sprintf(pod, "allowed", "private/web:1", "  imagePullSecrets: [{name: pull}]"), "apply", "-f", "-")
	l.ready("allowed")
	l.must("", "delete", "pod", "allowed", "--now")
}

const claim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}`

// volume writes into a claim of the default class; keeps reads it again.
func volume(l local) {
	l.must(claim+"\n---"+fmt.Sprintf(pod, "keeper", "web:1",
		"    volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]"), "apply", "-f", "-")
	l.ready("keeper")
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPut, "http://"+l.podIP("keeper")+":8000/file?path=/data/note", strings.NewReader("kept"))
	if err != nil {
		l.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		l.t.Fatalf("write into the volume: %v, %v", resp, err)
	}
}

// keeps checks that pods, volume and registry content are there again.
func keeps(l local) {
	l.await("pods answer again", 2*time.Minute, func() string {
		ip, err := l.kubectl("", "get", "pod", "keeper", "-o", "jsonpath={.status.podIP}")
		if err != nil {
			return ip
		}
		got, err := l.get("http://" + ip + ":8000/file?path=/data/note")
		if err != nil {
			return err.Error()
		}
		if got != "kept" {
			return "the volume holds " + got
		}
		return ""
	})
	l.ready("web")
	l.answers("http://"+clusterIP(l)+"/", "web")
	l.must(fmt.Sprintf(pod, "again", "web:1", ""), "apply", "-f", "-") // pulls Always: the tag must be there
	l.ready("again")
	l.must("", "delete", "pod", "again", "--now")
}

// gpuNode adds a shaped node while pods run, runs a GPU pod there and removes it.
func gpuNode(l local) {
	l.do("node", "add", "gpu", "--gpus", "2", "--label", "sku=gpu", "--label", "node-role.kubernetes.io/gpu=true", "--taint", "sku=gpu:NoSchedule",
		"--provider-id", "azure:///e2e/0", "--cpu", "1", "--memory", "2Gi")
	shape := func(path string) string { return l.must("", "get", "node", "gpu", "-o", "jsonpath="+path) }
	l.await("GPUs allocatable", 30*time.Second, func() string {
		if got := shape(`{.status.allocatable.nvidia\.com/gpu}`); got != "2" {
			return "got " + got
		}
		return ""
	})
	want := map[string]string{
		`{.spec.providerID}`: "azure:///e2e/0", `{.spec.taints[?(@.key=="sku")].effect}`: "NoSchedule", `{.status.allocatable.cpu}`: "1",
		`{.status.allocatable.memory}`: "2Gi", `{.metadata.labels.sku}`: "gpu", `{.metadata.labels.node-role\.kubernetes\.io/gpu}`: "true",
	}
	for path, w := range want {
		if got := shape(path); got != w {
			l.t.Errorf("node %s = %q, want %q", path, got, w)
		}
	}
	l.must(fmt.Sprintf(pod, "gpu", "web:1", "    resources: {limits: {nvidia.com/gpu: 2}}\n  tolerations: [{key: sku, operator: Exists}]"), "apply", "-f", "-")
	l.ready("gpu")
	if on := l.must("", "get", "pod", "gpu", "-o", "jsonpath={.spec.nodeName}"); on != "gpu" {
		l.t.Errorf("the pod runs on %q", on)
	}
	// From the new node's pod to the old node's, by pod address and by service.
	fetch := "http://" + l.podIP("gpu") + ":8000/fetch?url=http://"
	l.answers(fetch+l.podIP("web")+":8000/", "web")
	l.answers(fetch+"site.default/", "web")
	l.answers("http://"+l.podIP("web")+":8000/fetch?url=http://"+l.podIP("gpu")+":8000/", "gpu")
	l.must("", "delete", "pod", "gpu", "--now")
	l.do("node", "remove", "gpu")
	if out, err := l.kubectl("", "get", "node", "gpu"); err == nil {
		l.t.Errorf("the node is still there: %s", out)
	}
	l.answers("http://"+clusterIP(l)+"/", "web")
}

// firstNodeGoes replaces the node through which the machine reaches services.
func firstNodeGoes(l local) {
	l.do("node", "add", "other")
	l.do("node", "remove", "node1")
	l.must("", "delete", "pod", "web", "--force", "--grace-period=0", "--ignore-not-found")
	l.must(fmt.Sprintf(pod, "web", "web:1", ""), "apply", "-f", "-")
	l.ready("web")
	l.answers("http://"+clusterIP(l)+"/", "web")
}

func stoppedKubelet(l local) {
	pids := slices.DeleteFunc(processes(), func(p string) bool {
		return !strings.Contains(p, "/kubelet --config "+filepath.Join(*dataRoot, l.name)+"/")
	})
	if len(pids) != 1 {
		l.t.Fatalf("kubelets: %v", pids)
	}
	pid, err := strconv.Atoi(strings.Fields(pids[0])[0])
	if err != nil {
		l.t.Fatal(err)
	}
	node := func(want string) func() string {
		return func() string {
			out, _ := l.kubectl("", "get", "node", "node1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
			if out == want {
				return ""
			}
			return "Ready=" + out
		}
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		l.t.Fatal(err)
	}
	l.await("node Unknown", 40*time.Second, node("Unknown"))
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		l.t.Fatal(err)
	}
	l.await("node Ready again", 40*time.Second, node("True"))
}

// kill ends every process of the cluster at once, without a warning.
func kill(l local) {
	l.t.Helper()
	group := fmt.Sprintf("/kaito-local/kl%d/", l.status().Index)
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		groups, _ := os.ReadFile(filepath.Join(d, "cgroup"))
		if pid, err := strconv.Atoi(filepath.Base(d)); err == nil && strings.Contains(string(groups), group) {
			pids = append(pids, pid)
		}
	}
	if len(pids) < 10 {
		l.t.Fatalf("only %d processes in %s: the cluster does not run", len(pids), group)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	l.t.Logf("%s: %d processes killed", l.name, len(pids))
}
