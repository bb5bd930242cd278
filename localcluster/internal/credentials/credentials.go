// Package credentials makes the user of the registry's private repositories.
package credentials

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"kaito.sh/kaito/localcluster/internal/record"
)

// User of the private repositories.
const User = "kaito"

// cost is bcrypt's. The password is random and long, so that nothing is gained by
// a higher one, while every request to the registry would pay for it.
const cost = bcrypt.MinCost

// Ensure writes the files password and htpasswd into dir, and keeps a password
// that is there.
func Ensure(dir string) error {
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if errors.Is(err, fs.ErrNotExist) {
		password = []byte(rand.Text() + "\n")
		err = record.WriteFile(filepath.Join(dir, "password"), password, 0o600)
	}
	if err != nil {
		return fmt.Errorf("make the registry's password: %w", err)
	}
	secret := []byte(strings.TrimSpace(string(password)))
	if have, err := os.ReadFile(filepath.Join(dir, "htpasswd")); err == nil {
		_, hash, _ := strings.Cut(strings.TrimSpace(string(have)), ":")
		if bcrypt.CompareHashAndPassword([]byte(hash), secret) == nil {
			return nil
		}
	}
	hash, err := bcrypt.GenerateFromPassword(secret, cost)
	if err != nil {
		return fmt.Errorf("make the registry's password: %w", err)
	}
	return record.WriteFile(filepath.Join(dir, "htpasswd"), fmt.Appendf(nil, "%s:%s\n", User, hash), 0o600)
}
