package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// restricted is a namespace in which the API server refuses every pod that Pod
// Security `restricted` does not allow.
const restricted = `apiVersion: v1
kind: Namespace
metadata:
  name: restricted
  labels: {pod-security.kubernetes.io/enforce: restricted}
`

// pod is a pod that `restricted` allows, with a read-only root and /tmp to write.
func pod(name, image, secret string, command []string) string {
	pull := ""
	if secret != "" {
		pull = fmt.Sprintf("  imagePullSecrets: [{name: %s}]\n", secret)
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: restricted}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
%s  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: tmp, emptyDir: {}}]
  containers:
  - name: it
    image: %s
    imagePullPolicy: Always
    command: [%s]
    volumeMounts: [{name: tmp, mountPath: /tmp}]
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`, name, pull, image, `"`+strings.Join(command, `", "`)+`"`)
}

func TestAPodFromEachImageRunsAsNonRootUnderPodSecurityRestricted(t *testing.T) {
	apply(t, restricted)
	for image, tc := range map[string]struct {
		command []string
		want    string
	}{
		"operator": {[]string{"/kaito-operator", "version"}, "kaito-operator"},
		"runner":   {[]string{"/kaito-runner", "version"}, "kaito-runner"},
		"llamacpp": {[]string{"llama-server", "--version"}, "version"},
		"tuner":    {[]string{"python3", "-m", "kaito_tuner.doctor"}, "torch"},
		"gate":     {[]string{"python3", "-m", "kaito_gate.doctor"}, "tokenizers"},
		"toolbox":  {[]string{"curl", "--version"}, "curl"},
	} {
		t.Run(image, func(t *testing.T) {
			apply(t, pod(image, "registry.local:5000/kaito/"+image+":dev", "", tc.command))
			eventually(t, 3*time.Minute, "the pod ends well", func() (string, bool) {
				out := kubectl(t, "get", "pod", "-n", "restricted", image, "-o", "jsonpath={.status}")
				return out, strings.Contains(out, `"phase":"Succeeded"`)
			})
			if out := kubectl(t, "logs", "-n", "restricted", image); !strings.Contains(strings.ToLower(out), tc.want) {
				t.Errorf("its log does not say %q:\n%s", tc.want, out)
			}
		})
	}
}

func TestAPrivateRepositoryNeedsTheSecret(t *testing.T) {
	apply(t, restricted)
	password, err := os.ReadFile("/var/lib/kaito-local/" + *name + "/registry/password")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "secret", "docker-registry", "-n", "restricted", "push", "--docker-server=registry.local:5000",
		"--docker-username=kaito", "--docker-password="+strings.TrimSpace(string(password)))

	copyImage := []string{
		"skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
		"docker://registry.local:5000/kaito/toolbox:dev", "docker://registry.local:5000/private/copy:1",
	}
	t.Run("a push from a pod without it is refused", func(t *testing.T) {
		apply(t, pod("no-secret", "registry.local:5000/kaito/toolbox:dev", "", copyImage))
		eventually(t, time.Minute, "the pod fails", phase(t, "no-secret", "Failed"))
		if out := kubectl(t, "logs", "-n", "restricted", "no-secret"); !strings.Contains(out, "unauthorized") && !strings.Contains(out, "authentication required") {
			t.Errorf("its log does not say that it was refused:\n%s", out)
		}
	})
	t.Run("a push from a pod with it goes through", func(t *testing.T) {
		manifest := pod("with-secret", "registry.local:5000/kaito/toolbox:dev", "", append(copyImage, "--authfile", "/secret/.dockerconfigjson"))
		manifest = strings.Replace(manifest, "{name: tmp, emptyDir: {}}", "{name: tmp, emptyDir: {}}, {name: secret, secret: {secretName: push}}", 1)
		manifest = strings.Replace(manifest, "{name: tmp, mountPath: /tmp}", "{name: tmp, mountPath: /tmp}, {name: secret, mountPath: /secret, readOnly: true}", 1)
		apply(t, manifest)
		eventually(t, time.Minute, "the pod ends well", phase(t, "with-secret", "Succeeded"))
	})
	t.Run("a pull without it is refused", func(t *testing.T) {
		apply(t, pod("pull-without", "registry.local:5000/private/copy:1", "", []string{"true"}))
		eventually(t, time.Minute, "the kubelet is refused", func() (string, bool) {
			out := kubectl(t, "get", "pod", "-n", "restricted", "pull-without", "-o", "jsonpath={.status.containerStatuses}")
			return out, strings.Contains(out, "ErrImagePull") || strings.Contains(out, "ImagePullBackOff")
		})
	})
	t.Run("a pull with it goes through", func(t *testing.T) {
		apply(t, pod("pull-with", "registry.local:5000/private/copy:1", "push", []string{"true"}))
		eventually(t, time.Minute, "the pod ends well", phase(t, "pull-with", "Succeeded"))
	})
}

func phase(t *testing.T, name, want string) func() (string, bool) {
	return func() (string, bool) {
		out := kubectl(t, "get", "pod", "-n", "restricted", name, "-o", "jsonpath={.status.phase}")
		return out, out == want
	}
}
