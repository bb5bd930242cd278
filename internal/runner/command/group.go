package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/serve"
)

// How pods of a group keep in touch: one that is not heard for groupSilence is lost, which is
// time enough for a node that is busy, and less than clients wait.
const (
	groupBeat    = 2 * time.Second
	groupSilence = 15 * time.Second
)

// groupFor is the part of this pod in its group, or nil where it serves alone.
func groupFor(ctx context.Context, said contract.Serve, w World) (*serve.Group, error) {
	if said.Group == nil {
		return nil, nil //nolint:nilnil // it serves alone
	}
	place, err := said.PlaceOf(lookup(w.Environ, contract.PlaceVar))
	if err != nil {
		return nil, refused(ending.ConfigInvalid, err)
	}
	digest, err := digestOf(said)
	if err != nil {
		return nil, refused(ending.ConfigInvalid, err)
	}
	g := &serve.Group{
		Place: place, Digest: digest, Run: strconv.FormatInt(w.Started.UnixNano(), 36), Beat: groupBeat, Silence: groupSilence,
		URL: "http://" + net.JoinHostPort(said.Group.Leader, strconv.Itoa(said.Group.Port)) + "/",
	}
	if place > 0 {
		return g, nil
	}
	g.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf(":%d", said.Group.Port))
	if err != nil {
		return nil, refused(ending.PortTaken, fmt.Errorf("open the port of the group: %w", err))
	}
	return g, nil
}

// digestOf names what a pod was told to serve.
func digestOf(said contract.Serve) (string, error) {
	data, err := json.Marshal(said)
	if err != nil {
		return "", fmt.Errorf("name the contract: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8]), nil
}

// lookup is the value of a variable, of which the last counts.
func lookup(environ []string, name string) string {
	value := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}
