package cluster_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

func TestWhatAnAPIServerAnswers(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if strings.HasPrefix(body, "{") {
				w.Header().Set("Content-Type", "application/json")
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		is     any
		want   string
	}{
		"a kind that is not installed": {
			status(404, "404 page not found\n"), new(*cluster.NotInstalledError),
			"the cluster at URL knows no Workspaces: install the chart: helm install kaito charts/kaito --namespace kaito-system --create-namespace",
		},
		"a user without the right": {
			status(403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"workspaces.kaito.sh is forbidden: User \"eve\" cannot list resource \"workspaces\" in API group \"kaito.sh\" in the namespace \"chat\""}`),
			new(*cluster.DeniedError),
			`workspaces.kaito.sh is forbidden: User "eve" cannot list resource "workspaces" in API group "kaito.sh" in the namespace "chat"; ask an administrator of the cluster for that right`,
		},
		"credentials that have expired": {
			status(401, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401,"message":"Unauthorized"}`), nil,
			"the cluster at URL does not accept the credentials of the kubeconfig: log in again, or choose another --context: Unauthorized",
		},
		"what is no API server": {status(200, "<html>"), nil, "read workspaces from the cluster at URL: serializer for text/html; charset=utf-8 doesn't exist; check that this is the address of a Kubernetes API server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.answer)
			t.Cleanup(server.Close)
			err := list(t, server.URL)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(strings.ReplaceAll(tc.want, "URL", server.URL), err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if tc.is != nil && !errors.As(err, tc.is) {
				t.Errorf("%T is no %T", err, tc.is)
			}
		})
	}
}

func list(t *testing.T, host string) error {
	t.Helper()
	c, err := cluster.New(&rest.Config{Host: host}, "chat")
	if err != nil {
		t.Fatal(err)
	}
	return c.List(t.Context(), cluster.Where{Namespace: "chat"}, &v1beta1.WorkspaceList{})
}

func TestAClusterThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var gone *cluster.UnreachableError
	if err := list(t, server.URL); !errors.As(err, &gone) || !strings.Contains(err.Error(), "connection refused; check that it runs") {
		t.Errorf("got %v", err)
	}
}

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts:
- {name: plain, context: {cluster: c, user: u}}
- {name: team, context: {cluster: c, user: u, namespace: team}}
current-context: plain
`

func TestWhichClusterAndNamespace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(t.TempDir(), "absent")
	for name, tc := range map[string]struct {
		found     []string
		flags     cluster.Flags
		namespace string
		err       string
	}{
		"the user's own":                    {found: []string{absent, file}, namespace: "default"},
		"a context with a namespace":        {found: []string{file}, flags: cluster.Flags{Context: "team"}, namespace: "team"},
		"-n wins":                           {found: []string{file}, flags: cluster.Flags{Context: "team", Namespace: "chat"}, namespace: "chat"},
		"--kubeconfig wins":                 {found: []string{absent}, flags: cluster.Flags{Kubeconfig: file}, namespace: "default"},
		"no file at all":                    {found: []string{absent}, err: "no cluster is configured (nothing in " + absent + "): set KUBECONFIG or pass --kubeconfig FILE; for a cluster on this machine: kaito local up"},
		"a context that there is not":       {found: []string{file}, flags: cluster.Flags{Context: "prod"}, err: `read the kubeconfig: context "prod" does not exist`},
		"a --kubeconfig that there is not":  {flags: cluster.Flags{Kubeconfig: absent}, err: "read the kubeconfig: stat " + absent + ": no such file or directory"},
		"a --kubeconfig that holds nothing": {flags: cluster.Flags{Kubeconfig: os.DevNull}, err: "no cluster is configured (nothing in " + os.DevNull + "): set KUBECONFIG or pass --kubeconfig FILE; for a cluster on this machine: kaito local up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := cluster.Open(shell.Shell{Name: "kaito", Kubeconfig: tc.found}, tc.flags)
			if err != nil || tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("got %v, want %s", err, tc.err)
				}
				return
			}
			if c.Namespace != tc.namespace {
				t.Errorf("namespace %q, want %q", c.Namespace, tc.namespace)
			}
		})
	}
}
