package shell

import (
	"bytes"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		terminal bool
		every    time.Duration
		want     string
	}{
		"quick work stays quiet":              {every: time.Second, want: ""},
		"a log gets a line now and then":      {every: 5 * time.Second, want: "packing: 10 MB of 20 MB, 2.0 MB/s\npacking: 20 MB of 20 MB, 2.0 MB/s\n"},
		"a terminal gets one that is wiped":   {terminal: true, every: time.Second, want: "\rpacking: 10 MB of 20 MB, 10 MB/s" + spaces(38) + "\rpacking: 20 MB of 20 MB, 10 MB/s" + spaces(38) + "\r" + spaces(70) + "\r"},
		"a terminal is not redrawn too often": {terminal: true, every: 10 * time.Millisecond, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, out := time.Unix(0, 0), &bytes.Buffer{}
			p := Shell{Err: out, Terminal: tc.terminal, Now: func() time.Time { return now }}.Progress("packing")
			for _, done := range []int64{10e6, 20e6} {
				now = now.Add(tc.every)
				p.At(done, 20e6)
			}
			p.End()
			if out.String() != tc.want {
				t.Errorf("printed %q, want %q", out, tc.want)
			}
		})
	}
}

func spaces(n int) string { return string(bytes.Repeat([]byte(" "), n)) }

func TestSizesAndTimesForPeople(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 98362432: "98 MB", 999_999_999: "1.0 GB", 2_500_000_000_000: "2.5 TB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1234 * time.Microsecond: "1ms", 1234 * time.Millisecond: "1.2s", 125 * time.Second: "2m5s"} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%s) = %s, want %s", d, got, want)
		}
	}
}
