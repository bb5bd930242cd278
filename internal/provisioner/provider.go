package provisioner

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/aks"
	"kaito.sh/kaito/internal/node/sim"
)

// newProvider makes the provider of the configuration; what it runs beside is given to the manager.
func newProvider(ctx context.Context, mgr ctrl.Manager, cfg config.Provisioner, log logr.Logger) (node.Provider, error) {
	types, err := instanceTypes(cfg.InstanceTypes)
	if err != nil {
		return nil, err
	}
	switch cfg.Provider {
	case config.ProviderAKS:
		return newAKS(cfg.AKS, types, log.WithName("aks"))
	case config.ProviderSim:
		return newSim(ctx, mgr, cfg.Sim, types)
	default:
		return nil, fmt.Errorf("there is no provider %q", cfg.Provider)
	}
}

// instanceTypes are those that we know, and more.
func instanceTypes(more string) (*instance.Table, error) {
	types, err := instance.Load()
	if err != nil {
		return nil, err
	}
	parsed, err := instance.Parse(more)
	if err != nil {
		return nil, fmt.Errorf("--instance-types: %w", err)
	}
	if types, err = types.With(parsed); err != nil {
		return nil, fmt.Errorf("--instance-types: %w", err)
	}
	return types, nil
}

// newSim makes a cloud in memory that finds the machines of an earlier process by their nodes.
func newSim(ctx context.Context, mgr ctrl.Manager, cfg config.Sim, types *instance.Table) (node.Provider, error) {
	// The manager's client watches every kind that it writes. Leases of nodes are not for a
	// provisioner to watch, and a write of one would wait for that watch for ever.
	kubelets, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return nil, fmt.Errorf("make the client of the simulated kubelets: %w", err)
	}
	simulated := sim.New(sim.Options{
		Clock: clock.RealClock{}, Seed: cfg.Seed, Instances: types, Client: kubelets, LeaseEvery: cfg.Lease,
		Delays: sim.Delays{Create: cfg.Create, Join: cfg.Join, Ready: time.Second, GPU: cfg.GPU, Remove: cfg.Remove},
	})
	if err := simulated.Restore(ctx, mgr.GetAPIReader()); err != nil {
		return nil, fmt.Errorf("find the simulated machines of an earlier process: %w", err)
	}
	if err := mgr.Add(simulated); err != nil {
		return nil, fmt.Errorf("add the simulated machines to the manager: %w", err)
	}
	return simulated.Provider(), nil
}

// newAKS makes the provider for AKS and its identity.
func newAKS(cfg config.AKS, types *instance.Table, log logr.Logger) (node.Provider, error) {
	caller, err := caller(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	credential, err := aks.WorkloadIdentity(aks.IdentityOptions{
		Tenant: cfg.Tenant, ClientID: cfg.ClientID, TokenFile: cfg.TokenFile, Authority: cfg.AuthorityHost, Private: cfg.PrivateAuthority,
		Transport: caller,
	})
	if err != nil {
		return nil, err
	}
	return aks.New(aks.Options{
		Subscription: cfg.Subscription, Group: cfg.ResourceGroup, Cluster: cfg.Cluster, Location: cfg.Location, Zones: cfg.Zones,
		Credential: credential, Types: types, Clock: clock.RealClock{}, Log: log,
		Client: arm.ClientOptions{ClientOptions: policy.ClientOptions{Cloud: where(cfg), Transport: caller}},
	})
}

// where is the cloud that is called.
func where(cfg config.AKS) cloud.Configuration {
	at := cloud.AzurePublic
	if cfg.AuthorityHost != "" {
		at.ActiveDirectoryAuthorityHost = cfg.AuthorityHost
	}
	manager := at.Services[cloud.ResourceManager]
	if cfg.Endpoint != "" {
		manager = cloud.ServiceConfiguration{Endpoint: cfg.Endpoint, Audience: cfg.Endpoint}
	}
	if cfg.Audience != "" {
		manager.Audience = cfg.Audience
	}
	at.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: manager}
	return at
}

// caller makes HTTPS calls; a file names authorities besides those of the system.
func caller(caFile string) (*http.Client, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the standard library's HTTP transport is another than it was")
	}
	transport = transport.Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return &http.Client{Transport: transport}, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read --aks-ca-file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the authorities of the system: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--aks-ca-file %q: there is no certificate in PEM in it", caFile)
	}
	transport.TLSClientConfig.RootCAs = pool
	return &http.Client{Transport: transport}, nil
}
