package armemulator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Keys are those by which a cluster signs the tokens of its service accounts.
type Keys interface {
	// Issuer is who the cluster's tokens say that they are from.
	Issuer(ctx context.Context) (string, error)
	// Key is the public key of an id.
	Key(ctx context.Context, id string) (any, error)
}

// jwk is a public key in a JSON web key set.
type jwk struct {
	ID    string `json:"kid"`
	Kind  string `json:"kty"`
	N     string `json:"n"`
	E     string `json:"e"`
	Curve string `json:"crv"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

func (k jwk) public() (any, error) {
	switch k.Kind {
	case "RSA":
		n, nErr := bytesOf(k.N)
		e, eErr := bytesOf(k.E)
		if err := errors.Join(nErr, eErr); err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ID, err)
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if len(e) > 4 || key.E < 3 || key.N.BitLen() < 1024 {
			return nil, fmt.Errorf("key %q is no RSA key of 1024 bits or more", k.ID)
		}
		return key, nil
	case "EC":
		curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
		curve, known := curves[k.Curve]
		if !known {
			return nil, fmt.Errorf("key %q is on curve %q, which is not among P-256, P-384 and P-521", k.ID, k.Curve)
		}
		x, xErr := bytesOf(k.X)
		y, yErr := bytesOf(k.Y)
		if err := errors.Join(xErr, yErr); err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ID, err)
		}
		// Uncompressed points begin with a 4.
		key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ID, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("key %q is of kind %q, which is neither RSA nor EC", k.ID, k.Kind)
}

func bytesOf(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}

// ParseKeySet reads a JSON web key set: public keys by id.
func ParseKeySet(data []byte) (map[string]any, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("read a JSON web key set: %w", err)
	}
	keys := map[string]any{}
	for _, k := range set.Keys {
		key, err := k.public()
		if err != nil {
			return nil, err
		}
		keys[k.ID] = key
	}
	return keys, nil
}

// FixedKeys are known beforehand.
type FixedKeys struct {
	From string
	ByID map[string]any
}

// Issuer is From.
func (f FixedKeys) Issuer(context.Context) (string, error) { return f.From, nil }

// Key is the one of ByID.
func (f FixedKeys) Key(_ context.Context, id string) (any, error) {
	key, known := f.ByID[id]
	if !known {
		return nil, fmt.Errorf("there is no key %q", id)
	}
	return key, nil
}

// ClusterKeys asks an API server, once and again for each id that it has not heard of.
type ClusterKeys struct {
	client *http.Client
	base   string
	mu     sync.Mutex
	issuer string
	keys   map[string]any
}

// NewClusterKeys asks the API server at base, with a client that is allowed to read its
// OpenID configuration.
func NewClusterKeys(client *http.Client, base string) *ClusterKeys {
	return &ClusterKeys{client: client, base: strings.TrimSuffix(base, "/")}
}

// Issuer is that of the API server's OpenID configuration.
func (k *ClusterKeys) Issuer(ctx context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.issuer != "" {
		return k.issuer, nil
	}
	data, err := k.fetch(ctx, "/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var config struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("read the API server's OpenID configuration: %w", err)
	}
	k.issuer = config.Issuer
	return k.issuer, nil
}

// Key is one of the API server's.
func (k *ClusterKeys) Key(ctx context.Context, id string) (any, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, known := k.keys[id]; known {
		return key, nil
	}
	data, err := k.fetch(ctx, "/openid/v1/jwks")
	if err != nil {
		return nil, err
	}
	if k.keys, err = ParseKeySet(data); err != nil {
		return nil, err
	}
	key, known := k.keys[id]
	if !known {
		return nil, fmt.Errorf("the API server has no key %q", id)
	}
	return key, nil
}

func (k *ClusterKeys) fetch(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	resp, err := k.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("ask the API server for %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the API server for %s: it answered %s", path, resp.Status)
	}
	return data, nil
}
