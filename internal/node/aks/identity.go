package aks

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// IdentityOptions say as whom the provider acts. Tenant, ClientID and TokenFile must be given.
type IdentityOptions struct {
	// Tenant and ClientID are those of the managed identity or application.
	Tenant, ClientID string
	// TokenFile holds the service account's token, projected for the audience
	// api://AzureADTokenExchange. It is read again as it is renewed.
	TokenFile string
	// Authority is where tokens come from, https://login.microsoftonline.com/ when empty.
	Authority string
	// Private authorities are not looked up at Microsoft's first: those of disconnected
	// clouds, and of emulators.
	Private bool
	// Transport makes the calls, the client's own when nil.
	Transport policy.Transporter
}

// WorkloadIdentity exchanges the service account's token for one of Azure's, as workload
// identity on AKS does it. Nothing is read from the environment.
func WorkloadIdentity(o IdentityOptions) (azcore.TokenCredential, error) {
	for _, given := range []struct{ name, value string }{
		{"tenant", o.Tenant}, {"client id", o.ClientID}, {"token file", o.TokenFile},
	} {
		if given.value == "" {
			return nil, fmt.Errorf("workload identity needs the %s", given.name)
		}
	}
	where := cloud.AzurePublic
	if o.Authority != "" {
		where.ActiveDirectoryAuthorityHost = o.Authority
	}
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions:            policy.ClientOptions{Cloud: where, Transport: o.Transport, Retry: policy.RetryOptions{MaxRetries: -1}},
		ClientID:                 o.ClientID,
		TenantID:                 o.Tenant,
		TokenFilePath:            o.TokenFile,
		DisableInstanceDiscovery: o.Private,
	})
	if err != nil {
		return nil, fmt.Errorf("set up workload identity for the client %s: %w", o.ClientID, err)
	}
	return credential, nil
}
