package oci

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path"
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
		return nil, fmt.Errorf(`it has no "auths"; credential helpers are read from your own Docker configuration, without --docker-config`)
	}
	ring := keyring{}
	for key, c := range file.Auths {
		if c.Auth != "" && c.Username == "" {
			plain, err := base64.StdEncoding.DecodeString(c.Auth)
			user, password, ok := strings.Cut(string(plain), ":")
			if err != nil || !ok {
				return nil, fmt.Errorf("the auth of %q is not base64 of USER:PASSWORD", key)
			}
			c.Username, c.Password, c.Auth = user, password, ""
		}
		ring[trimKey(key)] = c
	}
	return ring, nil
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
	best := ""
	for key := range k {
		if len(key) > len(best) && matches(key, target) {
			best = key
		}
	}
	if best == "" {
		return authn.Anonymous, nil
	}
	c := k[best]
	return authn.FromConfig(authn.AuthConfig{
		Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
	}), nil
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

func sameHost(glob, host string) bool {
	want, have := strings.Split(glob, "."), strings.Split(host, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
