// Package e2e tries the built programs and images from outside, as a user would:
// a local cluster of its own, the chart installed by Helm, manifests applied by
// kubectl, answers asked by curl. It needs root, `make build` and the cluster's
// programs; `make e2e` sets all of it up.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	binDir = flag.String("bin", "../../bin", "folder of the built programs")
	name   = flag.String("name", "e2e", "name of the cluster that the tests start")
	keep   = flag.Bool("keep", false, "leave the cluster up afterwards")
)

// cluster is the one cluster of this package's tests, started by TestMain.
var cluster env

// env is how the tests reach a cluster.
type env struct {
	root       string // of the repository
	bin        string
	programs   string
	kubeconfig string
}

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("KAITO_E2E") == "" {
		fmt.Println("skipped: end-to-end tests start real clusters as root; run them with `make e2e`")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	bin, err := filepath.Abs(*binDir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cluster = env{root: filepath.Dir(bin), bin: bin}
	if !*keep {
		defer func() {
			if out, err := cluster.cloud("down"); err != nil {
				fmt.Println(out, err)
			}
			if out, err := cluster.local("down", "--purge"); err != nil {
				fmt.Println(out, err)
			}
		}()
	}
	for _, step := range []func() error{cluster.start, cluster.loadImages, cluster.startCloud, cluster.installChart, cluster.labelNodes} {
		if err := step(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return m.Run()
}

func (e *env) start() error {
	out, err := e.command(10*time.Minute, filepath.Join(e.bin, "kaito"), "local", "programs", "--quiet")
	if err != nil {
		return err
	}
	e.programs = strings.TrimSpace(out)
	if err := e.up(); err != nil {
		return err
	}
	out, err = e.local("kubeconfig")
	e.kubeconfig = strings.TrimSpace(out)
	return err
}

// up starts the cluster, or what is missing of it. Each node offers all of the machine's
// CPUs, so with two of them several Workspaces find room at once.
func (e *env) up() error {
	if out, err := e.local("up", "--nodes", "2"); err != nil {
		return fmt.Errorf("start the cluster: %w\n%s", err, out)
	}
	return nil
}

func (e *env) labelNodes() error {
	_, err := e.command(time.Minute, "kubectl", "label", "nodes", "--all", "--overwrite", nodeLabel)
	return err
}

func (e *env) valuesFile() string { return filepath.Join(e.bin, "images.e2e.yaml") }

func (e *env) loadImages() error {
	out, err := e.command(25*time.Minute, filepath.Join(e.bin, "kaito"), "local", "images", "--name", *name, "--out", e.valuesFile())
	if err != nil {
		return fmt.Errorf("build and push the images: %w\n%s", err, out)
	}
	return nil
}

// startCloud starts the emulated cloud, and writes down for the chart where it is.
func (e *env) startCloud() error {
	if out, err := e.cloud("up"); err != nil {
		return fmt.Errorf("start the cloud: %w\n%s", err, out)
	}
	values, err := e.cloud("values")
	if err != nil {
		return fmt.Errorf("ask where the cloud is: %w", err)
	}
	return os.WriteFile(e.cloudFile(), []byte(values), 0o644)
}

func (e *env) cloudFile() string { return filepath.Join(e.bin, "cloud.e2e.yaml") }

func (e *env) installChart() error { return e.helm() }

// helm installs the chart, or changes what is installed; more are further arguments.
func (e *env) helm(more ...string) error {
	at, err := e.place()
	if err != nil {
		return err
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(at.Files, "http://"), ":")
	authority, err := e.cloud("ca")
	if err != nil {
		return fmt.Errorf("ask for the cloud's authority: %w", err)
	}
	out, err := e.command(4*time.Minute, "helm", append([]string{
		"upgrade", "--install", "kaito", filepath.Join(e.root, "charts/kaito"),
		"--namespace", "kaito-system", "--create-namespace", "--values", e.valuesFile(),
		"--values", e.cloudFile(), "--set-file", "gpuProvisioner.aks.caFile=" + strings.TrimSpace(authority), "--wait", "--timeout", "3m",
		// The registry of the local cluster speaks plain HTTP.
		"--set", "registries.insecure=true",
		// Its file server is inside, where data is not fetched from unless the chart says so.
		"--set", "fetch.allowCIDRs={" + host + "/32}",
		// A machine with two processors has room for two Workspaces a node, and for nothing beside them.
		"--set", "resources.requests.cpu=0", "--set", "gpuProvisioner.resources.requests.cpu=0",
	}, more...)...)
	if err != nil {
		return fmt.Errorf("install the chart: %w\n%s", err, out)
	}
	return nil
}

func (e *env) local(verb string, args ...string) (string, error) {
	return e.command(5*time.Minute, filepath.Join(e.bin, "kaito"), append([]string{"local", verb, "--name", *name}, args...)...)
}

// command runs a program with the cluster's kubectl and helm first in PATH.
func (e *env) command(limit time.Duration, program string, args ...string) (string, error) {
	return e.commandWithInput(limit, "", program, args...)
}

func (e *env) commandWithInput(limit time.Duration, input, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if p := filepath.Join(e.programs, program); !strings.Contains(program, "/") && exists(p) {
		program = p
	}
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = e.root
	c.Env = append(os.Environ(), "KUBECONFIG="+e.kubeconfig, "PATH="+e.programs+":"+e.bin+":"+os.Getenv("PATH"))
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// kubectl runs kubectl and ends the test when it does not succeed.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.command(3*time.Minute, "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply gives a manifest to kubectl and removes it again after the test.
func apply(t *testing.T, manifest string) {
	t.Helper()
	if _, err := cluster.commandWithInput(time.Minute, manifest, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.commandWithInput(2*time.Minute, manifest, "kubectl", "delete", "--ignore-not-found", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
}

// eventually asks again until ok says yes, and tells the last answer when it never does.
func eventually(t *testing.T, limit time.Duration, what string, ok func() (string, bool)) {
	t.Helper()
	const longest = time.Second // kubectl costs what a training on the same machine lacks
	var last string
	pause := 250 * time.Millisecond
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(pause) {
		var done bool
		if last, done = ok(); done {
			return
		}
		pause = min(pause*5/4, longest)
	}
	t.Fatalf("%s: not within %s; last seen:\n%s", what, limit, last)
}
