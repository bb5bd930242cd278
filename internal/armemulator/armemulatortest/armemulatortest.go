// Package armemulatortest gives tests an emulator that answers over TLS on this machine,
// and what the official clients need to reach it.
package armemulatortest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"kaito.sh/kaito/internal/armemulator"
)

// What the emulator stands for unless the options say otherwise.
const (
	Subscription = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
	Group        = "models"
	Cluster      = "gpu"
	Region       = "eastus"
	Tenant       = "72f988bf-86f1-41af-91ab-2d7cd011db47"
)

// Server is a running emulator.
type Server struct {
	*armemulator.Emulator
	// Machines are those in memory, nil where the options brought others.
	Machines *armemulator.Memory
	// URL is where it answers, CA whom it is signed by.
	URL string
	CA  *x509.CertPool
	// Cloud is both for azcore: Resource Manager and Entra are at URL.
	Cloud cloud.Configuration
	// Credential is any bearer token, for emulators without Tokens.
	Credential azcore.TokenCredential
	// HTTP trusts the emulator.
	HTTP *http.Client
}

// Start runs an emulator until the test ends. Empty fields of the options are filled in.
func Start(t testing.TB, o armemulator.Options) *Server {
	t.Helper()
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&o.Subscription, Subscription)
	set(&o.Group, Group)
	set(&o.Cluster, Cluster)
	set(&o.Region, Region)
	s := &Server{Credential: anyone{}}
	if o.Machines == nil {
		s.Machines = armemulator.NewMemory()
		o.Machines = s.Machines
	}
	emulator, err := armemulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Emulator = emulator
	s.listen(t)
	return s
}

func (s *Server) listen(t testing.TB) {
	t.Helper()
	authority, err := armemulator.NewAuthority(time.Now()) //nolint:forbidigo // certificates are checked against the machine's clock
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Certificate(time.Now(), "127.0.0.1") //nolint:forbidigo // as above
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.Handler())
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.URL, s.CA = server.URL, authority.Pool()
	s.Cloud = cloud.Configuration{
		ActiveDirectoryAuthorityHost: s.URL + "/",
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Audience: "https://management.core.windows.net/", Endpoint: s.URL},
		},
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.CA}}
	t.Cleanup(transport.CloseIdleConnections)
	s.HTTP = &http.Client{Transport: transport}
}

// ClientOptions are those of an official client, which tries each call once.
func (s *Server) ClientOptions() *arm.ClientOptions {
	return &arm.ClientOptions{ClientOptions: policy.ClientOptions{
		Cloud: s.Cloud, Transport: s.HTTP, Retry: policy.RetryOptions{MaxRetries: -1},
	}}
}

// anyone is a credential without an identity.
type anyone struct{}

func (anyone) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "anyone", ExpiresOn: time.Now().Add(time.Hour)}, nil //nolint:forbidigo // the client compares it with the machine's clock
}
