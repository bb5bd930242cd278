package images

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Packages are the versions of what is installed in a tree, by "deb NAME" and "pip NAME".
type Packages map[string]string

// ReadPackages lists what dpkg and pip installed in the tree under root.
func ReadPackages(root string) (Packages, error) {
	found := Packages{}
	if err := readDebian(filepath.Join(root, "var/lib/dpkg/status"), found); err != nil {
		return nil, err
	}
	// Debian's own Python packages stand elsewhere and are counted as Debian packages.
	infos, err := filepath.Glob(filepath.Join(root, "usr/local/lib/python3*/dist-packages/*.dist-info/METADATA"))
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		fields, err := readFields(info)
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			found["pip "+f["Name"]] = f["Version"]
		}
	}
	return found, nil
}

func readDebian(status string, into Packages) error {
	paragraphs, err := readFields(status)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an image without Debian packages
	}
	if err != nil {
		return err
	}
	for _, p := range paragraphs {
		if strings.HasSuffix(p["Status"], " installed") {
			into["deb "+p["Package"]] = p["Version"]
		}
	}
	return nil
}

// readFields reads "Name: value" paragraphs; only the first of a METADATA file counts,
// what follows is a description.
func readFields(file string) ([]map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	var all []map[string]string
	one := map[string]string{}
	s := bufio.NewScanner(f)
	s.Buffer(nil, 4*mib)
	for s.Scan() {
		line := s.Text()
		if line == "" {
			all, one = append(all, one), map[string]string{}
			if filepath.Base(file) == "METADATA" {
				break
			}
			continue
		}
		if name, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") && one[name] == "" {
			one[name] = value
		}
	}
	if len(one) > 0 {
		all = append(all, one)
	}
	if err := errors.Join(s.Err(), f.Close()); err != nil {
		return nil, fmt.Errorf("read %q: %w", file, err)
	}
	return all, nil
}

// Format writes packages as a lock file.
func (p Packages) Format() string {
	var b strings.Builder
	b.WriteString("# Every package of the finished image. Written by `kaito-localcluster images --update-locks`.\n")
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s %s\n", name, p[name])
	}
	return b.String()
}

// ParseLock reads a lock file.
func ParseLock(text string) (Packages, error) {
	locked := Packages{}
	for number, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 3 || (words[0] != "deb" && words[0] != "pip") {
			return nil, fmt.Errorf("line %d: %q is not `deb NAME VERSION` or `pip NAME VERSION`", number+1, line)
		}
		locked[words[0]+" "+words[1]] = words[2]
	}
	return locked, nil
}

// Difference says what changed from one set of packages to another, sorted.
func Difference(from, to Packages) []string {
	var lines []string
	for name, version := range from {
		switch now, ok := to[name]; {
		case !ok:
			lines = append(lines, fmt.Sprintf("%s %s is gone", name, version))
		case now != version:
			lines = append(lines, fmt.Sprintf("%s %s is now %s", name, version, now))
		}
	}
	for name, version := range to {
		if _, ok := from[name]; !ok {
			lines = append(lines, fmt.Sprintf("%s %s is new", name, version))
		}
	}
	slices.Sort(lines)
	return lines
}

// DriftError says that the distribution has moved away from a lock.
type DriftError struct {
	Lock  string
	Lines []string
}

// Error names the first differences and the way out.
func (e *DriftError) Error() string {
	first := e.Lines[:min(len(e.Lines), shown)]
	return fmt.Sprintf("%d packages differ from %s (%s); renew it with --update-locks, or build without IMAGES_LOCKED=1",
		len(e.Lines), e.Lock, strings.Join(first, "; "))
}
