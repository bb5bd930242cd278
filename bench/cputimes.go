package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// cpuTimes is the CPU time of each program that the benchmark has started and that still
// runs, and its own, in seconds, in ticks of a hundredth.
func cpuTimes() (map[string]float64, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	self := strconv.Itoa(os.Getpid())
	// The name in parentheses may hold spaces; then come state, parent, and with the 14th and 15th field utime and stime.
	fields := regexp.MustCompile(`^(\d+) \((.*)\) \S (\d+)(?: \S+){9} (\d+) (\d+) `)
	all := map[string]float64{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		m := fields.FindSubmatch(raw)
		if m == nil {
			return nil, fmt.Errorf("read %s: %q", file, raw)
		}
		if string(m[1]) != self && string(m[3]) != self {
			continue
		}
		user, _ := strconv.ParseFloat(string(m[4]), 64) // digits
		system, _ := strconv.ParseFloat(string(m[5]), 64)
		all[string(m[2])] += (user + system) / 100
	}
	return all, nil
}

// cpuSince is what was spent after before, by program, and in all.
func cpuSince(before map[string]float64) (by map[string]float64, all float64, err error) {
	now, err := cpuTimes()
	if err != nil {
		return nil, 0, err
	}
	by = map[string]float64{}
	for program, seconds := range now {
		by[program] = seconds - before[program]
		all += by[program]
	}
	return by, all, nil
}
