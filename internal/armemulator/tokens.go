package armemulator

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Audience is what a projected service-account token must be for.
const Audience = "api://AzureADTokenExchange"

// Identity is an application of the tenant with federated credentials.
type Identity struct {
	// ClientID is its application id.
	ClientID string `json:"clientID"`
	// Subjects are the service accounts which may take it, as system:serviceaccount:namespace:name.
	Subjects []string `json:"subjects"`
	// Actions are what its roles allow, such as
	// Microsoft.ContainerService/managedClusters/agentPools/read; "*" and a trailing "/*"
	// stand for any. None is an identity without rights.
	Actions []string `json:"actions"`
}

func (i Identity) may(action string) bool {
	return slices.ContainsFunc(i.Actions, func(a string) bool {
		before, any := strings.CutSuffix(strings.ToLower(a), "*")
		return strings.EqualFold(a, action) || any && strings.HasPrefix(strings.ToLower(action), before)
	})
}

// Tokens is the tenant: it changes service-account tokens for access tokens, and knows its own.
type Tokens struct {
	tenant     string
	keys       Keys
	identities []Identity
	lifetime   time.Duration
	secret     []byte
}

// NewTokens makes a tenant. Access tokens live for lifetime, an hour when 0; secret signs
// them, a new one is made when it is empty.
func NewTokens(tenant string, keys Keys, lifetime time.Duration, secret []byte, identities ...Identity) (*Tokens, error) {
	if tenant == "" || keys == nil {
		return nil, errors.New("a tenant needs an id and the keys of a cluster")
	}
	if lifetime == 0 {
		lifetime = time.Hour
	}
	if len(secret) == 0 {
		secret = make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return nil, fmt.Errorf("make a secret: %w", err)
		}
	}
	return &Tokens{tenant: strings.ToLower(tenant), keys: keys, identities: identities, lifetime: lifetime, secret: secret}, nil
}

func (t *Tokens) identity(client string) (Identity, bool) {
	i := slices.IndexFunc(t.identities, func(i Identity) bool { return strings.EqualFold(i.ClientID, client) })
	if i < 0 {
		return Identity{}, false
	}
	return t.identities[i], true
}

// access is what an access token says.
type access struct {
	jwt.RegisteredClaims
	Client string `json:"appid"`
	Tenant string `json:"tid"`
}

// issue makes an access token.
func (t *Tokens) issue(i Identity, audience string, now time.Time) (string, error) {
	claims := access{
		RegisteredClaims: jwt.RegisteredClaims{
			Audience: jwt.ClaimStrings{audience}, Issuer: "https://sts.windows.net/" + t.tenant + "/", Subject: i.ClientID,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(t.lifetime)),
		},
		Client: i.ClientID, Tenant: t.tenant,
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.secret)
}

// managers are the audiences of Resource Manager.
func managers() []string {
	return []string{"https://management.azure.com", "https://management.core.windows.net"}
}

// check finds the identity of an access token.
func (t *Tokens) check(e *Emulator, token string) (Identity, *refusal) {
	var claims access
	now := e.o.Clock.Now()
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return t.secret, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithExpirationRequired())
	if errors.Is(err, jwt.ErrTokenExpired) {
		at := func(when time.Time) string { return when.UTC().Format("1/2/2006 3:04:05 PM") }
		return Identity{}, e.say("expired-token", "expiry", at(claims.ExpiresAt.Time), "now", at(now))
	}
	if err != nil {
		return Identity{}, e.say("invalid-token")
	}
	if len(claims.Audience) != 1 || !slices.Contains(managers(), strings.TrimRight(claims.Audience[0], "/")) {
		return Identity{}, e.say("wrong-audience", "audience", strings.Join(claims.Audience, ","))
	}
	i, known := t.identity(claims.Client)
	if !known {
		return Identity{}, e.say("invalid-token")
	}
	return i, nil
}
