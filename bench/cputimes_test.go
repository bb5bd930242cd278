package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCPUTimeIsCountedByProgram(t *testing.T) {
	t.Parallel()
	before, err := cpuTimes()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(os.Args[0])[:min(15, len(filepath.Base(os.Args[0])))] // as long as the kernel keeps it
	if _, ok := before[name]; !ok {
		t.Fatalf("the test %q is not among %v", name, before)
	}
	for sum := 0; ; sum++ { // until a tick has passed
		by, all, err := cpuSince(before)
		if err != nil {
			t.Fatal(err)
		}
		if by[name] > 0 && all >= by[name] {
			return
		}
	}
}
