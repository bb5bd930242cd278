package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/runner/install"
)

func TestIntoReplacesWithTheRightMode(t *testing.T) {
	t.Parallel()
	folder, program := t.TempDir(), filepath.Join(t.TempDir(), "program")
	for _, content := range []string{"old", "new"} {
		if err := os.WriteFile(program, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		path, err := install.Into(folder, program)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Fatalf("%q, %v; want %q", got, err, content)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o555 {
			t.Fatalf("mode %v, %v", info.Mode(), err)
		}
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != 1 {
		t.Fatalf("left behind: %v, %v", names, err)
	}
}

func TestIntoNamesTheFolderThatIsMissing(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := install.Into("/nowhere/kaito", program)
	if err == nil || !strings.Contains(err.Error(), `install "/nowhere/kaito/kaito-runner"`) {
		t.Fatal(err)
	}
}
