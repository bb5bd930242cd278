// Command kaito-localcluster starts and stops a real Kubernetes on this machine.
// It is the only place of the launcher that reads the environment and the clock.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	utilclock "k8s.io/utils/clock"

	"kaito.sh/kaito/localcluster/internal/cli"
	"kaito.sh/kaito/localcluster/internal/cli/images"
	"kaito.sh/kaito/localcluster/internal/cli/programs"
	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/cluster"
	store "kaito.sh/kaito/localcluster/internal/programs"
	"kaito.sh/kaito/localcluster/internal/progress"
)

// hostFile is the machine's record of its clusters; it is the same for all data roots.
const hostFile = "/var/lib/kaito-local/host.json"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	started := false
	err := run(ctx, func() { started = true })
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil:
		return
	case interrupted:
		fmt.Fprintln(os.Stderr, "kaito local: interrupted; what is done already is kept, run the same command again to go on")
		os.Exit(130)
	case started:
		fmt.Fprintln(os.Stderr, "kaito local:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "kaito local: %v\nSee kaito local --help.\n", err)
	os.Exit(2)
}

func run(ctx context.Context, started func()) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	c := clock.Clock{Now: time.Now, After: time.After}
	build := buildOptions(self)
	launch := func(t target.Target) *cluster.Launcher {
		return cluster.New(cluster.Config{
			Name: t.Name, Root: t.Root, HostFile: hostFile, Self: self, User: os.Geteuid(), Clock: c,
			Progress: progress.New(t.Out, time.Now),
			Programs: func(ctx context.Context) (string, error) {
				if t.Programs != "" {
					return filepath.Abs(t.Programs)
				}
				return store.Ensure(ctx, build)
			},
		})
	}
	return cli.New(cli.Deps{
		Launch: launch, Clock: c, Env: os.Environ(), Version: buildVersion(), Started: started,
		More: func(t *target.Target) []*cobra.Command {
			return []*cobra.Command{programs.New(build), images.New(imageOptions(build, t, launch))}
		},
	}).ExecuteContext(ctx)
}

// buildOptions say where the programs are built from and kept.
func buildOptions(self string) store.Options {
	return store.Options{
		CacheDir:  cacheDir(),
		SourceDir: sourceDir(self),
		Env:       os.Environ(),
		Out:       os.Stderr,
		Clock:     utilclock.RealClock{},
	}
}

// imageOptions say what images are built from and where they go.
func imageOptions(build store.Options, t *target.Target, launch target.Launch) images.Env {
	return images.Env{
		Source: filepath.Dir(build.SourceDir), Cache: build.CacheDir, Locked: os.Getenv("IMAGES_LOCKED") == "1",
		Certificates: []string{
			os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
		},
		User: os.Geteuid(), Now: time.Now,
		Registry: func(context.Context) (string, error) {
			one := *t
			one.Out = os.Stderr
			return launch(one).Registry()
		},
	}
}

// cacheDir is shared by everything of Kaito on this account.
func cacheDir() string {
	if d := os.Getenv("KAITO_CACHE"); d != "" {
		return d
	}
	if d := os.Getenv("XDG_CACHE_HOME"); d != "" {
		return filepath.Join(d, "kaito")
	}
	if d := os.Getenv("HOME"); d != "" {
		return filepath.Join(d, ".cache", "kaito")
	}
	return ""
}

// sourceDir is the folder localcluster of the checkout whose bin/ holds this
// program; KAITO_SOURCE names another checkout.
func sourceDir(self string) string {
	if d := os.Getenv("KAITO_SOURCE"); d != "" {
		return filepath.Join(d, "localcluster")
	}
	return filepath.Join(filepath.Dir(filepath.Dir(self)), "localcluster")
}

// version is set by the linker for a release.
var version string

// buildVersion is the version with the Go release, or what Go knows of the build.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case version != "" && ok:
		return version + " " + info.GoVersion
	case ok:
		return info.Main.Version + " " + info.GoVersion
	}
	return "unknown"
}
