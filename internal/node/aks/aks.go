// Package aks makes machines as agent pools of an Azure Kubernetes Service cluster, one
// pool with one virtual machine for each claim. It never waits for Azure: what takes long
// is started, and asked about once at a time.
package aks

import (
	"fmt"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/node"
)

// Options say which cluster gets the machines. Subscription, Group, Cluster, Credential and
// Clock must be given.
type Options struct {
	// Subscription is an id, Group and Cluster are the names of the resource group and of the
	// managed cluster in it.
	Subscription, Group, Cluster string
	// Location is the region, such as eastus. It is only needed to read zones like eastus-1,
	// and said in advice.
	Location string
	// Zones are tried after the placement by region, for claims that ask for no zone.
	Zones []string
	// Credential gets tokens for Azure Resource Manager; see WorkloadIdentity.
	Credential azcore.TokenCredential
	// Client says which cloud is called, and how: its Cloud and Transport. How often is tried
	// is decided here.
	Client arm.ClientOptions
	// Types are the sizes that are known; those of the program when nil.
	Types *instance.Table
	// Clock is this machine's.
	Clock clock.PassiveClock
	// TTL is how old the shared list of pools may be, 15 s when 0.
	TTL time.Duration
	// Log takes a line for each change that is asked of Azure.
	Log logr.Logger
}

// Provider makes machines as agent pools.
type Provider struct {
	o     Options
	pools *armcontainerservice.AgentPoolsClient
	types *instance.Table
	wire  *wire
	list  snapshot
	notes notes
	keys  keyLocks
}

var _ node.Provider = (*Provider)(nil)

// defaultTTL keeps a quiet cluster at four lists a minute, however many claims it has.
const defaultTTL = 15 * time.Second

// New makes a provider. It calls nobody.
func New(o Options) (*Provider, error) {
	for _, given := range []struct{ name, value string }{
		{"subscription", o.Subscription}, {"resource group", o.Group}, {"cluster", o.Cluster},
	} {
		if given.value == "" {
			return nil, fmt.Errorf("the provider for AKS needs the %s", given.name)
		}
	}
	if o.Credential == nil || o.Clock == nil {
		return nil, fmt.Errorf("the provider for AKS needs a credential and a clock")
	}
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	if o.Types == nil {
		types, err := instance.Load()
		if err != nil {
			return nil, err
		}
		o.Types = types
	}
	home, err := endpoint(o.Client)
	if err != nil {
		return nil, err
	}
	p := &Provider{o: o, types: o.Types, list: newSnapshot(), notes: newNotes(), keys: newKeyLocks()}
	p.wire = &wire{home: home, clock: o.Clock, classify: p.Classify}
	client := o.Client
	client.DisableRPRegistration = true // it asks for rights on the subscription
	client.Retry = policy.RetryOptions{MaxRetries: -1}
	client.Telemetry.ApplicationID = "kaito-gpu-provisioner"
	client.PerCallPolicies = append([]policy.Policy{p.wire}, client.PerCallPolicies...)
	if p.pools, err = armcontainerservice.NewAgentPoolsClient(o.Subscription, o.Credential, &client); err != nil {
		return nil, fmt.Errorf("make the client for agent pools: %w", err)
	}
	return p, nil
}

// endpoint is the host of Azure Resource Manager.
func endpoint(o arm.ClientOptions) (string, error) {
	where := o.Cloud
	if where.Services == nil {
		where = cloud.AzurePublic
	}
	at := where.Services[cloud.ResourceManager].Endpoint
	parsed, err := url.Parse(at)
	if err != nil || parsed.Host == "" {
		return "", fmt.Errorf("the endpoint %q of Azure Resource Manager is no address", at)
	}
	return parsed.Host, nil
}
