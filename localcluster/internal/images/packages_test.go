package images

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const status = `Package: bash
Status: install ok installed
Version: 5.3-4
Description: a shell
 Version: not a field

Package: gone
Status: deinstall ok config-files
Version: 1

Package: llama.cpp-tools
Status: install ok installed
Version: 1:0.7.0+dfsg-2
`

func TestPackagesOfATreeAreThoseOfDpkgAndPip(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "var/lib/dpkg/status", status)
	put(t, root, "usr/local/lib/python3.14/dist-packages/peft-0.21.2.dist-info/METADATA", "Metadata-Version: 2.4\nName: peft\nVersion: 0.21.2\n\nName: in the description\n")
	put(t, root, "usr/lib/python3/dist-packages/numpy-2.dist-info/METADATA", "Name: numpy\nVersion: 2\n")
	got, err := ReadPackages(root)
	if err != nil {
		t.Fatal(err)
	}
	want := Packages{"deb bash": "5.3-4", "deb llama.cpp-tools": "1:0.7.0+dfsg-2", "pip peft": "0.21.2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	back, err := ParseLock(got.Format())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("a lock read back (-want +got):\n%s", diff)
	}
}

func TestAnImageWithoutPackagesHasNone(t *testing.T) {
	t.Parallel()
	got, err := ReadPackages(t.TempDir())
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDifferencesAreToldByPackage(t *testing.T) {
	t.Parallel()
	got := Difference(
		Packages{"deb bash": "5.2", "deb curl": "8", "pip trl": "1.16.0"},
		Packages{"deb bash": "5.3", "pip trl": "1.16.0", "deb wget": "1"},
	)
	want := []string{"deb bash 5.2 is now 5.3", "deb curl 8 is gone", "deb wget 1 is new"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func TestABadLineOfALockIsNamed(t *testing.T) {
	t.Parallel()
	_, err := ParseLock("# comment\ndeb bash 5\nnpm left-pad 1\n")
	if err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v", err)
	}
}

func TestALockIsCheckedBySetting(t *testing.T) {
	t.Parallel()
	found := Packages{"deb bash": "6"}
	for name, tc := range map[string]struct {
		options Options
		says    string
		drift   bool
		lock    string
	}{
		"a warning by default": {Options{}, "the distribution has moved, 1 packages differ", false, "deb bash 5\n"},
		"an error when strict": {Options{Locked: true}, "", true, "deb bash 5\n"},
		"written when asked":   {Options{UpdateLocks: true}, "wrote runtimes/thing/packages.lock", false, found.Format()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said, log strings.Builder
			tc.options.Source, tc.options.Progress = checkout(t), &said
			err := New(tc.options).checkLock(&log, thing(), found)
			var drift *DriftError
			if errors.As(err, &drift) != tc.drift || (err != nil) != tc.drift {
				t.Errorf("got %v, want a drift: %v", err, tc.drift)
			}
			if !strings.Contains(said.String(), tc.says) {
				t.Errorf("said %q, want %q", said.String(), tc.says)
			}
			if got := read(t, tc.options.Source, thing().Lock); got != tc.lock {
				t.Errorf("the lock is %q, want %q", got, tc.lock)
			}
		})
	}
}
