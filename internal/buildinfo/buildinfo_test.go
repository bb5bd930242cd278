package buildinfo

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	vcs := func(modified string) *debug.BuildInfo {
		return &debug.BuildInfo{Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: modified},
		}}
	}
	for name, tc := range map[string]struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		"the linker's word wins":             {linked: "v1.2.3", info: vcs("false"), want: "v1.2.3"},
		"an installed module has a version":  {info: &debug.BuildInfo{Main: debug.Module{Version: "v0.4.0"}}, want: "v0.4.0"},
		"a checkout has a revision":          {info: vcs("false"), want: "devel-0123456789ab"},
		"a changed checkout says so":         {info: vcs("true"), want: "devel-0123456789ab-modified"},
		"a build without a record is devel":  {info: &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, want: "devel"},
		"no build information at all either": {want: "devel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := describe(tc.linked, tc.info, tc.info != nil); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLongNamesTheProgram(t *testing.T) {
	t.Parallel()
	if got := Long("kaito"); !strings.HasPrefix(got, "kaito ") {
		t.Errorf("got %q", got)
	}
}
