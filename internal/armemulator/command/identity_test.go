package command_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	aks "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

const (
	tenantID = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	clientID = "11111111-2222-3333-4444-555555555555"
)

// The tokens are a real API server's, the keys are read from it, and the client is Azure's own.
func TestAServiceAccountOfARealClusterGetsIn(t *testing.T) {
	t.Parallel()
	config := api.Config(t)
	namespace := api.Namespace(t)
	dir := t.TempDir()
	kube := kubeconfig(t, config)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs stream
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, &out, &errs, "--dir", dir, "--address", "127.0.0.1:0", "--tenant", tenantID,
			"--kubeconfig", kube, "--identity", clientID+"=system:serviceaccount:"+namespace+":provisioner")
	}()
	address := "https://" + await(t, &errs, `msg=listening address=(\S+)`, code)
	for name, c := range map[string]struct{ account, audience, denied string }{
		"its own service account":              {"provisioner", armemulator.Audience, ""},
		"a token for the API server":           {"provisioner", "", "AADSTS700212"},
		"another service account of the place": {"other", armemulator.Audience, "AADSTS700213"},
	} {
		token := projected(t, namespace, c.account, c.audience)
		pager := pools(t, address, filepath.Join(dir, "ca.crt"), token).NewListPager("kaito", "kaito", nil)
		_, err := pager.NextPage(t.Context())
		if c.denied == "" && err != nil || c.denied != "" && (err == nil || !strings.Contains(err.Error(), c.denied)) {
			t.Errorf("%s: %v, want %q", name, err, c.denied)
		}
	}
	stop()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d\n%s", c, errs.String())
	}
}

// projected is a token as a kubelet projects it into a pod; without an audience it is one
// for the API server itself.
func projected(t *testing.T, namespace, name, audience string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := client.IgnoreAlreadyExists(api.Client(t).Create(t.Context(), account)); err != nil {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	if err := api.Client(t).SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

func kubeconfig(t *testing.T, c *rest.Config) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"c": {Server: c.Host, CertificateAuthorityData: c.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			"u": {ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Token: c.BearerToken},
		},
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "c",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// pools is the official client with the official credential for workload identity.
func pools(t *testing.T, address, ca, token string) *aks.AgentPoolsClient {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}}
	t.Cleanup(transport.CloseIdleConnections)
	options := azcore.ClientOptions{
		Transport: &http.Client{Transport: transport}, Retry: policy.RetryOptions{MaxRetries: -1},
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: address + "/",
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Audience: "https://management.core.windows.net/", Endpoint: address},
			},
		},
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: true, ClientID: clientID, TenantID: tenantID, TokenFilePath: file,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := aks.NewAgentPoolsClient("00000000-0000-0000-0000-000000000000", credential, &arm.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
