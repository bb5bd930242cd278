package pki

import (
	"encoding/base64"
	"fmt"
	"os"

	"kaito.sh/kaito/localcluster/internal/record"
)

// Kubeconfig writes a kubeconfig that carries the certificates in itself, so that
// it also works where it is copied to.
func (s Store) Kubeconfig(path, cluster, server, leaf string) error {
	var data [3]string
	for i, f := range []string{s.Cert("ca"), s.Cert(leaf), s.Key(leaf)} {
		b, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("write kubeconfig %q: %w", path, err)
		}
		data[i] = base64.StdEncoding.EncodeToString(b)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[1]s
current-context: %[1]s
`, cluster, server, data[0], data[1], data[2])
	return record.WriteFile(path, []byte(text), 0o600)
}
