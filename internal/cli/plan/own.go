package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodeshape"
	"kaito.sh/kaito/internal/sizing"
)

// ownNodes are the nodes of a cluster that are planned for, and those that are not.
type ownNodes struct {
	places []sizing.Place
	// skipped say of the others which they are and why, sorted.
	skipped []string
}

// bindOwn adds the flags that say which nodes.
func (o *options) bindOwn(flags *pflag.FlagSet) {
	flags.BoolVar(&o.own, "own-nodes", false, "plan for the nodes of the cluster of the kubeconfig, by what they say of themselves")
	flags.StringVarP(&o.selector, "selector", "l", "", "`LABELS` of the nodes, such as accelerator=nvidia, with --own-nodes (default: all)")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`FILE` that says where the cluster of --own-nodes is (default: $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&o.kubeContext, "kube-context", "", "`NAME` of a context of the kubeconfig, with --own-nodes (default: its current one)")
}

// checkOwn looks at the flags that say which nodes.
func (o options) checkOwn(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if !o.own {
		for _, name := range []string{"selector", "kubeconfig", "kube-context"} {
			if flags.Changed(name) {
				return shell.Usage(cmd, "--%s is about the nodes of a cluster: add --own-nodes", name)
			}
		}
		return nil
	}
	if len(o.types) > 0 {
		return shell.Usage(cmd, "--own-nodes and --instance-types exclude each other")
	}
	if o.manifest && o.selector == "" {
		return shell.Usage(cmd, "--manifest with --own-nodes needs --selector: a Workspace says by labels which nodes it may use")
	}
	if _, err := labels.Parse(o.selector); err != nil {
		return shell.Usage(cmd, "--selector %q is no label selector: %v; write KEY=VALUE", o.selector, err)
	}
	return nil
}

// readNodes asks a cluster for its nodes: those that a selector selects, or all.
func (o options) readNodes(ctx context.Context, sh shell.Shell, selector string, types *instance.Table) (ownNodes, error) {
	var own ownNodes
	c, err := cluster.Open(sh, cluster.Flags{Kubeconfig: o.kubeconfig, Context: o.kubeContext})
	if err != nil {
		return own, err
	}
	var list corev1.NodeList
	if err := c.List(ctx, cluster.Where{Labels: selector}, &list); err != nil {
		return own, fmt.Errorf("read the nodes: %w", err)
	}
	own.sort(list.Items, types)
	switch {
	case len(list.Items) == 0 && selector != "":
		return own, fmt.Errorf("no node of the cluster matches the selector %q: `kubectl get nodes --show-labels` says what there is", selector)
	case len(list.Items) == 0:
		return own, fmt.Errorf("the cluster has no node")
	case len(own.places) == 0:
		return own, fmt.Errorf("no node can take a model now: %s", strings.Join(own.skipped, ", "))
	}
	return own, nil
}

// sort keeps the nodes that the operator would look at for Workspaces without an instance type.
func (own *ownNodes) sort(nodes []corev1.Node, types *instance.Table) {
	var shapes []model.NodeShape
	typeOf := map[string]string{}
	for i := range nodes {
		n := &nodes[i]
		why := sizing.Unusable(n)
		if made := sizing.MadeFor(n); made != "" {
			why = made
		}
		if why != "" {
			own.skipped = append(own.skipped, n.Name+" "+why)
			continue
		}
		shapes = append(shapes, nodeshape.Of(n, types, nil)...)
		typeOf[n.Name] = n.Labels[corev1.LabelInstanceTypeStable]
	}
	slices.Sort(own.skipped)
	own.places = sizing.Alike(shapes, typeOf)
}

// notes are what is said above the table.
func (own ownNodes) notes() []string {
	if len(own.skipped) == 0 {
		return nil
	}
	return []string{"Not looked at: " + some(own.skipped)}
}
