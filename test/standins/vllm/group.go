package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// group is what the flags say of the nodes that serve together.
type group struct {
	nodes, rank        int
	address, port      string
	headless           bool
	tensor, stages, dp int
}

// check refuses what vLLM refuses (engine/arg_utils.py, create_engine_config), and a follower
// that would open an API server of its own.
func (g group) check() error {
	world := g.tensor * g.stages * g.dp
	switch {
	case g.nodes == 1 && g.headless:
		return errors.New("--headless has no API server, and nobody else serves")
	case world%g.nodes != 0:
		return fmt.Errorf("--nnodes %d must evenly divide the total world size (%d)", g.nodes, world)
	case g.rank < 0 || g.rank >= g.nodes:
		return fmt.Errorf("--node-rank must be between 0 and %d; got --node-rank %d", g.nodes-1, g.rank)
	case g.rank > 0 && !g.headless, g.rank == 0 && g.headless:
		return fmt.Errorf("--headless is for the nodes behind the first, and this is --node-rank %d", g.rank)
	}
	return nil
}

// joinPatience is how long a follower tries to reach the first node.
const joinPatience = time.Minute

// lead waits for all followers, as vLLM's first node does before it answers. ended gets an
// error when one of them is lost.
func (g group) lead(ctx context.Context, ended chan<- error) error {
	door, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(g.address, g.port))
	if err != nil {
		return fmt.Errorf("meet the other nodes: %w", err)
	}
	defer func() { _ = door.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = door.Close() })
	defer stop()
	joined := map[int]net.Conn{}
	for len(joined) < g.nodes-1 {
		conn, err := door.Accept()
		if err != nil {
			return fmt.Errorf("meet the other nodes: %w", err)
		}
		rank, err := greeted(conn)
		if err != nil || rank < 1 || rank >= g.nodes {
			_ = conn.Close()
			continue
		}
		joined[rank] = conn
	}
	for rank, conn := range joined {
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		if _, err := fmt.Fprintln(conn, "go"); err != nil {
			return fmt.Errorf("start node %d: %w", rank, err)
		}
		go func() {
			_, _ = conn.Read(make([]byte, 1)) // it says nothing more until it ends
			ended <- fmt.Errorf("node %d of %d was lost", rank, g.nodes)
		}()
	}
	return nil
}

// greeted is the rank that a follower says.
func greeted(conn net.Conn) (int, error) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "rank ")))
}

// follow joins the first node and computes for it until that ends: then vLLM ends, too.
func (g group) follow(ctx context.Context) error {
	conn, err := g.dial(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := fmt.Fprintf(conn, "rank %d\n", g.rank); err != nil {
		return fmt.Errorf("join the first node: %w", err)
	}
	_, err = bufio.NewReader(conn).ReadString(0) // reads on until the other side ends
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the first node was lost: %w", err)
}

// dial tries until the first node listens.
func (g group) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(g.address, g.port))
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("join the first node: %w", err)
		case <-again.C:
		}
	}
}
