package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kaito.sh/kaito/localcluster/internal/cluster"
)

// local is one test cluster.
type local struct {
	t    *testing.T
	name string
}

// try runs the launcher.
func (l local) try(args ...string) (string, error) {
	argv := append([]string{"--name", l.name, "--data-root", *dataRoot}, args...)
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	c := exec.CommandContext(ctx, built.launcher, argv...)
	var both bytes.Buffer
	var out bytes.Buffer
	c.Stdout, c.Stderr = io.MultiWriter(&out, &both), &both
	begin := time.Now()
	err := c.Run()
	l.t.Logf("%s %s: %.2fs\n%s", l.name, strings.Join(args, " "), time.Since(begin).Seconds(), both.String())
	if err != nil {
		return both.String(), err
	}
	return out.String(), nil
}

func (l local) do(args ...string) string {
	l.t.Helper()
	out, err := l.try(args...)
	if err != nil {
		l.t.Fatalf("%v: %v", args, err)
	}
	return out
}

func (l local) up(more ...string) {
	l.t.Helper()
	l.do(append([]string{"up", "--programs", *programs, "--min-disk", "2Gi"}, more...)...)
}

func (l local) status() cluster.Status {
	l.t.Helper()
	var s cluster.Status
	out, err := l.try("status", "-o", "json")
	if err != nil {
		l.t.Logf("status: %v", err)
	}
	if err := json.Unmarshal([]byte(out[:strings.LastIndexByte(out, '}')+1]), &s); err != nil {
		l.t.Fatalf("status: %v", err)
	}
	return s
}

func (l local) kubectl(stdin string, args ...string) (string, error) {
	c := exec.Command(filepath.Join(*programs, "kubectl"), append([]string{"--kubeconfig", filepath.Join(*dataRoot, l.name, "kubeconfig")}, args...)...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (l local) must(stdin string, args ...string) string {
	l.t.Helper()
	out, err := l.kubectl(stdin, args...)
	if err != nil {
		l.t.Fatalf("kubectl %v: %v: %s", args, err, out)
	}
	return out
}

// await calls look until it answers "".
func (l local) await(what string, limit time.Duration, look func() string) time.Duration {
	l.t.Helper()
	begin := time.Now()
	for {
		why := look()
		if why == "" {
			d := time.Since(begin)
			l.t.Logf("%s: %s after %.1fs", l.name, what, d.Seconds())
			return d
		}
		if time.Since(begin) > limit {
			l.t.Fatalf("%s: %s: not within %s: %s", l.name, what, limit, why)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ready waits for a pod.
func (l local) ready(pod string) time.Duration {
	l.t.Helper()
	return l.await("pod "+pod+" Ready", 2*time.Minute, func() string {
		out, err := l.kubectl("", "get", "pod", pod, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && out == "True" {
			return ""
		}
		more, _ := l.kubectl("", "get", "pod", pod, "-o", "jsonpath={.status}")
		return out + " " + more
	})
}

func (l local) get(url string) (string, error) {
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{resp.Status + ": " + string(b)}
	}
	return string(b), err
}

type statusError struct{ text string }

func (e *statusError) Error() string { return e.text }

// answers waits until a URL answers with the text.
func (l local) answers(url, want string) {
	l.t.Helper()
	l.await(url+" answers", 30*time.Second, func() string {
		got, err := l.get(url)
		if err != nil {
			return err.Error()
		}
		if got != want {
			return "got " + got + ", want " + want
		}
		return ""
	})
}

func (l local) podIP(pod string) string {
	l.t.Helper()
	return l.must("", "get", "pod", pod, "-o", "jsonpath={.status.podIP}")
}

// push packs the web program into an image and pushes it to the cluster's registry.
func (l local) push(repository string, auth authn.Authenticator) error {
	binary, err := os.ReadFile(built.web)
	if err != nil {
		return err
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	_ = w.WriteHeader(&tar.Header{Name: "web", Mode: 0o755, Size: int64(len(binary))})
	_, _ = w.Write(binary)
	// The name is in the image, so that no two repositories hold the same one.
	_ = w.WriteHeader(&tar.Header{Name: "repository", Mode: 0o644, Size: int64(len(repository))})
	_, _ = w.Write([]byte(repository))
	if err := w.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return err
	}
	c = c.DeepCopy()
	c.Architecture, c.OS, c.Config.Entrypoint, c.Config.User = runtime.GOARCH, "linux", []string{"/web"}, "1000:1000"
	if img, err = mutate.ConfigFile(img, c); err != nil {
		return err
	}
	ref, err := name.ParseReference(l.status().Registry+"/"+repository, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(ref, img, remote.WithAuth(auth))
}
