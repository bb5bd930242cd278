package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kaito.sh/kaito/internal/hub/hubtest"
)

// dataHost answers for huggingface.co over TLS, as seen from pods, with the data set of
// target.yaml: that of the harbour, which has the same columns. It returns the file with
// the authority that has signed for it.
func dataHost(t *testing.T, address string) string {
	t.Helper()
	rows, err := os.ReadFile(filepath.Join(cluster.root, "examples/fine-tuning/data/harbour.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of this test"}, DNSNames: []string{"huggingface.co"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, self, self, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "443"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{
		Listener: listener,
		TLS:      &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/datasets/philschmid/dolly-15k-oai-style/resolve/main/"): // the hub sends data sets elsewhere
				http.Redirect(w, r, "/cdn/"+filepath.Base(r.URL.Path), http.StatusFound)
			case strings.HasPrefix(r.URL.Path, "/cdn/"):
				http.ServeContent(w, r, "train.parquet", time.Time{}, strings.NewReader(string(rows)))
			default:
				http.NotFound(w, r)
			}
		})},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	hosts := filepath.Join(where(t).Dir, "conf", "hosts")
	if err := os.WriteFile(hosts, fmt.Appendf(nil, "%s huggingface.co\n", address), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(hosts, nil, 0o644) })
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// phi3 is a hub that has the model's name and a tokenizer: that of the development model,
// since the real one cannot be had here. Weights are never asked for before there is a node.
func phi3(t *testing.T, address string) *hubtest.Hub {
	t.Helper()
	files := map[string]string{}
	home, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} {
		text, err := os.ReadFile(filepath.Join(home, "kaito/images/models/smollm2-135m-instruct/dequantized", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return hubtest.StartAt(t, address, map[string]hubtest.Repository{"microsoft/Phi-3-mini-128k-instruct": {Files: files}})
}

// The manifest that the project was asked for goes as far as hardware that nobody sells any
// more, and says so with what to take instead.
func TestTheTargetIsReportedUpToTheDoorOfTheHardware(t *testing.T) {
	host, _, _ := strings.Cut(strings.TrimPrefix(where(t).Files, "http://"), ":")
	authority, hub := dataHost(t, host), phi3(t, host)
	if err := cluster.helm("--set-file", "fetch.caFile="+authority, "--set", "hub.endpoint="+hub.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.helm(); err != nil {
			t.Error(err)
		}
	})
	w := workspace{space(t, "target"), "workspace-tuning-phi-3"}
	pushSecret(t, w.namespace, "harbour-push", password(t))
	manifest, err := os.ReadFile(filepath.Join(cluster.root, "examples/fine-tuning/target.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1", "registry.local:5000/private/"+w.namespace+":0.0.1",
		"ACR_REGISTRY_SECRET_HERE", "harbour-push",
	).Replace(string(manifest))
	before := clouds(t)
	if _, err := cluster.commandWithInput(time.Minute, text, "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	w.reaches(t, 4*time.Minute, "Accepted", "True ")
	eventually(t, 2*time.Minute, "the cloud's refusal stands in the condition, with two successors", func() (string, bool) {
		out := w.condition(t, "NodeClaimReady")
		return out, strings.Contains(out, "Standard_NC6s_v3") && strings.Contains(out, "retired") && strings.Count(out, "Standard_") >= 3
	})
	t.Log(w.condition(t, "NodeClaimReady"))
	if types := w.kubectl(t, "get", "nodeclaims", "-l", "kaito.sh/workspacenamespace="+w.namespace, "-o", "jsonpath={.items[*].spec.requirements}"); !strings.Contains(types, "Standard_NC6s_v3") {
		t.Errorf("the claim asks for %s", types)
	}
	if after := clouds(t); after.Puts == before.Puts {
		t.Error("the cloud has not been asked: its refusal cannot be its own")
	}
	out, err := cluster.command(time.Minute, filepath.Join(cluster.bin, "kaito"), "explain", w.name, "-n", w.namespace)
	if !strings.Contains(out, "retired") || strings.Count(out, "Standard_") < 3 {
		t.Errorf("kaito explain does not say it: %v\n%s", err, out)
	}
	if out := w.kubectl(t, "get", "workspace.v1alpha1.kaito.sh", w.name); !strings.Contains(out, "Standard_NC6s_v3") {
		t.Error(out)
	}
	if pods := w.kubectl(t, "get", "pods", "-l", "kaito.sh/role=tune", "-o", "name"); strings.TrimSpace(pods) != "" {
		t.Errorf("there is a pod that trains: %s", pods)
	}
}
