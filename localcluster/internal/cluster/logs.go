package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Logs lists the cluster's logs: component or node/program → file.
func (l *Launcher) Logs() (map[string]string, error) {
	place, err := l.Place()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, pattern := range []string{place.Path("log", "*.log"), place.Node("*", "log", "*.log")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("list logs: %w", err)
		}
		for _, f := range files {
			name := strings.TrimSuffix(filepath.Base(f), ".log")
			if dir := filepath.Dir(filepath.Dir(f)); dir != place.Dir {
				name = filepath.Base(dir) + "/" + name
			}
			out[name] = f
		}
	}
	return out, nil
}

// Log is the file of one log.
func (l *Launcher) Log(name string) (string, error) {
	logs, err := l.Logs()
	if err != nil {
		return "", err
	}
	if f, there := logs[name]; there {
		return f, nil
	}
	names := make([]string, 0, len(logs))
	for n := range logs {
		names = append(names, n)
	}
	slices.Sort(names)
	return "", fmt.Errorf("there is no log %q in cluster %q; there are: %s: %w", name, l.Name, strings.Join(names, ", "), os.ErrNotExist)
}
