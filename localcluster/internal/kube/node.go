package kube

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Node is what the launcher reads of a Node object.
type Node struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		ProviderID string `json:"providerID"`
	} `json:"spec"`
	Status struct {
		Allocatable map[string]string `json:"allocatable"`
		Conditions  []Condition       `json:"conditions"`
	} `json:"status"`
}

// Condition of a node.
type Condition struct {
	Type              string    `json:"type"`
	Status            string    `json:"status"`
	Message           string    `json:"message"`
	LastHeartbeatTime time.Time `json:"lastHeartbeatTime"`
}

// NodePath is a Node object's path.
func NodePath(name string) string { return "/api/v1/nodes/" + name }

// Ready is the node's condition of that type.
func (n Node) Ready() Condition {
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			return c
		}
	}
	return Condition{Status: "Unknown", Message: "no status yet"}
}

// NodeReady answers nil when the node is Ready by a heartbeat after since: the
// status from before a restart does not count.
func (c *Client) NodeReady(ctx context.Context, name string, since time.Time) error {
	var n Node
	err := c.Get(ctx, NodePath(name), &n)
	if Missing(err) {
		return errors.New("it has not registered")
	}
	if err != nil {
		return err
	}
	r := n.Ready()
	switch {
	case r.Status != "True":
		return fmt.Errorf("its kubelet says %q", r.Message)
	case r.LastHeartbeatTime.Before(since.Truncate(time.Second)):
		return errors.New("no heartbeat since its start")
	}
	return nil
}
