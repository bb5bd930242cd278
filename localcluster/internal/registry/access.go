package registry

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/distribution/distribution/v3/registry/auth"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd" // the backend that checks passwords
)

// accessName is the name of our rule in distribution's configuration.
const accessName = "kaito-prefix"

// registerAccess makes our rule known to distribution. Its table belongs to the
// whole process and is not made for several goroutines, hence once.
//
//nolint:gochecknoglobals // the table that it guards is one
var registerAccess = sync.OnceValue(func() error {
	return auth.Register(accessName, newAccess)
})

// An access admits everybody to open repositories and users of the password file
// to all.
type access struct {
	prefix    string
	passwords auth.AccessController
}

// newAccess is called by distribution with the options that New put into its
// configuration.
func newAccess(options map[string]any) (auth.AccessController, error) {
	prefix, _ := options["prefix"].(string)
	passwords, err := auth.GetAccessController("htpasswd", options)
	if err != nil {
		return nil, fmt.Errorf("open the password file: %w", err)
	}
	return &access{prefix: prefix, passwords: passwords}, nil
}

// Authorized decides on one request. Records are empty for the API's root.
func (a *access) Authorized(r *http.Request, records ...auth.Access) (*auth.Grant, error) {
	if !anonymous(r) {
		return a.passwords.Authorized(r, records...)
	}
	if len(records) > 0 && a.open(records) {
		return &auth.Grant{}, nil
	}
	// Without its header the backend answers with the challenge that clients wait
	// for; an empty user name would be checked as a wrong password instead.
	bare := r.Clone(r.Context())
	bare.Header.Del("Authorization")
	return a.passwords.Authorized(bare, records...)
}

// open tells whether all that is asked for lies outside the private prefix. What
// is no repository (the catalogue names private ones too) is not open.
func (a *access) open(records []auth.Access) bool {
	for _, r := range records {
		if r.Type != "repository" || strings.HasPrefix(r.Name, a.prefix) {
			return false
		}
	}
	return true
}

// anonymous tells whether a request carries no credentials. The containers/image
// library (skopeo, buildah) sends an empty user and password when it has none and
// was challenged.
func anonymous(r *http.Request) bool {
	if r.Header.Get("Authorization") == "" {
		return true
	}
	user, password, ok := r.BasicAuth()
	return ok && user == "" && password == ""
}
