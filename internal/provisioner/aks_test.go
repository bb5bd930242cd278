package provisioner

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/golang-jwt/jwt/v5"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
	"kaito.sh/kaito/internal/config"
)

// TestTheFlagsForAKSReachIt goes by the flags alone to an emulator of Azure, with its
// certificates from a file and the identity of a projected token.
func TestTheFlagsForAKSReachIt(t *testing.T) {
	t.Parallel()
	const client, issuer, subject = "8ce0b2a2-6a7b-4d0f-93d7-5a3a4e0fbb10", "https://cluster.local", "system:serviceaccount:kaito-system:kaito-gpu-provisioner"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := armemulator.NewTokens(armemulatortest.Tenant, armemulator.FixedKeys{From: issuer, ByID: map[string]any{"one": &key.PublicKey}}, 0, nil,
		armemulator.Identity{ClientID: client, Subjects: []string{subject}, Actions: []string{"Microsoft.ContainerService/managedClusters/agentPools/*"}})
	if err != nil {
		t.Fatal(err)
	}
	azure := armemulatortest.Start(t, armemulator.Options{Tokens: tokens})
	cfg := config.AKS{
		Subscription: armemulatortest.Subscription, ResourceGroup: armemulatortest.Group, Cluster: armemulatortest.Cluster, Location: armemulatortest.Region,
		Tenant: armemulatortest.Tenant, ClientID: client, TokenFile: token(t, key, issuer, subject),
		AuthorityHost: azure.URL, Endpoint: azure.URL, Audience: azure.Cloud.Services["resourceManager"].Audience, PrivateAuthority: true,
		CAFile: trusted(t, azure.URL),
	}
	provider, err := newAKS(cfg, nil, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	listing, err := provider.List(t.Context(), "c")
	if err != nil || len(listing.Machines) > 0 || listing.Now.IsZero() {
		t.Errorf("listed %+v, %v", listing, err)
	}

	cfg.CAFile = ""
	if provider, err = newAKS(cfg, nil, logr.Discard()); err != nil {
		t.Fatal(err)
	}
	if _, err = provider.List(t.Context(), "c"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its authority: %v", err)
	}
}

// token is a service account's, as the kubelet writes it.
func token(t *testing.T, key *ecdsa.PrivateKey, issuer, subject string) string {
	t.Helper()
	now := time.Now()
	assertion := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		Issuer: issuer, Subject: subject, Audience: jwt.ClaimStrings{armemulator.Audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
	})
	assertion.Header["kid"] = "one"
	signed, err := assertion.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(signed), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// trusted is a file with the certificates that a server shows.
func trusted(t *testing.T, url string) string {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).
		DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var all []byte
	for _, c := range conn.(*tls.Conn).ConnectionState().PeerCertificates {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
