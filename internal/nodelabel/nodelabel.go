// Package nodelabel says which labels the nodes have that are made for a Workspace. It is
// apart from internal/nodeclaim so that who only judges a selector does not link Karpenter.
package nodelabel

import (
	"maps"
	"slices"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
)

// Labels that claims and their nodes carry.
const (
	// Workspace and Namespace say whose a claim and its node are.
	Workspace = "kaito.sh/workspace"
	Namespace = "kaito.sh/workspacenamespace"
	// NodePool is Karpenter's, PoolName its value on our claims; no such NodePool exists.
	NodePool = "karpenter.sh/nodepool"
	PoolName = "kaito"
)

// Made are the labels that every node has which is made for a Workspace: those that its
// selector asks for, as far as a node can be given them, and whose it is.
func Made(ws *v1beta1.Workspace) map[string]string {
	all := map[string]string{}
	for key, value := range ws.Resource.LabelSelector.MatchLabels {
		if !reserved(key) {
			all[key] = value
		}
	}
	maps.Copy(all, Owned(ws))
	return all
}

// Owned are the labels by which the nodes of a Workspace are told from all others.
func Owned(ws *v1beta1.Workspace) map[string]string {
	return map[string]string{Workspace: ws.Name, Namespace: ws.Namespace, NodePool: PoolName}
}

// reserved is true of labels that belong to Kubernetes, Karpenter or Kaito: nobody else
// may say what they are on a node.
func reserved(key string) bool {
	domain, _, prefixed := strings.Cut(key, "/")
	if !prefixed {
		return false
	}
	return slices.ContainsFunc([]string{"kubernetes.io", "k8s.io", "karpenter.sh", v1beta1.Group}, func(of string) bool {
		return domain == of || strings.HasSuffix(domain, "."+of)
	})
}
