// Command vllm stands in for vLLM where there is no GPU: it takes exactly the command
// line of the version in internal/engine/flags, refuses what vLLM refuses, and answers
// in vLLM's shapes. It has no model. It is for tests alone: no chart, no release and no
// default names it, and every answer says what it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stderr, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vllm (stand-in): error:", err)
		os.Exit(2)
	}
}

// run serves until the context ends, and lets requests end as vLLM does.
func run(ctx context.Context, log io.Writer, args []string) error {
	options, err := parse(args)
	if err != nil {
		return err
	}
	if err := checkModel(options); err != nil {
		return err
	}
	ctx, cancelGroup := context.WithCancel(ctx)
	defer cancelGroup()
	ended := make(chan error, 1+options.group.nodes)
	switch {
	case options.group.rank > 0:
		fmt.Fprintf(log, "vllm (stand-in): node %d of %d for %s\n", options.group.rank, options.group.nodes, options.group.address)
		return options.group.follow(ctx)
	case options.group.nodes > 1:
		fmt.Fprintf(log, "vllm (stand-in): waiting for %d further nodes\n", options.group.nodes-1)
		if err := options.group.lead(ctx, ended); err != nil {
			return err
		}
	}
	front := &http.Server{Handler: newServer(options), ReadHeaderTimeout: 10 * time.Second}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(options.host, options.port))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(log, "vllm (stand-in): %s from %s on %s, %d tokens, %s GPUs; no model is behind this\n",
		options.served, options.folder, listener.Addr(), options.context, options.gpus)
	go func() { ended <- front.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), options.patience)
	defer cancel()
	if err := front.Shutdown(patience); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
