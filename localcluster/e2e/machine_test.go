package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machine is what a cluster could leave behind. The test may share the machine
// with other clusters and builds, so processes and mounts are only those that
// have to do with the test's folders, and what bears another cluster's name is
// left out.
type machine struct {
	Processes, Mounts, Links, Routes, Rules, Tables, Groups, Folders []string
	Settings                                                         map[string]string
}

func snapshot(t *testing.T, own []string) machine {
	t.Helper()
	run := func(argv ...string) []string {
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		if err != nil {
			t.Fatalf("%v: %v", argv, err)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	m := machine{
		Processes: processes(),
		Mounts:    matching(lines("/proc/1/mountinfo"), *dataRoot, "/var/lib/kubelet", "/var/lib/cni"),
		Links:     foreign(run("ip", "-o", "link"), own),
		Routes:    foreign(run("ip", "route", "show", "table", "all"), own),
		Rules:     run("ip", "rule"),
		Tables:    run("nft", "list", "tables"),
		Settings:  map[string]string{},
	}
	for i, l := range m.Links { // counters and states of other links change by themselves
		m.Links[i] = strings.Fields(l)[1]
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/kaito-local/*")
	two, _ := filepath.Glob("/sys/fs/cgroup/kaito-local/*")
	for _, g := range append(groups, two...) {
		if fi, err := os.Stat(g); err == nil && fi.IsDir() {
			m.Groups = append(m.Groups, g)
		}
	}
	m.Groups = foreign(m.Groups, own)
	if othersRun() { // they need the folders and the settings
		return m
	}
	for _, p := range []string{"/var/lib/kubelet", "/var/lib/cni", "/sys/fs/cgroup/cpu/kaito-local"} {
		if _, err := os.Stat(p); err == nil {
			m.Folders = append(m.Folders, p)
		}
	}
	for _, k := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward"} {
		m.Settings[k] = strings.Join(lines("/proc/sys/"+k), "")
	}
	return m
}

// bridgeName is the part of links, routes and groups that says whose they are.
var bridgeName = regexp.MustCompile(`\bkl\d+`)

// foreign leaves out what bears the name of a cluster that is not one of our own.
func foreign(all, own []string) []string {
	return slices.DeleteFunc(all, func(l string) bool {
		name := bridgeName.FindString(l)
		return name != "" && !slices.Contains(own, name)
	})
}

func othersRun() bool {
	b, err := os.ReadFile("/var/lib/kaito-local/host.json")
	if err != nil {
		return false
	}
	for _, claim := range strings.Split(string(b), "{") {
		if strings.Contains(claim, `"active": true`) && !strings.Contains(claim, *dataRoot) {
			return true
		}
	}
	return false
}

func lines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func matching(all []string, words ...string) []string {
	return slices.DeleteFunc(all, func(l string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(l, w) })
	})
}

// processes lists those that a test cluster started: by command line, by what
// they have mounted, or by their control group.
func processes() []string {
	var out []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		cmd, err := os.ReadFile(filepath.Join(d, "cmdline"))
		if err != nil || len(cmd) == 0 {
			continue
		}
		text := strings.ReplaceAll(string(cmd), "\x00", " ")
		if strings.Contains(text, "e2e.test") {
			continue // this test
		}
		mounts, _ := os.ReadFile(filepath.Join(d, "mountinfo"))
		if strings.Contains(text, *dataRoot) || strings.Contains(string(mounts), *dataRoot) {
			out = append(out, filepath.Base(d)+" "+text)
		}
	}
	return out
}

// same compares the machine with before; the kernel may need a moment.
func same(t *testing.T, before machine, own []string) {
	t.Helper()
	diff := ""
	for range 40 {
		after := snapshot(t, own)
		if len(after.Settings) == 0 || len(before.Settings) == 0 {
			before.Settings, before.Folders, after.Settings, after.Folders = nil, nil, nil, nil
		}
		if diff = cmp.Diff(before, after); diff == "" {
			if after.Settings == nil {
				t.Log("another cluster runs on this machine: folders and kernel settings were not compared")
			}
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Errorf("the machine is not as before (-before +after):\n%s", diff)
}
