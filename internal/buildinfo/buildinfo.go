// Package buildinfo says which version of Kaito a program was built from. All
// programs print the same answer.
package buildinfo

import (
	"fmt"
	"runtime/debug"
)

// version is set by the linker for a release:
//
//	go build -ldflags "-X kaito.sh/kaito/internal/buildinfo.version=v0.1.0"
var version string

// Version is the release set by the linker, else what the Go tool recorded
// about the module, else "devel".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	return describe(version, info, ok)
}

// Long is Version with the Go release and the platform, for `version` commands.
func Long(program string) string {
	info, ok := debug.ReadBuildInfo()
	text := program + " " + describe(version, info, ok)
	if !ok {
		return text
	}
	return fmt.Sprintf("%s (%s %s/%s)", text, info.GoVersion, setting(info, "GOOS"), setting(info, "GOARCH"))
}

// describe picks the most telling of what is known.
func describe(linked string, info *debug.BuildInfo, ok bool) string {
	if linked != "" {
		return linked
	}
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision := setting(info, "vcs.revision")
	if revision == "" {
		return "devel"
	}
	if setting(info, "vcs.modified") == "true" {
		return "devel-" + revision[:min(12, len(revision))] + "-modified"
	}
	return "devel-" + revision[:min(12, len(revision))]
}

// setting is the value of one build setting, empty where the build did not record it.
func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
