package images

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Where the building machine's settings are mounted while RUN lines run. The mount
// points are removed from the tree afterwards, so nothing of them reaches an image.
const (
	mountDir  = "/run/kaito-build"
	mountApt  = "/etc/apt/apt.conf.d/99kaito-build"
	mountPip  = "/etc/pip.conf"
	mountedCA = mountDir + "/ca.crt"
)

// Host is what this machine needs to reach the package registries.
type Host struct {
	// CAFile holds the certificates that this machine trusts; empty for none.
	CAFile string
	// Apt are the lines of `apt-config dump`.
	Apt []string
	// Pip are the lines of `pip config list`.
	Pip []string
}

// aptLines keeps the settings of apt that say how to reach a mirror, with the file
// of certificates at ca.
func aptLines(dump []string, ca string) []string {
	var lines []string
	for _, line := range dump {
		name, _, _ := strings.Cut(line, " ")
		reach := strings.HasPrefix(name, "Acquire::http::") || strings.HasPrefix(name, "Acquire::https::") ||
			slices.Contains([]string{"Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::Retries", "Acquire::ForceIPv4", "Acquire::ForceIPv6"}, name)
		files := strings.HasSuffix(name, "::CAInfo") || strings.HasSuffix(name, "::CAPath") || strings.Contains(name, "::SslCert") || strings.Contains(name, "::SslKey")
		if reach && !files && strings.HasSuffix(line, ";") {
			lines = append(lines, line)
		}
	}
	if ca != "" {
		lines = append(lines, fmt.Sprintf("Acquire::https::CAInfo %q;", ca))
	}
	return lines
}

// pipConf keeps the settings of pip that say where packages come from.
func pipConf(list []string, ca string) string {
	lines := []string{"[global]", "disable-pip-version-check = true", "root-user-action = ignore"}
	if ca != "" {
		lines = append(lines, "cert = "+ca)
	}
	seen := map[string]bool{}
	for _, line := range list {
		name, value, ok := strings.Cut(line, "=")
		name = name[strings.LastIndex(name, ".")+1:]
		if !ok || seen[name] || !slices.Contains([]string{"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries"}, name) {
			continue
		}
		seen[name] = true
		lines = append(lines, name+" = "+strings.Trim(value, `'"`))
	}
	return strings.Join(lines, "\n") + "\n"
}

// mounts writes the settings into dir and answers the volumes to build with and
// the mount points that they leave in the tree.
func (h Host) mounts(dir string) (volumes, points []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	ca := ""
	if h.CAFile != "" {
		ca = mountedCA
		text, err := os.ReadFile(h.CAFile)
		if err != nil {
			return nil, nil, fmt.Errorf("read this machine's certificates: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ca.crt"), text, 0o644); err != nil {
			return nil, nil, err
		}
	}
	for name, text := range map[string]string{"apt.conf": strings.Join(aptLines(h.Apt, ca), "\n") + "\n", "pip.conf": pipConf(h.Pip, ca)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, nil, err
		}
	}
	volumes = []string{
		dir + ":" + mountDir + ":ro",
		filepath.Join(dir, "apt.conf") + ":" + mountApt + ":ro",
		filepath.Join(dir, "pip.conf") + ":" + mountPip + ":ro",
	}
	return volumes, []string{mountDir, mountApt, mountPip}, nil
}
