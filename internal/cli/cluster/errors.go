package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/shell"
)

var errSilent = fmt.Errorf("no answer within %s", patience)

// NoConfigError is a user without a cluster.
type NoConfigError struct {
	// Program is how the user calls us, Looked are the files that do not exist or say nothing.
	Program string
	Looked  []string
}

// Error says how to get one.
func (e *NoConfigError) Error() string {
	looked := "no file is named"
	if len(e.Looked) > 0 {
		looked = "nothing in " + strings.Join(e.Looked, ", ")
	}
	return fmt.Sprintf("no cluster is configured (%s): set KUBECONFIG or pass --kubeconfig FILE; for a cluster on this machine: %s local up", looked, e.Program)
}

// UnreachableError is a cluster that does not answer.
type UnreachableError struct {
	Host string
	Err  error
}

// Error says where it was looked for.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reach the cluster at %s: %v; check that it runs, and that the kubeconfig and its context are the right ones", e.Host, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// NotInstalledError is a cluster that knows no Workspaces.
type NotInstalledError struct{ Host string }

// Error says how to install.
func (e *NotInstalledError) Error() string {
	return fmt.Sprintf("the cluster at %s knows no Workspaces: install the chart: helm install kaito charts/kaito --namespace kaito-system --create-namespace", e.Host)
}

// DeniedError is a user who may not.
type DeniedError struct{ Err error }

// Error is the API server's, which names verb and resource, and who can help.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("%v; ask an administrator of the cluster for that right", e.Err)
}

func (e *DeniedError) Unwrap() error { return e.Err }

// explain turns what a request ended with into what a person can act on. That an
// object does not exist stays the API server's own error.
func (c *Cluster) explain(err error, r schema.GroupVersionResource) error {
	var (
		network net.Error
		failed  *url.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case apierrors.IsNotFound(err) && unserved(err) && c.lacks(r) != nil:
		return c.lacks(r)
	case apierrors.IsForbidden(err):
		return &DeniedError{Err: err}
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster at %s does not accept the credentials of the kubeconfig: log in again, or choose another --context: %w", c.config.Host, err)
	case errors.Is(err, errSilent):
		return &UnreachableError{Host: c.config.Host, Err: err}
	case errors.As(err, &failed):
		return &UnreachableError{Host: c.config.Host, Err: failed.Err}
	case errors.As(err, &network):
		return &UnreachableError{Host: c.config.Host, Err: err}
	}
	var told apierrors.APIStatus
	if errors.As(err, &told) || errors.Is(err, shell.ErrInterrupted) {
		return err
	}
	return fmt.Errorf("read %s from the cluster at %s: %w; check that this is the address of a Kubernetes API server", r.Resource, c.config.Host, err)
}

// lacks says what has to be installed for a kind, or nothing.
func (c *Cluster) lacks(r schema.GroupVersionResource) error {
	switch r.Group {
	case v1beta1.Group:
		return &NotInstalledError{Host: c.config.Host}
	case karpenterGroup:
		return &NoNodeClaimsError{Host: c.config.Host}
	}
	return nil
}

// unserved tells a path that the API server does not have from an object that does not exist.
func unserved(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return true
	}
	for _, c := range status.Status().Details.Causes {
		if c.Type == metav1.CauseTypeUnexpectedServerResponse {
			return true
		}
	}
	return false
}
