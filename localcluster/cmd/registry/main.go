// Command registry is the container registry of a local cluster.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/registry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1) //nolint:gocritic // the process ends: stop has nothing left to free
	}
}

// flags are what the command line may say.
type flags struct {
	registry.Options
	address string
	level   slog.Level
}

func command() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "registry --addr IP:PORT --data DIR --htpasswd FILE",
		Short: "Serve container images to a local cluster",
		Long: `Serve container images from a folder over plain HTTP.

Repositories are open to everybody; those whose names begin with the private
prefix need a user and password of the htpasswd file (bcrypt) to pull and to push.
Content, tags and half-done uploads survive a restart.`,
		Example: `  registry --addr 10.200.0.1:5000 --data /var/lib/registry --htpasswd /etc/registry/htpasswd

  # the whole catalogue, with credentials
  curl -u kaito:PASSWORD http://10.200.0.1:5000/v2/_catalog`,
		Args:          cobra.NoArgs,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.address, "addr", "127.0.0.1:5000", "address to listen on")
	cmd.Flags().StringVar(&f.Data, "data", "", "folder of the content")
	cmd.Flags().StringVar(&f.Passwords, "htpasswd", "", "file with users and bcrypt hashes")
	cmd.Flags().StringVar(&f.PrivatePrefix, "private-prefix", "private/", "repositories below this prefix need a password")
	cmd.Flags().BoolVar(&f.ReadOnly, "read-only", false, "refuse pushes and removals")
	cmd.Flags().TextVar(&f.level, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	for _, name := range []string{"data", "htpasswd"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined six lines above
		}
	}
	return cmd
}

func serve(ctx context.Context, f flags) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: f.level}))
	registry.BridgeLogs(ctx, log)
	// The address first: two registries must not work on one folder.
	l, err := registry.Listen(ctx, f.address)
	if err != nil {
		return err
	}
	app, err := registry.New(ctx, f.Options)
	if err != nil {
		return err
	}
	return registry.Serve(ctx, l, app, log)
}

// version is that of the library that does the work, as the linker recorded it.
func version() string {
	const library = "github.com/distribution/distribution/v3"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, d := range info.Deps {
		if d.Path == library {
			return fmt.Sprintf("%s (distribution %s, %s)", info.Main.Version, d.Version, info.GoVersion)
		}
	}
	return info.Main.Version
}
