package armemulator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/golang-jwt/jwt/v5"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
)

const (
	clientID = "11111111-2222-3333-4444-555555555555"
	readerID = "66666666-2222-3333-4444-555555555555"
	issuer   = "https://kubernetes.default.svc.cluster.local"
	account  = "system:serviceaccount:kaito-system:gpu-provisioner"
)

// apiServer answers what a real one does about its service accounts' keys.
func apiServer(t *testing.T, keys ...map[string]string) *armemulator.ClusterKeys {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(path string, body any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(body); err != nil {
				t.Error(err)
			}
		})
	}
	answer("/.well-known/openid-configuration", map[string]string{"issuer": issuer, "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks"})
	answer("/openid/v1/jwks", map[string]any{"keys": keys})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return armemulator.NewClusterKeys(server.Client(), server.URL)
}

func number(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := curve.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	half := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	keys := apiServer(t,
		map[string]string{"kid": "one", "kty": "RSA", "n": number(key.N), "e": number(big.NewInt(int64(key.E)))},
		map[string]string{"kid": "two", "kty": "EC", "crv": "P-256", "x": half(point[1:33]), "y": half(point[33:])},
	)
	now := time.Now()
	claims := func(change func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
		c := jwt.RegisteredClaims{
			Issuer: issuer, Subject: account, Audience: jwt.ClaimStrings{armemulator.Audience},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		}
		if change != nil {
			change(&c)
		}
		return c
	}
	cases := map[string]struct {
		client, tenant string
		kid            string
		method         jwt.SigningMethod
		signer         any
		claims         jwt.RegisteredClaims
		denied         string
		forbidden      bool
	}{
		"a projected token, signed with RSA":          {},
		"a projected token, signed on a curve":        {kid: "two", method: jwt.SigningMethodES256, signer: curve},
		"a token for another audience":                {claims: claims(func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{issuer} }), denied: "AADSTS700212"},
		"a token of another service account":          {claims: claims(func(c *jwt.RegisteredClaims) { c.Subject = "system:serviceaccount:default:default" }), denied: "AADSTS700213"},
		"a token of another cluster":                  {claims: claims(func(c *jwt.RegisteredClaims) { c.Issuer = "https://oidc.example" }), denied: "AADSTS700211"},
		"a token that has expired":                    {claims: claims(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(-time.Minute)) }), denied: "AADSTS700024"},
		"a token that somebody else has signed":       {signer: other, denied: "AADSTS50013"},
		"a token signed with a key that is not known": {kid: "three", denied: "AADSTS50013"},
		"a token that is signed with the public key":  {method: jwt.SigningMethodHS256, signer: key.N.Bytes(), denied: "AADSTS50013"},
		"a token without a signature":                 {method: jwt.SigningMethodNone, signer: jwt.UnsafeAllowNoneSignatureType, denied: "AADSTS50013"},
		"an identity that is not there":               {client: "99999999-2222-3333-4444-555555555555", denied: "AADSTS700016"},
		"a tenant that is not there":                  {tenant: "99999999-86f1-41af-91ab-2d7cd011db47", denied: "AADSTS90002"},
		"an identity that may only read":              {client: readerID, forbidden: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.claims.Issuer == "" {
				c.claims = claims(nil)
			}
			if c.kid == "" {
				c.kid = "one"
			}
			if c.method == nil {
				c.method = jwt.SigningMethodRS256
			}
			if c.signer == nil {
				c.signer = key
			}
			token := jwt.NewWithClaims(c.method, c.claims)
			token.Header["kid"] = c.kid
			text, err := token.SignedString(c.signer)
			if err != nil {
				t.Fatal(err)
			}
			a := tenant(t, keys, armemulator.Options{})
			a.login(text, c.client, c.tenant)
			_, err = a.put("kabc", gpuPool())
			switch {
			case c.denied != "":
				if err == nil || !strings.Contains(err.Error(), c.denied) || a.Counts().Rejected[c.denied] == 0 || a.Counts().Requests["put"] != 0 {
					t.Errorf("got %v, counted %+v; want %s", err, a.Counts(), c.denied)
				}
			case c.forbidden:
				if code, status := refused(t, err); code != "AuthorizationFailed" || status != 403 || !strings.Contains(err.Error(), "agentPools/write") {
					t.Errorf("%d %s: %v", status, code, err)
				}
				if _, err := a.pools.NewListPager(group, cluster, nil).NextPage(t.Context()); err != nil {
					t.Errorf("reading: %v", err)
				}
			case err != nil:
				t.Error(err)
			case a.Counts().Requests["token"] != 1:
				t.Errorf("counted %+v", a.Counts())
			}
		})
	}
}

// tenant is an emulator that asks for workload identity, by the machine's own clock, to
// which the client's library also keeps.
func tenant(t *testing.T, keys armemulator.Keys, o armemulator.Options) *azure {
	t.Helper()
	tokens, err := armemulator.NewTokens(armemulatortest.Tenant, keys, 0, nil,
		armemulator.Identity{ClientID: clientID, Subjects: []string{account}, Actions: []string{"Microsoft.ContainerService/managedClusters/*"}},
		armemulator.Identity{ClientID: readerID, Subjects: []string{account}, Actions: []string{"Microsoft.ContainerService/managedClusters/agentPools/read"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	o.Tokens = tokens
	a := &azure{Server: armemulatortest.Start(t, o), t: t}
	return a
}

// login gives the client the official credential for workload identity.
func (a *azure) login(token, client, tenant string) {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if client == "" {
		client = clientID
	}
	if tenant == "" {
		tenant = armemulatortest.Tenant
	}
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: a.ClientOptions().ClientOptions, DisableInstanceDiscovery: true,
		ClientID: client, TenantID: tenant, TokenFilePath: file,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.Credential = credential
	a.pools = a.client(armemulatortest.Subscription)
}

func TestAccessTokensAreChecked(t *testing.T) {
	t.Parallel()
	a := tenant(t, armemulator.FixedKeys{From: issuer}, armemulator.Options{})
	path := "/subscriptions/" + armemulatortest.Subscription + "/resourceGroups/models/providers/Microsoft.ContainerService/managedClusters/gpu/agentPools?api-version=2025-02-01"
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"appid": clientID, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte("guess"))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"no token of ours": "anyone", "a forged one": forged} {
		if code, status := a.raw(http.MethodGet, path, "Bearer "+token, ""); code != "InvalidAuthenticationToken" || status != 401 {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
}

func TestATokenForAnotherServiceIsRefused(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := tenant(t, armemulator.FixedKeys{From: issuer, ByID: map[string]any{"one": &key.PublicKey}}, armemulator.Options{})
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		Issuer: issuer, Subject: account, Audience: jwt.ClaimStrings{armemulator.Audience}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	})
	token.Header["kid"] = "one"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	a.login(text, "", "")
	vault, err := a.Credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	path := "/subscriptions/" + armemulatortest.Subscription + "/resourceGroups/models/providers/Microsoft.ContainerService/managedClusters/gpu/agentPools?api-version=2025-02-01"
	if code, status := a.raw(http.MethodGet, path, "Bearer "+vault.Token, ""); code != "InvalidAuthenticationTokenAudience" || status != 401 {
		t.Errorf("%d %s", status, code)
	}
}
