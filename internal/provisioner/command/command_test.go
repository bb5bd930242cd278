package command_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"kaito.sh/kaito/internal/provisioner/command"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		"the version":                  {args: "version", stdout: "gpu-provisioner v1"},
		"help with an example":         {args: "--help", stdout: "gpu-provisioner --provider sim"},
		"a flag that is missing":       {args: "", code: 2, stderr: "--provider is missing: say aks or sim"},
		"where help is":                {args: "--nonsense", code: 2, stderr: "See gpu-provisioner --help."},
		"an argument that is too much": {args: "serve", code: 2, stderr: `unknown command "serve"`},
		"no cluster":                   {args: "--provider=sim", code: 1, stderr: "find the cluster (in a pod by its service account, else by KUBECONFIG): nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := command.Execute(t.Context(), command.World{
				Stdout: &stdout, Stderr: &stderr, Long: "gpu-provisioner v1",
				Cluster: func() (*rest.Config, error) { return nil, errors.New("nowhere") },
			}, strings.Fields(tc.args))
			if code != tc.code {
				t.Errorf("exit code is %d, want %d", code, tc.code)
			}
			if !strings.Contains(stdout.String(), tc.stdout) || (tc.stdout == "" && stdout.Len() > 0) {
				t.Errorf("stdout is %q, want it to say %q", stdout.String(), tc.stdout)
			}
			if !strings.Contains(stderr.String(), tc.stderr) || (tc.stderr == "" && stderr.Len() > 0) {
				t.Errorf("stderr is %q, want it to say %q", stderr.String(), tc.stderr)
			}
		})
	}
}
