package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli"
	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/cluster"
)

func root() *cobra.Command {
	return cli.New(cli.Deps{Version: "v9", Launch: func(t target.Target) *cluster.Launcher {
		return cluster.New(cluster.Config{Name: t.Name, Root: t.Root, HostFile: t.Root + "/host.json", User: 1000})
	}})
}

func TestEveryVerbHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" && !c.Hidden {
			t.Errorf("%q has no description or no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub)
			}
		}
	}
	walk(root())
}

func TestRefusalsBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args []string
		want string
	}{
		"no root":                     {[]string{"up"}, "needs root"},
		"no root for down":            {[]string{"down"}, "needs root"},
		"too few nodes":               {[]string{"up", "--nodes", "0"}, "give 1 to 5"},
		"too many nodes":              {[]string{"up", "--nodes", "6"}, "give 1 to 5"},
		"a size that is none":         {[]string{"up", "--min-disk", "much"}, "--min-disk"},
		"a name that leads elsewhere": {[]string{"up", "--name", "../etc"}, "lower-case letters"},
		"a bad label":                 {[]string{"node", "add", "n", "--label", "sku"}, "key=value"},
		"a bad taint":                 {[]string{"node", "add", "n", "--taint", "sku=gpu:Never"}, "NoSchedule"},
		"a negative number of GPUs":   {[]string{"node", "add", "n", "--gpus", "-1"}, "give 0 to 64"},
		"CPUs in words":               {[]string{"node", "add", "n", "--cpu", "two"}, "--cpu"},
		"no root for status":          {[]string{"status"}, "needs root"},
		"no kubeconfig yet":           {[]string{"kubeconfig"}, "start it with"},
		"all and one":                 {[]string{"down", "--all", "--name", "x"}, "give one of them"},
		"an unknown verb":             {[]string{"upp"}, "unknown command"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := root()
			c.SetArgs(append([]string{"--data-root", t.TempDir()}, tc.args...))
			c.SetOut(&bytes.Buffer{})
			c.SetErr(&bytes.Buffer{})
			if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
