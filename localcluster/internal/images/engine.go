package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kaito.sh/kaito/localcluster/internal/images/layer"
)

// BaseName is the published image that the Dockerfiles start from.
const BaseName = "docker.io/library/debian:forky-slim"

// suite is the release of Debian behind BaseName.
const suite = "forky"

// treePrefix begins the names of folders in which base trees are made.
const treePrefix = "base-"

// command is one program to run.
type command struct {
	argv []string
	env  []string
	// log gets what the program says; stdout goes to out instead when it is set.
	log, out io.Writer
}

// execute runs a program of this machine and answers the CPU time that it and its
// children used.
func execute(ctx context.Context, c command) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env = append(cmd.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = c.log, c.log
	if c.out != nil {
		cmd.Stdout = c.out
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	cpu := time.Duration(0)
	if cmd.ProcessState != nil {
		cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return cpu, fmt.Errorf("%s: %w", filepath.Base(c.argv[0]), err)
	}
	return cpu, nil
}

// engine runs mmdebstrap and buildah in storage of its own.
type engine struct {
	dir  string
	host Host
	run  func(context.Context, command) (time.Duration, error)
	// cpu adds up what the programs used; large says that a Debian image was built.
	cpu   time.Duration
	large bool
}

func (e *engine) do(ctx context.Context, c command) error {
	cpu, err := e.run(ctx, c)
	e.cpu += cpu
	return err
}

// buildah runs buildah on our own storage.
func (e *engine) buildah(ctx context.Context, log io.Writer, args ...string) error {
	return e.do(ctx, command{argv: e.argv(args), log: log})
}

// ask runs buildah and answers what it prints.
func (e *engine) ask(ctx context.Context, log io.Writer, args ...string) (string, error) {
	var out bytes.Buffer
	err := e.do(ctx, command{argv: e.argv(args), log: log, out: &out})
	return strings.TrimSpace(out.String()), err
}

func (e *engine) argv(args []string) []string {
	return append([]string{
		"buildah", "--root", filepath.Join(e.dir, "storage"), "--runroot", filepath.Join(e.dir, "run"), "--storage-driver", "overlay",
	}, args...)
}

// bootstrap makes the tree of a minimal Debian, slim as the published image is.
func (e *engine) bootstrap(ctx context.Context, log io.Writer, tree string) error {
	argv := []string{"mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory"}
	for _, line := range aptLines(e.host.Apt, e.host.CAFile) {
		argv = append(argv, "--aptopt="+strings.TrimSuffix(line, ";"))
	}
	for _, option := range []string{
		"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/man/*",
		"path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/info/*",
	} {
		argv = append(argv, "--dpkgopt="+option)
	}
	argv = append(argv, suite, tree)
	env := []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", layer.Epoch)}
	if err := e.do(ctx, command{argv: argv, env: env, log: log}); err != nil {
		return err
	}
	// Packages that are installed later stay as slim as the base.
	options := filepath.Join(tree, "etc/dpkg/dpkg.cfg.d/")
	return os.Rename(filepath.Join(options, "99mmdebstrap"), filepath.Join(options, "docker"))
}

// adopt makes an image of a tree and answers its id.
func (e *engine) adopt(ctx context.Context, log io.Writer, tree, name string) (id string, err error) {
	container, err := e.ask(ctx, log, "from", "scratch")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, e.buildah(context.WithoutCancel(ctx), log, "rm", container)) }()
	if err := e.buildah(ctx, log, "add", "--quiet", container, tree, "/"); err != nil {
		return "", err
	}
	if err := e.buildah(ctx, log, "config", "--cmd", "bash", container); err != nil {
		return "", err
	}
	return e.ask(ctx, log, "commit", "--quiet", container, name)
}

// have answers the id of an image, or nothing.
func (e *engine) have(ctx context.Context, name string) string {
	id, err := e.ask(ctx, io.Discard, "inspect", "--type", "image", "--format", "{{.FromImageID}}", name)
	if err != nil {
		return ""
	}
	return id
}

// build runs a Dockerfile and tags the result.
func (e *engine) build(ctx context.Context, log io.Writer, step Step, source string) (name string, points []string, err error) {
	volumes, points, err := e.host.mounts(filepath.Join(e.dir, "host"))
	if err != nil {
		return "", nil, err
	}
	e.large = e.large || step.Image.Lock != ""
	name = "localhost/kaito/" + step.Image.Name + ":build"
	args := []string{"bud", "--layers", "--isolation", "chroot", "--network", "host", "--pull-never", "--force-rm"}
	if step.Fresh {
		args = append(args, "--no-cache")
	}
	for _, v := range volumes {
		args = append(args, "--volume", v)
	}
	args = append(args, "--tag", name, "--file", filepath.Join(source, step.Image.Dockerfile), filepath.Join(source, step.Image.Context))
	return name, points, e.buildah(ctx, log, args...)
}

// open takes away what a run that was killed has left: its containers and their mounts.
// The lock of the cache makes sure that nobody uses them.
func (e *engine) open(ctx context.Context) error {
	var said bytes.Buffer
	if err := e.buildah(ctx, &said, "rm", "--all"); err != nil {
		return fmt.Errorf("remove what an earlier run left in %q: %w: %s", e.dir, err, strings.TrimSpace(said.String()))
	}
	return e.sweepTrees()
}

// sweepTrees removes half-made base trees, after whatever is mounted in them.
func (e *engine) sweepTrees() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	half := filepath.Join(e.dir, treePrefix)
	for line := range strings.Lines(string(mounts)) {
		if point := strings.Fields(line)[1]; strings.HasPrefix(point, half) {
			if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
				return fmt.Errorf("unmount %q, which an earlier run left: %w", point, err)
			}
		}
	}
	trees, err := filepath.Glob(half + "*")
	for _, tree := range trees {
		err = errors.Join(err, os.RemoveAll(tree))
	}
	return err
}

// close leaves no mount behind. Images that no tag and no other image refers to are of
// recipes that have changed. They go only after a large image was built: the first stages
// of our programs go along, and those are built often and should find them.
func (e *engine) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if e.large {
		_ = e.buildah(ctx, io.Discard, "rmi", "--prune") // one that is in use stays; the next run tries again
	}
	_ = syscall.Unmount(filepath.Join(e.dir, "storage", "overlay"), 0) // buildah binds it to itself; without root or buildah it is no mount
}

// mount opens the tree of an image for reading and small changes.
func (e *engine) mount(ctx context.Context, log io.Writer, image, container string) (tree string, err error) {
	e.release(ctx, container) // what a killed run may have left
	if err := e.buildah(ctx, log, "from", "--quiet", "--pull-never", "--name", container, image); err != nil {
		return "", err
	}
	return e.ask(ctx, log, "mount", container)
}

// release closes a tree; one that is not there is fine.
func (e *engine) release(ctx context.Context, container string) {
	ctx = context.WithoutCancel(ctx)
	if e.buildah(ctx, io.Discard, "umount", container) == nil {
		_ = e.buildah(ctx, io.Discard, "rm", container) // its tree is closed; the next run tries again
	}
}

// inside runs a program in the tree of a container as the image's user.
func (e *engine) inside(ctx context.Context, log io.Writer, container string, volumes, argv []string) error {
	args := []string{"run", "--isolation", "chroot"}
	for _, v := range volumes {
		args = append(args, "--volume", v)
	}
	return e.buildah(ctx, log, append(append(args, container, "--"), argv...)...)
}

// config answers what the Dockerfile says about running the image.
func (e *engine) config(ctx context.Context, log io.Writer, image string) (v1.Config, error) {
	text, err := e.ask(ctx, log, "inspect", "--type", "image", image)
	if err != nil {
		return v1.Config{}, err
	}
	var answer struct {
		OCIv1 struct {
			Config v1.Config `json:"config"`
		} `json:"OCIv1"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return v1.Config{}, fmt.Errorf("read what buildah says of %q: %w", image, err)
	}
	c := answer.OCIv1.Config
	delete(c.Labels, "io.buildah.version")
	return c, nil
}
