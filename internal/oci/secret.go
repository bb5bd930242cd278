package oci

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Secret is the content of one Secret of type kubernetes.io/dockerconfigjson, of which
// it can be asked what is in it. Nothing of it is shown but the hosts.
type Secret struct{ ring keyring }

// What a Secret can lack.
var (
	// ErrSecretEmpty says that it names no registry at all.
	ErrSecretEmpty = errors.New("it names no registry")
	// ErrSecretElsewhere says that it names the registry, but not the credentials: `docker
	// login` has put them into a program of the machine where it ran.
	ErrSecretElsewhere = errors.New("it names the registry without a user and password")
)

// ParseSecret reads the content of a key .dockerconfigjson.
func ParseSecret(raw []byte) (Secret, error) {
	ring, err := parseKeyring(raw)
	if errors.Is(err, errNoAuths) {
		return Secret{}, ErrSecretEmpty
	}
	return Secret{ring: ring}, err
}

// Hosts are the registries that it names, sorted; some with a path, some with wildcards.
func (s Secret) Hosts() []string { return slices.Sorted(maps.Keys(s.ring)) }

// Resolve returns the credentials with the longest key that matches.
func (s Secret) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return s.ring.Resolve(target)
}

// Covers says whether it has credentials for the repository of a reference. The error
// is ErrSecretElsewhere, or about the reference.
func (s Secret) Covers(ref string) (bool, error) {
	r, err := (&Client{}).parse(ref)
	if err != nil {
		return false, err
	}
	found := s.ring.all(r.Context())
	if len(found) == 0 {
		return false, nil
	}
	c, err := found[0].Authorization()
	if err != nil {
		return false, fmt.Errorf("read credentials: %w", err)
	}
	if (c.Username == "" || c.Password == "") && c.IdentityToken == "" && c.RegistryToken == "" {
		return false, ErrSecretElsewhere
	}
	return true, nil
}

// Registry is the host of a reference, and Repository what follows it, without a tag.
func Registry(ref string) (host, repository string, err error) {
	r, err := (&Client{}).parse(ref)
	if err != nil {
		return "", "", err
	}
	return r.Context().RegistryStr(), r.Context().RepositoryStr(), nil
}
