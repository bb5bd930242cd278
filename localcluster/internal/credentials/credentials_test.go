package credentials_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"kaito.sh/kaito/localcluster/internal/credentials"
)

func TestEnsure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	read := func(name string) string {
		t.Helper()
		if err := credentials.Ensure(dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	password := read("password")
	user, hash, _ := strings.Cut(read("htpasswd"), ":")
	if user != credentials.User || bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		t.Errorf("htpasswd %s:%s does not match the password", user, hash)
	}
	if again := read("password"); again != password {
		t.Error("a second call made another password")
	}
	if fi, err := os.Stat(filepath.Join(dir, "password")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", fi.Mode(), err)
	}
	// A user sets a password of their own.
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, hash, _ = strings.Cut(read("htpasswd"), ":")
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte("own")) != nil {
		t.Error("the user's own password is not taken over")
	}
}
