package e2e

import (
	"strings"
	"testing"
	"time"
)

// may asks the API server whether the operator's ServiceAccount may do something.
func may(t *testing.T, words ...string) string {
	t.Helper()
	args := append([]string{"auth", "can-i", "--as", "system:serviceaccount:" + system + ":kaito-operator"}, words...)
	out, err := cluster.command(time.Minute, "kubectl", args...)
	// The answer is the last word, after warnings; kubectl ends with 1 when it is no.
	lines := strings.Split(strings.TrimSpace(out), "\n")
	answer := lines[len(lines)-1]
	if answer != "yes" && answer != "no" {
		t.Fatalf("%q: %v", out, err)
	}
	return answer
}

func TestTheOperatorMayDoItsWorkAndReadNoSecret(t *testing.T) {
	for want, questions := range map[string][]string{
		"no": {
			"get secrets -n default", "list secrets -n default", "watch secrets -n default",
			"get secrets -n " + system, "list secrets -n " + system, "get secrets --all-namespaces", "list secrets --all-namespaces",
			"watch secrets --all-namespaces", "create secrets -n default", "patch secrets -n default", "delete secrets -n default",
			"get secrets/one -n default", "create pods -n default", "create pods --subresource=exec -n default", "get pods --subresource=log -n default",
			"create serviceaccounts --subresource=token -n " + system, "create clusterrolebindings", "impersonate serviceaccounts -n default", "patch nodes",
		},
		// What it needs: these say that the questions above reach the right account.
		"yes": {
			"get workspaces.kaito.sh --all-namespaces", "patch workspaces.kaito.sh --subresource=status -n default",
			"patch statefulsets.apps -n default", "list pods --all-namespaces", "patch leases.coordination.k8s.io/kaito-operator -n " + system,
		},
	} {
		for _, q := range questions {
			t.Run(q+": "+want, func(t *testing.T) {
				if got := may(t, strings.Fields(q)...); got != want {
					t.Errorf("kubectl auth can-i %s: %s, want %s", q, got, want)
				}
			})
		}
	}
}
