package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // where content lies
)

// realm is what a client shows when it asks for a password.
const realm = "kaito local registry"

// Options say where the content lies and who may have it.
type Options struct {
	// Data is the folder of the content. It is made when it is missing.
	Data string
	// Passwords is a htpasswd file with bcrypt hashes. It is read again when it
	// changes.
	Passwords string
	// PrivatePrefix begins the names of repositories that need a password, with
	// its slash: "private/".
	PrivatePrefix string
	// ReadOnly refuses every push and removal, as a registry in maintenance does.
	ReadOnly bool
}

// New returns the registry's HTTP API. The context ends its background work.
func New(ctx context.Context, o Options) (app http.Handler, err error) {
	if err := registerAccess(); err != nil {
		return nil, fmt.Errorf("set up the access rule: %w", err)
	}
	if !strings.HasSuffix(o.PrivatePrefix, "/") {
		return nil, fmt.Errorf("private prefix %q: must end with a slash, as in private/", o.PrivatePrefix)
	}
	// distribution would invent a user when the file is missing.
	if _, err := os.Stat(o.Passwords); err != nil {
		return nil, fmt.Errorf("open the password file: %w", err)
	}
	if err := os.MkdirAll(o.Data, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder for content: %w", err)
	}
	secret, err := uploadSecret(filepath.Join(o.Data, "upload-secret"))
	if err != nil {
		return nil, err
	}
	// distribution panics on a configuration that it cannot use.
	defer func() {
		if r := recover(); r != nil {
			app, err = nil, fmt.Errorf("start the registry on %s: %v", o.Data, r)
		}
	}()
	return handlers.NewApp(ctx, settings(o, secret)), nil
}

// settings is distribution's configuration.
func settings(o Options, secret string) *configuration.Configuration {
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem":  {"rootdirectory": o.Data},
			"delete":      {"enabled": true},
			"maintenance": {"readonly": map[any]any{"enabled": o.ReadOnly}},
		},
		Auth: configuration.Auth{accessName: {
			"realm":  realm,
			"path":   o.Passwords,
			"prefix": o.PrivatePrefix,
		}},
	}
	c.HTTP.Secret = secret
	c.Catalog.MaxEntries = 1000
	c.Tags.MaxTags = 1000
	return c
}

// uploadSecret reads the key that signs the state of an upload, or makes one. It
// is kept, so that an upload goes on after a restart.
func uploadSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err == nil && len(content) > 0 {
		return string(content), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the key of uploads: %w", err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	secret := hex.EncodeToString(key)
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(secret), 0o600); err != nil {
		return "", fmt.Errorf("write the key of uploads: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return "", fmt.Errorf("write the key of uploads: %w", err)
	}
	return secret, nil
}
