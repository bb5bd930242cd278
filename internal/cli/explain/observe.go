package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/nodes"
)

// What a user may have no right to read.
const (
	unseenServers   = "StatefulSets"
	unseenService   = "the Service"
	unseenEndpoints = "endpoints"
	unseenEvents    = "events"
	unseenNodes     = "NodeClaims"
)

func unread(unseen []string, what string) bool {
	return slices.ContainsFunc(unseen, func(u string) bool { return strings.HasPrefix(u, what+":") })
}

// seen is all that was read about a Workspace.
type seen struct {
	workspace v1beta1.Workspace
	servers   []appsv1.StatefulSet
	service   *corev1.Service
	slices    []discoveryv1.EndpointSlice
	pods      []corev1.Pod
	events    []corev1.Event
	operators []cluster.Operator
	// claims are its NodeClaims.
	claims []cluster.NodeClaim
	// unseen says what could not be read, and why.
	unseen []string
	// operatorUnseen is true where operators says nothing.
	operatorUnseen bool
}

// observe reads; no Secret is among it. What the user may not read is noted.
func observe(ctx context.Context, c *cluster.Cluster, name string) (seen, error) {
	var s seen
	ws, err := c.Workspace(ctx, name)
	if err != nil {
		return s, err
	}
	s.workspace = *ws
	children := cluster.Where{Namespace: c.Namespace, Labels: v1beta1.LabelWorkspace + "=" + name}
	var (
		servers   appsv1.StatefulSetList
		service   corev1.Service
		endpoints discoveryv1.EndpointSliceList
		pods      corev1.PodList
	)
	err = errors.Join(
		s.list(ctx, c, children, &servers, unseenServers),
		s.list(ctx, c, children, &pods, "pods"),
		s.list(ctx, c, cluster.Where{Namespace: c.Namespace, Labels: discoveryv1.LabelServiceName + "=" + name}, &endpoints, unseenEndpoints),
		s.note(c.Get(ctx, c.Namespace, name, &service), unseenService),
	)
	if err != nil {
		return s, err
	}
	s.servers, s.pods, s.slices = servers.Items, pods.Items, endpoints.Items
	if service.Name != "" {
		s.service = &service
	}
	if err := s.observeClaims(ctx, c); err != nil {
		return s, err
	}
	if err := s.observeEvents(ctx, c); err != nil {
		return s, err
	}
	return s, s.observeOperator(ctx, c)
}

// observeClaims reads the NodeClaims of a Workspace whose nodes are made for it. That a
// cluster has none its conditions say.
func (s *seen) observeClaims(ctx context.Context, c *cluster.Cluster) error {
	if s.workspace.Resource.InstanceType == "" {
		return nil
	}
	all, err := c.NodeClaims(ctx, nodes.Of(s.workspace.Namespace, s.workspace.Name))
	var none *cluster.NoNodeClaimsError
	if errors.As(err, &none) {
		return nil
	}
	s.claims = all
	return s.note(err, unseenNodes)
}

func (s *seen) list(ctx context.Context, c *cluster.Cluster, where cluster.Where, into runtime.Object, what string) error {
	return s.note(c.List(ctx, where, into), what)
}

// note keeps what may not be read as a note, and takes what is not there for an answer.
func (s *seen) note(err error, what string) error {
	var denied *cluster.DeniedError
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return nil
	case errors.As(err, &denied):
		s.unseen = append(s.unseen, fmt.Sprintf("%s: %v", what, denied.Err))
		return nil
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// observeEvents asks by name, because a namespace may hold thousands. The
// Workspace's StatefulSet and Service carry its name.
func (s *seen) observeEvents(ctx context.Context, c *cluster.Cluster) error {
	names := []string{s.workspace.Name}
	for i := range s.pods {
		names = append(names, s.pods[i].Name)
	}
	for _, name := range names {
		var events corev1.EventList
		err := s.list(ctx, c, cluster.Where{Namespace: c.Namespace, Fields: "involvedObject.name=" + name}, &events, unseenEvents)
		if err != nil {
			return err
		}
		if unread(s.unseen, unseenEvents) {
			return nil
		}
		s.events = append(s.events, events.Items...)
	}
	return nil
}

// observeOperator looks for the operator in all namespaces; few may do that, and
// those who may not need no note of it.
func (s *seen) observeOperator(ctx context.Context, c *cluster.Cluster) error {
	found, err := c.Operators(ctx)
	var denied *cluster.DeniedError
	if errors.As(err, &denied) {
		s.operatorUnseen = true
		return nil
	}
	s.operators = found
	return err
}
