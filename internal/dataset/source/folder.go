package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/dataset"
)

const (
	// mostFiles bounds what is read below a folder.
	mostFiles = 10_000
	// someNames is how many names a message lists.
	someNames = 8
)

// Folder finds the files of a data set below a folder, sorted by path, and the files that
// are left out because of their names. Links that lead out of the folder are not followed.
func Folder(dir string) (files []dataset.File, others []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, local("open the folder with the data", err)
	}
	defer func() { _ = root.Close() }()
	names, others, err := list(root.FS())
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		info, err := root.Stat(name)
		if err != nil {
			return nil, nil, local(fmt.Sprintf("look at %q", name), err)
		}
		files = append(files, dataset.File{Name: name, Size: info.Size(), Open: func(context.Context) (dataset.Handle, error) {
			return open(dir, name)
		}})
	}
	return files, others, nil
}

// open opens a file below a folder and nowhere else.
func open(dir, name string) (dataset.Handle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder with the data: %w", err)
	}
	file, err := root.Open(name)
	return file, errors.Join(err, root.Close())
}

// list sorts regular files by whether they are data. Names that begin with a dot are
// Kubernetes' own, or nobody's.
func list(root fs.FS) (names, others []string, err error) {
	err = fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return local("look through the folder with the data", err)
		}
		if name != "." && strings.HasPrefix(path.Base(name), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() || e.Name() == "lost+found" {
			return nil
		}
		info, err := fs.Stat(root, name)
		if err != nil || !info.Mode().IsRegular() {
			others = append(others, name) // a link that leads out, or a device
			return nil
		}
		if !isData(name) {
			others = append(others, name)
			return nil
		}
		if names = append(names, name); len(names) > mostFiles {
			return failed(Unusable, nil, "There are more than %d files; put the rows into fewer", mostFiles)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		return nil, nil, failed(Unusable, nil, "There is no file whose name ends as parquet, jsonl, json, csv or arrow do; there is %s", Some(others))
	}
	slices.Sort(names)
	slices.Sort(others)
	return names, others, nil
}

// isData goes by the ending, without those of compression, and leaves out what the
// library datasets writes beside its files.
func isData(name string) bool {
	base := strings.ToLower(path.Base(name))
	switch base {
	case "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json":
		return false
	}
	for _, ending := range []string{".gz", ".zst", ".zstd"} {
		base = strings.TrimSuffix(base, ending)
	}
	return slices.Contains([]string{".arrow", ".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".feather"}, path.Ext(base))
}

// Some lists the first names, and how many there are more.
func Some(names []string) string {
	if len(names) == 0 {
		return "no file at all"
	}
	sorted := slices.Sorted(slices.Values(names))
	more := ""
	if len(sorted) > someNames {
		more = fmt.Sprintf(" and %d more", len(sorted)-someNames)
		sorted = sorted[:someNames]
	}
	return strings.Join(sorted, ", ") + more
}
