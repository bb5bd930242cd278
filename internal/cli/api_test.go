package cli

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// onCluster is a shell whose kubeconfig leads to the API server of the tests, as
// its administrator or as somebody else.
func onCluster(t *testing.T, namespace, as string) *fake {
	t.Helper()
	f, c := newFake(t), api.Config(t)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Impersonate: as}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: namespace}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	f.Kubeconfig, f.Now = []string{file}, time.Now
	return f
}

// waits makes a Workspace whose operator has found no node.
func waits(t *testing.T, namespace, name string) *v1beta1.Workspace {
	t.Helper()
	c, ws := api.Client(t), testkit.Workspace(namespace, name)
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	because := v1beta1.NoMatchingNode("apps=" + name)
	ws.Status.State = v1beta1.StatePending
	ws.Status.Conditions = []metav1.Condition{v1beta1.Accepted("smollm2-135m-instruct"), because, v1beta1.ResourceNotReady(because), v1beta1.InferenceWaits(because), v1beta1.WorkspaceNotReady(because)}
	for i := range ws.Status.Conditions {
		ws.Status.Conditions[i].ObservedGeneration, ws.Status.Conditions[i].LastTransitionTime = ws.Generation, metav1.Now()
	}
	if err := c.Status().Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	return ws
}

// asksForANode makes a Workspace whose node the cloud refuses.
func asksForANode(t *testing.T, namespace, name string) {
	t.Helper()
	ws := testkit.Workspace(namespace, name, testkit.InstanceType("Standard_NC6s_v3"))
	if err := api.Client(t).Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	claim := &nodeclaim.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:   nodeclaim.Name(namespace, name, string(ws.UID), 0, 0),
			Labels: map[string]string{nodeclaim.LabelWorkspace: name, nodeclaim.LabelNamespace: namespace, nodeclaim.LabelOrdinal: "0"},
		},
		Spec: nodeclaim.Spec{
			NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName},
			Requirements: []nodeclaim.Requirement{{Key: "node.kubernetes.io/instance-type", Operator: "In", Values: []string{"Standard_NC6s_v3"}}},
		},
	}
	if err := api.Client(t).Create(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	claim.StatusConditions().SetFalse(nodeclaim.ConditionLaunched, nodeclaim.ReasonSKUUnavailable, "SkuNotAvailable: no such size here.")
	if err := api.Client(t).Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
}

func TestGetAndExplainOnARealAPIServer(t *testing.T) {
	t.Parallel()
	here, there := api.Namespace(t), api.Namespace(t)
	waits(t, here, "smollm2")
	waits(t, there, "elsewhere")
	nodes := api.Namespace(t)
	asksForANode(t, nodes, "made")
	for name, tc := range map[string]struct {
		args []string
		as   string
		code int
		// out and err are parts of what is printed.
		out, err []string
	}{
		"get": {
			args: []string{"get"},
			out:  []string{"NAME      INSTANCE   RESOURCEREADY   INFERENCEREADY   WORKSPACEREADY   AGE\nsmollm2              False  ", `NodesReady NoMatchingNode: No node matches the label selector "apps=smollm2"`},
		},
		"get -A":            {args: []string{"get", "-A"}, out: []string{here, there, "NAMESPACE"}},
		"get -o json":       {args: []string{"get", "smollm2", "-o", "json"}, out: []string{`"apiVersion": "kaito.sh/v1beta1"`, `"name": "smollm2"`}},
		"get a wrong name":  {args: []string{"get", "smolm2", "smollm2"}, code: 1, out: []string{"NoMatchingNode"}, err: []string{`there is no Workspace "smolm2" in namespace "` + here + `"; did you mean smollm2?`}},
		"explain":           {args: []string{"explain", "smollm2"}, out: []string{"NodesReady: False NoMatchingNode", "<- the cause", "What to do: Label a node; it is picked up at once: `kubectl label node NODE apps=smollm2`"}},
		"explain -o json":   {args: []string{"explain", "smollm2", "-o", "json"}, out: []string{`"whatToDo": "Label a node`}},
		"another namespace": {args: []string{"explain", "elsewhere"}, code: 1, err: []string{"did you mean elsewhere -n " + there}},
		"chat": {
			args: []string{"chat", "smollm2", "-m", "?"}, code: 1,
			err: []string{`Workspace "smollm2" does not answer, it is Pending: NodesReady NoMatchingNode`, "add --wait to wait for it, or see: kaito explain smollm2"},
		},
		"nodes": {
			args: []string{"nodes", "-n", nodes},
			out:  []string{"NODECLAIM", "made        Standard_NC6s_v3   Refused", "  Launched SKUUnavailable: SkuNotAvailable: no such size here\n"},
		},
		"nodes -A -o wide":                {args: []string{"nodes", "-A", "-o", "wide"}, out: []string{"NAMESPACE", "ORDINAL", nodes}},
		"nodes -o json":                   {args: []string{"nodes", "made", "-n", nodes, "-o", "json"}, out: []string{`"workspace": "made"`, `"state": "Refused"`}},
		"nodes of one that asks for none": {args: []string{"nodes", "smollm2"}, err: []string{"No node was asked for by smollm2"}},
		"nodes without rights":            {args: []string{"nodes"}, as: "eve", code: 1, err: []string{`cannot list resource "nodeclaims"`, "ask an administrator"}},
		"nodes in two ways":               {args: []string{"nodes", "-A", "made"}, code: 2, err: []string{"leave out -A, or the name"}},
		"explain with its nodes": {
			args: []string{"explain", "made", "-n", nodes},
			out:  []string{"Nodes that were asked for", "Standard_NC6s_v3: Refused", "Launched: False SKUUnavailable: SkuNotAvailable: no such size here"},
		},
		"version": {args: []string{"version"}, out: []string{"kaito "}, err: []string{"No operator runs in the cluster"}},
		"version without the right to see the operator": {args: []string{"version"}, as: "eve", out: []string{"kaito "}, err: []string{"The operator is not seen", "deployments.apps is forbidden"}},
		"a user without rights":                         {args: []string{"get"}, as: "eve", code: 1, err: []string{`User "eve" cannot list resource "workspaces" in API group "kaito.sh"`, "ask an administrator"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := onCluster(t, here, tc.as)
			if code := f.run(t, tc.args...); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			for _, part := range tc.out {
				if !strings.Contains(f.out.String(), part) {
					t.Errorf("printed no %q:\n%s", part, &f.out)
				}
			}
			for _, part := range tc.err {
				if !strings.Contains(f.err.String(), part) {
					t.Errorf("said no %q:\n%s", part, &f.err)
				}
			}
			if len(tc.err) == 0 && f.err.Len() > 0 {
				t.Errorf("said %q", &f.err)
			}
		})
	}
}

func TestAWatchPrintsWhatChangesAndNothingElse(t *testing.T) {
	t.Parallel()
	c, namespace := api.Client(t), api.Namespace(t)
	ws := waits(t, namespace, "smollm2")
	f := onCluster(t, namespace, "")
	read, write := io.Pipe()
	f.Out = write
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, f.Shell, []string{"get", "--watch"})
		_ = write.Close()
	}()
	var seen bytes.Buffer
	sees := func(text string) {
		t.Helper()
		b := make([]byte, 4096)
		for !strings.Contains(seen.String(), text) {
			n, err := read.Read(b)
			if err != nil {
				t.Fatalf("the watch ended before it printed %q: %v; it printed %q and said %q", text, err, &seen, &f.err)
			}
			seen.Write(b[:n])
		}
		_, after, _ := strings.Cut(seen.String(), text)
		seen.Reset()
		seen.WriteString(after)
	}
	sees("NoMatchingNode")
	sees("\n")
	// A change that is not shown.
	ws.Annotations = map[string]string{"a": "b"}
	if err := c.Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	// One that is.
	for i := range ws.Status.Conditions {
		ws.Status.Conditions[i].Status, ws.Status.Conditions[i].Reason = metav1.ConditionTrue, "Fine"
	}
	if err := c.Status().Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	sees("smollm2              True  ")
	if strings.Contains(seen.String(), "False") {
		t.Errorf("a row came for a change that is not shown: %q", &seen)
	}
	if err := c.Delete(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	sees("smollm2 is deleted\n")
	cancel(shell.ErrInterrupted)
	go func() { _, _ = io.Copy(io.Discard, read) }()
	if code := <-ended; code != 0 {
		t.Errorf("a watch that its user ends has exit code %d: %s", code, &f.err)
	}
}
