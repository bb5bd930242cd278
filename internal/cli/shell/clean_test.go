package shell

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTextOfOthersCannotDriveTheTerminal(t *testing.T) {
	t.Parallel()
	const text = "สวัสดี\x1b]0;title\x07\r\x7f\u009b31m\n\ttab 🙂"
	for name, tc := range map[string]struct {
		terminal bool
		want     string
	}{
		"a terminal shows pictures":     {true, "สวัสดี␛]0;title␇␍␡\uFFFD31m\n\ttab 🙂"},
		"a file takes it byte for byte": {false, text},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			n, err := io.WriteString(Shell{Out: &out, OutTerminal: tc.terminal}.Text(), text)
			if err != nil || n != len(text) {
				t.Errorf("wrote %d of %d bytes: %v", n, len(text), err)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
