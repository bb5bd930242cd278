package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/near"
)

// Workspace reads one Workspace of the namespace; a name that none has is a MissingError.
func (c *Cluster) Workspace(ctx context.Context, name string) (*v1beta1.Workspace, error) {
	var ws v1beta1.Workspace
	err := c.Get(ctx, c.Namespace, name, &ws)
	switch {
	case apierrors.IsNotFound(err):
		return nil, c.Missing(ctx, name)
	case err != nil:
		return nil, fmt.Errorf("read Workspace %q: %w", name, err)
	}
	return &ws, nil
}

// Missing says that there is no such Workspace, and which may have been meant.
func (c *Cluster) Missing(ctx context.Context, name string) error {
	var all v1beta1.WorkspaceList
	if err := c.List(ctx, Where{}, &all); err != nil {
		// Not every user may look into all namespaces; without any list there are no guesses.
		all = v1beta1.WorkspaceList{}
		if err := c.List(ctx, Where{Namespace: c.Namespace}, &all); err != nil {
			all = v1beta1.WorkspaceList{}
		}
	}
	return &MissingError{Name: name, Namespace: c.Namespace, Near: guesses(all.Items, name, c.Namespace)}
}

// MissingError is a name that no Workspace has.
type MissingError struct {
	Name, Namespace string
	// Near are Workspaces that may have been meant, those of another namespace with it.
	Near []string
}

// Error names those that may have been meant.
func (e *MissingError) Error() string {
	text := fmt.Sprintf("there is no Workspace %q in namespace %q", e.Name, e.Namespace)
	if len(e.Near) > 0 {
		text += "; did you mean " + strings.Join(e.Near, " or ") + "?"
	}
	return text
}

// guesses prefers the very name in another namespace to near names in this one.
func guesses(all []v1beta1.Workspace, name, namespace string) []string {
	var there, here []string
	for _, ws := range all {
		switch {
		case ws.Namespace == namespace:
			here = append(here, ws.Name)
		case ws.Name == name:
			there = append(there, fmt.Sprintf("%s -n %s", name, ws.Namespace))
		}
	}
	slices.Sort(there)
	return append(there, near.Names(name, here)...)
}
