package contract

import (
	"fmt"
	"slices"
	"strconv"
)

const (
	// GroupPort is where the leader's runner hears those of the other pods of a group. A
	// NetworkPolicy admits nobody else.
	GroupPort = 5002
	// PlaceVar is the environment variable with the place of a pod in its group.
	PlaceVar = "KAITO_PLACE"
)

// Group says that several pods serve the model together, one on each node: their engines are
// one. All of them read the same contract; PlaceVar says which of them a pod is.
type Group struct {
	// Size is the number of pods; their places are from 0, the leader's, to Size - 1.
	Size int `json:"size"`
	// Leader is the host name of the leader's pod.
	Leader string `json:"leader"`
	// Port is where the leader's runner hears those of the others.
	Port int `json:"port"`
	// MasterFlag is the engine's flag before that name.
	MasterFlag string `json:"masterFlag"`
	// PlaceFlag is the flag before the place of the engine's own pod.
	PlaceFlag string `json:"placeFlag"`
	// FollowerArgs are further arguments of the engines behind the leader.
	FollowerArgs []string `json:"followerArgs,omitempty"`
}

// CommandAt is the engine's program and its arguments in the pod at a place.
func (s Serve) CommandAt(place int) []string {
	g := s.Group
	if g == nil {
		return s.Engine.Command
	}
	command := append(slices.Clone(s.Engine.Command), g.MasterFlag, g.Leader, g.PlaceFlag, strconv.Itoa(place))
	if place == 0 {
		return command
	}
	return append(command, g.FollowerArgs...)
}

// PlaceOf reads the place of a pod, which PlaceVar holds; without a group it is 0.
func (s Serve) PlaceOf(value string) (int, error) {
	if s.Group == nil {
		return 0, nil
	}
	place, err := strconv.Atoi(value)
	if err != nil || place < 0 || place >= s.Group.Size {
		return 0, fmt.Errorf("%s is %q, which is no place in a group of %d: the operator takes it from the pod's label apps.kubernetes.io/pod-index", PlaceVar, value, s.Group.Size)
	}
	return place, nil
}

// wrongGroup names what cannot be a group.
func wrongGroup(g *Group) []string {
	const least = 2
	if g != nil && g.Size != 0 && g.Size < least {
		return []string{fmt.Sprintf("group.size is %d, and a group has %d pods or more", g.Size, least)}
	}
	return nil
}
