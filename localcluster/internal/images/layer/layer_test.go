package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tree makes a small file system: "dir/" is a folder, "a -> b" a symbolic link,
// "a = b" a hard link, anything else a file with its content.
func tree(t *testing.T, entries ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, e := range entries {
		if err := plant(root, e); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func plant(root, e string) error {
	if name, target, ok := strings.Cut(e, " -> "); ok {
		return os.Symlink(target, filepath.Join(root, name))
	}
	if name, target, ok := strings.Cut(e, " = "); ok {
		return os.Link(filepath.Join(root, target), filepath.Join(root, name))
	}
	name, content, _ := strings.Cut(e, ":")
	full := filepath.Join(root, name)
	if strings.HasSuffix(name, "/") {
		return os.MkdirAll(full, 0o755)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644))
}

func write(t *testing.T, root string, base Index) ([]byte, Index) {
	t.Helper()
	var b bytes.Buffer
	index, err := Write(&b, root, base)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), index
}

// entries lists a tar stream as "name", "name -> target", "name = target" or "name:content".
func entries(t *testing.T, stream []byte) []string {
	t.Helper()
	var all []string
	for r := tar.NewReader(bytes.NewReader(stream)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != Epoch || h.Uname != "" || h.Gname != "" {
			t.Errorf("%q carries time %v and owner %q:%q", h.Name, h.ModTime, h.Uname, h.Gname)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			all = append(all, h.Name+" -> "+h.Linkname)
		case tar.TypeLink:
			all = append(all, h.Name+" = "+h.Linkname)
		case tar.TypeDir:
			all = append(all, h.Name)
		default:
			all = append(all, h.Name+":"+string(content))
		}
	}
}

func TestTheBytesDependOnTheContentAlone(t *testing.T) {
	t.Parallel()
	plain := []string{"etc/passwd:root", "usr/bin/sh:#!", "usr/bin/bash = usr/bin/sh", "bin -> usr/bin", "empty/"}
	want, _ := write(t, tree(t, plain...), nil)
	for name, tc := range map[string]struct {
		change func(root string) error
		same   bool
	}{
		"the same tree elsewhere": {func(string) error { return nil }, true},
		"another time of a file": {func(root string) error {
			return os.Chtimes(filepath.Join(root, "etc/passwd"), time.Unix(1, 0), time.Unix(1, 0))
		}, true},
		"another byte": {func(root string) error {
			return os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("roof"), 0o644)
		}, false},
		"another mode":         {func(root string) error { return os.Chmod(filepath.Join(root, "usr/bin/sh"), 0o755) }, false},
		"another owner":        {func(root string) error { return ownedByAnother(filepath.Join(root, "etc/passwd")) }, os.Geteuid() != 0},
		"a setuid bit":         {func(root string) error { return os.Chmod(filepath.Join(root, "etc/passwd"), 0o644|os.ModeSetuid) }, false},
		"a further file":       {func(root string) error { return plant(root, "etc/new:x") }, false},
		"a file less":          {func(root string) error { return os.Remove(filepath.Join(root, "etc/passwd")) }, false},
		"a hard link cut":      {func(root string) error { return recreate(filepath.Join(root, "usr/bin/bash"), "#!") }, false},
		"an order of creation": {func(root string) error { return recreate(filepath.Join(root, "etc/passwd"), "root") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, plain...)
			if err := tc.change(root); err != nil {
				t.Fatal(err)
			}
			got, _ := write(t, root, nil)
			if bytes.Equal(got, want) != tc.same {
				t.Errorf("same bytes: %v, want %v", !tc.same, tc.same)
			}
		})
	}
}

// ownedByAnother changes the owner where this user may; the row knows when not.
func ownedByAnother(file string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(file, 2000, 0)
}

func recreate(file, content string) error {
	return errors.Join(os.Remove(file), os.WriteFile(file, []byte(content), 0o644))
}

func TestEntriesAreSortedWithHardLinksAfterTheirTarget(t *testing.T) {
	t.Parallel()
	got, _ := write(t, tree(t, "b/z:1", "b-c:2", "a = b/z", "link -> b/z", "b/y = b/z"), nil)
	want := []string{"a:1", "b/", "b-c:2", "b/y = a", "b/z = a", "link -> b/z"}
	if diff := cmp.Diff(want, entries(t, got)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestOnlyTheDifferenceFromTheBaseIsWritten(t *testing.T) {
	t.Parallel()
	below := []string{"etc/apt/conf:1", "etc/passwd:root", "usr/lib/a:A", "usr/lib/gone:x", "usr/doc/man/one:1", "usr/doc/man/two:2", "lib -> usr/lib"}
	_, base := write(t, tree(t, below...), nil)
	for name, tc := range map[string]struct {
		tree []string
		want []string
	}{
		"nothing has changed": {below, nil},
		"a file of the same size": {
			[]string{"etc/apt/conf:1", "etc/passwd:roof", "usr/lib/a:A", "usr/lib/gone:x", "usr/doc/man/one:1", "usr/doc/man/two:2", "lib -> usr/lib"},
			[]string{"etc/", "etc/passwd:roof"},
		},
		"a file that is gone and a new one deep below": {
			[]string{"etc/apt/conf:1", "etc/passwd:root", "usr/lib/a:A", "usr/lib/n/e/w:W", "usr/doc/man/one:1", "usr/doc/man/two:2", "lib -> usr/lib"},
			[]string{"usr/", "usr/lib/", "usr/lib/.wh.gone:", "usr/lib/n/", "usr/lib/n/e/", "usr/lib/n/e/w:W"},
		},
		"a folder that is gone takes what was in it along": {
			[]string{"etc/apt/conf:1", "etc/passwd:root", "usr/lib/a:A", "usr/lib/gone:x", "lib -> usr/lib"},
			[]string{"usr/", "usr/.wh.doc:"},
		},
		"a folder that became a link": {
			[]string{"etc/apt/conf:1", "etc/passwd:root", "usr/lib/a:A", "usr/lib/gone:x", "usr/doc -> lib", "lib -> usr/lib"},
			[]string{"usr/", "usr/doc -> lib"},
		},
		"a hard link to a file of the base is a file": {
			append([]string{}, append(below, "usr/lib/b = usr/lib/a")...),
			[]string{"usr/", "usr/lib/", "usr/lib/b:A"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := write(t, tree(t, tc.tree...), base)
			if diff := cmp.Diff(tc.want, entries(t, got)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCleanRemovesWhatTellsOfTheBuild(t *testing.T) {
	t.Parallel()
	root := tree(t,
		"etc/resolv.conf:nameserver", "etc/hosts:h", "etc/passwd:root", "etc/passwd-:old", "etc/pip.conf:", "etc/apt/apt.conf.d/99kaito-build:", "etc/apt/apt.conf.d/01keep:k",
		"run/kaito-build/", "run/lock/", "tmp/.hidden:x", "var/log/apt/history.log:x", "var/cache/apt/pkgcache.bin:x", "var/lib/apt/lists/partial/", "var/lib/dpkg/status:s", "var/lib/dpkg/status-old:s",
		"root/.cache/pip/x:1", "root/.profile:p", "usr/bin/sh:#!")
	if err := Clean(root, []string{"/etc/pip.conf", "/etc/apt/apt.conf.d/99kaito-build", "/run/kaito-build"}); err != nil {
		t.Fatal(err)
	}
	got, _ := write(t, root, nil)
	want := []string{
		"etc/", "etc/apt/", "etc/apt/apt.conf.d/", "etc/apt/apt.conf.d/01keep:k", "etc/passwd:root", "root/", "root/.profile:p", "run/", "tmp/", "usr/", "usr/bin/", "usr/bin/sh:#!",
		"var/", "var/cache/", "var/cache/apt/", "var/lib/", "var/lib/apt/", "var/lib/apt/lists/", "var/lib/dpkg/", "var/lib/dpkg/status:s", "var/log/",
	}
	if diff := cmp.Diff(want, entries(t, got)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func TestABlobIsCompressedOnceAndReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := bytes.Repeat([]byte("layers are bytes "), 100_000)
	fill := func(w io.Writer) error { _, err := w.Write(content); return err }
	blob, err := Store(dir, fill)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Store(dir, fill)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := blob.Digest()
	second, _ := again.Digest()
	if first != second {
		t.Errorf("the same content gave %v and %v", first, second)
	}
	plain, err := blob.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(plain)
	if err := errors.Join(err, plain.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Error("what was read back differs")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, want the one blob (%v)", files, err)
	}
	if err := os.Truncate(blob.File(), 10); err != nil {
		t.Fatal(err)
	}
	if _, whole := blob.In(dir); whole {
		t.Error("a blob that was cut counts as whole")
	}
}

func TestAFailedBlobLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full := errors.New("no space left on device")
	if _, err := Store(dir, func(io.Writer) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v, want the cause", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("the folder holds %v (%v)", files, err)
	}
}
