// Package internals holds the hidden verbs that the launcher runs itself with:
// the stage before a program, a node's first process, and the file server.
package internals

import (
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/fileserver"
	"kaito.sh/kaito/localcluster/internal/nodeinit"
	"kaito.sh/kaito/localcluster/internal/process"
)

// New is the hidden group; env is what a staged program inherits.
func New(c clock.Clock, env []string) *cobra.Command {
	cmd := &cobra.Command{Use: "internal", Short: "What the launcher runs itself with", Hidden: true}
	cmd.AddCommand(stage(env), nodeInit(c), files())
	return cmd
}

func stage(env []string) *cobra.Command {
	var s process.Stage
	cmd := &cobra.Command{
		Use:   "stage --pid-file FILE --cgroup PATH -- PROGRAM [ARGUMENT]...",
		Short: "Join a control group, write a pid file and become a program",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, argv []string) error {
			if err := s.Enter(); err != nil {
				return err
			}
			return process.Become(argv, env)
		},
	}
	cmd.Flags().StringVar(&s.PidFile, "pid-file", "", "file to write")
	cmd.Flags().StringVar(&s.Cgroup, "cgroup", "", "control group to join")
	return cmd
}

func nodeInit(c clock.Clock) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "node-init --plan FILE",
		Short: "Be the first process of a node",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := nodeinit.Load(file)
			if err != nil {
				return err
			}
			children := make(chan os.Signal, 64)
			signal.Notify(children, nodeinit.Signals()...)
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return nodeinit.New(plan, c, log).Run(cmd.Context(), os.NewFile(nodeinit.Gate, "gate"), children)
		},
	}
	cmd.Flags().StringVar(&file, "plan", "", "what to do")
	return cmd
}

func files() *cobra.Command {
	var dir, addr string
	cmd := &cobra.Command{
		Use:   "files --dir DIR --addr IP:PORT",
		Short: "Serve a folder, read only",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := fileserver.Handler(dir)
			if err != nil {
				return err
			}
			slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)).Info("files served", "folder", dir, "address", addr)
			return fileserver.Serve(cmd.Context(), addr, h)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder to serve")
	cmd.Flags().StringVar(&addr, "addr", "", "address to listen on")
	return cmd
}
