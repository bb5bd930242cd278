package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// localCluster is a cluster of the benchmark's own.
type localCluster struct {
	kaito    string // the built program
	programs string // folder with kubectl and helm
	config   string // path of its kubeconfig
	images   string // values for the chart
}

const clusterName = "bench"

// startCluster starts a local cluster with the chart and two labelled nodes. The caller stops it.
func startCluster(ctx context.Context, o options) (*localCluster, error) {
	if !o.cluster {
		return nil, skip("it needs a local cluster; -cluster starts one named " + clusterName + " and removes it afterwards")
	}
	if os.Geteuid() != 0 {
		return nil, skip("a local cluster needs root")
	}
	c := &localCluster{kaito: filepath.Join(filepath.Dir(o.runner), "kaito"), images: filepath.Join(o.dir, "images.yaml")}
	if _, err := os.Stat(c.kaito); err != nil {
		return nil, skip(fmt.Sprintf("there is no %s; make build makes it", c.kaito))
	}
	programs, err := c.run(ctx, "", c.kaito, "local", "programs", "--quiet")
	if err != nil {
		return nil, err
	}
	c.programs = strings.TrimSpace(programs)
	if _, err := c.local(ctx, "up", "--nodes", "2"); err != nil {
		return nil, errors.Join(err, c.stop(ctx))
	}
	config, err := c.local(ctx, "kubeconfig")
	c.config = strings.TrimSpace(config)
	for _, step := range []func() (string, error){
		func() (string, error) {
			return c.local(ctx, "images", "operator", "runner", "llamacpp", "models", "--out", c.images)
		},
		func() (string, error) {
			return c.tool(ctx, "", "helm", "upgrade", "--install", "kaito", "charts/kaito", "--namespace", "kaito-system",
				"--create-namespace", "--values", c.images, "--wait", "--timeout", "5m")
		},
		func() (string, error) {
			return c.tool(ctx, "", "kubectl", "label", "nodes", "--all", "--overwrite", "apps=smollm2")
		},
	} {
		if err == nil {
			_, err = step()
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.stop(ctx))
	}
	return c, nil
}

// stop removes the cluster, also after ctx has ended.
func (c *localCluster) stop(ctx context.Context) error {
	_, err := c.local(context.WithoutCancel(ctx), "down", "--purge")
	return err
}

// local runs a verb of `kaito local` on the cluster.
func (c *localCluster) local(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, "", c.kaito, append([]string{"local", "--name", clusterName}, args...)...)
}

// tool runs kubectl or helm.
func (c *localCluster) tool(ctx context.Context, input, name string, args ...string) (string, error) {
	return c.run(ctx, input, filepath.Join(c.programs, name), args...)
}

// run runs a program and returns what it wrote; what it said about an error is in the error.
func (c *localCluster) run(ctx context.Context, input, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+c.config)
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, &out, &said)
	}
	return out.String(), nil
}
