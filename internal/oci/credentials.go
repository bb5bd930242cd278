package oci

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentials is one entry of a dockerconfigjson file.
type credentials struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// keyring is a dockerconfigjson file. Entries are matched as the kubelet does
// it, so that a push works with the Secret that the later pull uses.
type keyring map[string]credentials

// Keyring reads a file in the form of a kubernetes.io/dockerconfigjson Secret.
func Keyring(file string) (authn.Keychain, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	ring, err := parseKeyring(raw)
	if err != nil {
		return nil, fmt.Errorf("read credentials %q: %w", file, err)
	}
	return ring, nil
}

// parseKeyring never quotes the content, which is secret.
func parseKeyring(raw []byte) (keyring, error) {
	var file struct {
		Auths map[string]credentials `json:"auths"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("it is not JSON in the form of a dockerconfigjson Secret")
	}
	if len(file.Auths) == 0 {
		return nil, errNoAuths
	}
	ring := keyring{}
	for key, c := range file.Auths {
		if c.Auth != "" && c.Username == "" {
			user, password, ok := decodeAuth(c.Auth)
			if !ok {
				return nil, fmt.Errorf("the auth of %q is not base64 of USER:PASSWORD", key)
			}
			c.Username, c.Password, c.Auth = user, password, ""
		}
		ring[trimKey(key)] = c
	}
	return ring, nil
}

// errNoAuths is a file without credentials.
var errNoAuths = errors.New(`it has no "auths"; credential helpers are read from your own Docker configuration, without --docker-config`)

// decodeAuth takes padded base64 and, as the kubelet does, unpadded.
func decodeAuth(auth string) (user, password string, ok bool) {
	code := base64.StdEncoding
	if len(auth)%4 != 0 {
		code = base64.RawStdEncoding
	}
	plain, err := code.DecodeString(auth)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// Rings are several dockerconfigjson files. All credentials that match are tried
// one after another, as the kubelet does it with the pull Secrets of a pod.
type Rings []authn.Keychain

// Keyrings reads the files that are there; those of Secrets that do not exist, and
// those without an entry, have no credentials.
func Keyrings(files ...string) (Rings, error) {
	var out Rings
	for _, file := range files {
		ring, err := Keyring(file)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoAuths):
		case err != nil:
			return nil, err
		default:
			out = append(out, ring)
		}
	}
	return out, nil
}

// Resolve returns the first credentials that match.
func (r Rings) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return r.candidates(target)[0], nil
}

// candidates are all credentials that match: file by file, in each the longest key
// first. Anonymous is tried only where nothing matches.
func (r Rings) candidates(target authn.Resource) []authn.Authenticator {
	var out []authn.Authenticator
	for _, ring := range r {
		if keys, ok := ring.(keyring); ok {
			out = append(out, keys.all(target)...)
		}
	}
	if len(out) == 0 {
		return []authn.Authenticator{authn.Anonymous}
	}
	return out
}

// trimKey reduces what people write to HOST[:PORT][/PATH].
func trimKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	for _, suffix := range []string{"/", "/v1", "/v2"} {
		key = strings.TrimSuffix(key, suffix)
	}
	if key == "docker.io" {
		return name.DefaultRegistry
	}
	return key
}

// Resolve returns the credentials with the longest key that matches.
func (k keyring) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if all := k.all(target); len(all) > 0 {
		return all[0], nil
	}
	return authn.Anonymous, nil
}

// all returns the credentials whose keys match, that of the longest key first.
func (k keyring) all(target authn.Resource) []authn.Authenticator {
	var keys []string
	for key := range k {
		if matches(key, target) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var out []authn.Authenticator
	for _, key := range keys {
		c := k[key]
		out = append(out, authn.FromConfig(authn.AuthConfig{
			Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		}))
	}
	return out
}

// matches says whether a key covers a repository: the same host, label by label
// with globs, the same port, and a path that it begins with.
func matches(key string, target authn.Resource) bool {
	host, folder, _ := strings.Cut(key, "/")
	if !sameHost(host, target.RegistryStr()) {
		return false
	}
	repo := strings.TrimPrefix(target.String(), target.RegistryStr()+"/")
	return folder == "" || repo == folder || strings.HasPrefix(repo, folder+"/")
}

// sameHost compares the port to the letter: a glob never reaches another port.
func sameHost(glob, host string) bool {
	glob, globPort, _ := strings.Cut(glob, ":")
	host, hostPort, _ := strings.Cut(host, ":")
	want, have := strings.Split(glob, "."), strings.Split(host, ".")
	if len(want) != len(have) || globPort != hostPort {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
