// Package images is the verb "images": build the product's images and the development
// model without a container engine, and bring them into the local registry.
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/images"
)

// Env is what the command needs of the world; cmd fills it in.
type Env struct {
	// Source is the checkout: the folder with runtimes/ and build/.
	Source string
	// Cache is the program cache; images are built in its folder images/.
	Cache string
	// Locked is IMAGES_LOCKED: a package that differs from its lock is an error.
	Locked bool
	// Certificates are places of this machine's trusted certificates; the first that
	// exists is used while building.
	Certificates []string
	// User is the effective user id.
	User int
	// Registry answers the address of the running cluster's registry.
	Registry func(context.Context) (string, error)
	// Now is the clock.
	Now func() time.Time
}

type flags struct {
	registry, out        string
	noPush, list, update bool
}

// New returns the command.
func New(env Env) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "images [NAME...]",
		Short: "Build the images and the development model into the local registry",
		Long: `Build the images of this checkout from their Dockerfiles, without a container
engine, and push them to the registry of the local cluster. What has not changed is
not built again; what the registry has is not sent again. Names are ` + strings.Join(images.Names(), ", ") + `;
without one it is all of them.

When the distribution has moved, the difference from the lock of an image is printed
and the image's smoke test decides; with IMAGES_LOCKED=1 a difference is an error.`,
		Example: `  # everything, into the registry of the running cluster
  kaito local images

  # one image, kept on this machine
  kaito local images llamacpp --no-push

  # take today's packages and write them down
  kaito local images tuner --update-locks`,
		ValidArgs:    images.Names(),
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, names []string) error {
			return run(cmd, env, f, names)
		},
	}
	c.Flags().StringVar(&f.registry, "registry", "", "HOST:PORT to push to (default: the registry of the running cluster)")
	c.Flags().StringVar(&f.out, "out", "bin/images.yaml", "Helm values file to write, with the digest of each image")
	c.Flags().BoolVar(&f.noPush, "no-push", false, "build only")
	c.Flags().BoolVar(&f.list, "list", false, "list the images and their last builds; builds nothing")
	c.Flags().BoolVar(&f.update, "update-locks", false, "build with today's packages and write the locks")
	c.MarkFlagsMutuallyExclusive("no-push", "registry")
	return c
}

func run(cmd *cobra.Command, env Env, f flags, names []string) error {
	if env.Cache == "" {
		return errors.New("there is no folder for the cache: set HOME or KAITO_CACHE")
	}
	cache, err := filepath.Abs(filepath.Join(env.Cache, "images")) // buildah mounts from it
	if err != nil {
		return fmt.Errorf("find the cache folder: %w", err)
	}
	source, err := filepath.Abs(env.Source)
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	env.Source = source
	options := images.Options{
		Source: env.Source, Cache: cache, Names: names,
		Values: f.out, Locked: env.Locked, UpdateLocks: f.update,
		CLI: filepath.Join(env.Source, "bin", "kaito"), Progress: cmd.ErrOrStderr(), Now: env.Now, CPU: used,
	}
	if !filepath.IsAbs(f.out) {
		options.Values = filepath.Join(env.Source, f.out)
	}
	if f.list {
		return images.List(options, cmd.OutOrStdout())
	}
	if _, err := images.Choose(images.Table(), names); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(env.Source, "runtimes")); err != nil {
		return fmt.Errorf("%s is not a checkout of Kaito, it has no runtimes/: run this in the checkout", env.Source)
	}
	if err := images.Check(env.User); err != nil {
		return err
	}
	if !f.noPush {
		registry, err := address(cmd.Context(), env, f.registry)
		if err != nil {
			return err
		}
		options.Registry = registry
	}
	options.Host = images.LookAtHost(cmd.Context(), env.Certificates)
	return images.New(options).Run(cmd.Context())
}

func address(ctx context.Context, env Env, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	found, err := env.Registry(ctx)
	if err != nil {
		return "", fmt.Errorf("find the registry of the local cluster: %w, name a registry with --registry, or build only with --no-push", err)
	}
	return found, nil
}

// used is the CPU time of this process itself.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
