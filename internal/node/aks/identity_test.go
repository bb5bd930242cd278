package aks_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/aks"
)

// The role of docs/aks.md.
var role = []string{
	"Microsoft.ContainerService/managedClusters/read",
	"Microsoft.ContainerService/managedClusters/agentPools/read",
	"Microsoft.ContainerService/managedClusters/agentPools/write",
	"Microsoft.ContainerService/managedClusters/agentPools/delete",
	"Microsoft.ContainerService/managedClusters/agentPools/abort/action",
	"Microsoft.ContainerService/locations/operations/read",
	"Microsoft.ContainerService/locations/operationresults/read",
}

func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	const client, issuer, subject = "8ce0b2a2-6a7b-4d0f-93d7-5a3a4e0fbb10", "https://cluster.local", "system:serviceaccount:kaito-system:gpu-provisioner"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		audience, subject, client string
		actions                   []string
		gone                      bool
		want                      node.Class
		says                      string
	}{
		"the role is enough":             {actions: role},
		"a token for another audience":   {audience: "https://kubernetes.default.svc", actions: role, want: node.Auth, says: "AADSTS700212"},
		"another service account":        {subject: "system:serviceaccount:default:default", actions: role, want: node.Auth, says: "AADSTS700213"},
		"an unknown client":              {client: "11111111-2222-3333-4444-555555555555", actions: role, want: node.Auth, says: "AADSTS700016"},
		"an identity without the role":   {actions: []string{"Microsoft.ContainerService/managedClusters/read"}, want: node.Auth, says: "does not have authorization"},
		"a token file that is not there": {gone: true, want: node.Auth, says: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			or := func(a, b string) string {
				if a != "" {
					return a
				}
				return b
			}
			tokens, err := armemulator.NewTokens(armemulatortest.Tenant, armemulator.FixedKeys{From: issuer, ByID: map[string]any{"one": &key.PublicKey}}, 0, nil,
				armemulator.Identity{ClientID: client, Subjects: []string{subject}, Actions: tc.actions})
			if err != nil {
				t.Fatal(err)
			}
			a := newAzure(t, armemulator.Options{Tokens: tokens})
			now := a.clock.Now()
			assertion := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
				Issuer: issuer, Subject: or(tc.subject, subject), Audience: jwt.ClaimStrings{or(tc.audience, armemulator.Audience)},
				IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
			})
			assertion.Header["kid"] = "one"
			signed, err := assertion.SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "token")
			if !tc.gone {
				if err := os.WriteFile(file, []byte(signed), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			credential, err := aks.WorkloadIdentity(aks.IdentityOptions{
				Tenant: armemulatortest.Tenant, ClientID: or(tc.client, client), TokenFile: file, Authority: a.URL + "/", Private: true, Transport: a.HTTP,
			})
			if err != nil {
				t.Fatal(err)
			}
			p, err := aks.New(aks.Options{
				Subscription: armemulatortest.Subscription, Group: group, Cluster: cluster, Credential: credential, Client: *a.ClientOptions(), Clock: a.clock,
			})
			if err != nil {
				t.Fatal(err)
			}
			o, err := p.Ensure(t.Context(), request(1))
			if tc.want == "" {
				if err != nil || o.State != node.Creating {
					t.Fatalf("%s, %v", o.State, err)
				}
				whole(t, p, a)
				return
			}
			e := p.Classify(err)
			if e == nil || e.Class != tc.want || !strings.Contains(e.Message, tc.says) || e.Fix == "" {
				t.Errorf("got %+v, want %s and %q", e, tc.want, tc.says)
			}
			if again := p.Classify(err); again.Message != e.Message || strings.Contains(e.Message, "Trace ID") || strings.Contains(e.Message, "2026-") {
				t.Errorf("the message tells of the call, not of the fault: %q", e.Message)
			}
			if n := a.Counts().Requests[armemulator.VerbPut]; n > 1 {
				t.Errorf("%d puts", n)
			}
		})
	}
}

// whole is the rest of a machine's life, giving up included: the role must be enough for all.
func whole(t *testing.T, p *aks.Provider, a *azure) {
	t.Helper()
	r, other := request(1), request(2)
	ensure(t, p, other)
	if _, err := p.Remove(t.Context(), other.Key, other.Owner); p.Classify(err).Class != node.Conflict {
		t.Errorf("giving up: %v", err)
	}
	a.clock.Step(50 * time.Minute)
	if o := observe(t, p, r); o.State != node.Ready {
		t.Errorf("it is %s", o.State)
	}
	if _, err := p.Remove(t.Context(), r.Key, r.Owner); err != nil {
		t.Error(err)
	}
	a.clock.Step(50 * time.Minute)
	for code, n := range a.Counts().Rejected {
		if code == "AuthorizationFailed" {
			t.Errorf("%d calls were not allowed by the role", n)
		}
	}
}

func TestWhatMustBeGiven(t *testing.T) {
	t.Parallel()
	for _, o := range []aks.IdentityOptions{{}, {Tenant: "a"}, {Tenant: "a", ClientID: "b"}} {
		if _, err := aks.WorkloadIdentity(o); err == nil {
			t.Errorf("an identity is made of %+v", o)
		}
	}
	for _, o := range []aks.Options{{}, {Subscription: "a"}, {Subscription: "a", Group: "b"}, {Subscription: "a", Group: "b", Cluster: "c"}} {
		if _, err := aks.New(o); err == nil {
			t.Errorf("a provider is made of %+v", o)
		}
	}
}
