package gpuplugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// A server answers the kubelet. It is made anew for each registration.
type server struct {
	pluginapi.UnimplementedDevicePluginServer
	count int

	mu      sync.Mutex
	broken  map[string]bool
	changed chan struct{} // closed and replaced when broken changes
}

func newServer(count int, broken map[string]bool) *server {
	return &server{count: count, broken: broken, changed: make(chan struct{})}
}

// setBroken tells all listeners when the set of broken devices is another one, and
// reports whether it is.
func (s *server) setBroken(broken map[string]bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if maps.Equal(s.broken, broken) {
		return false
	}
	s.broken = broken
	close(s.changed)
	s.changed = make(chan struct{})
	return true
}

func (s *server) state() (list []*pluginapi.Device, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return devices(s.count, s.broken), s.changed
}

// GetDevicePluginOptions says that nothing beyond Allocate is wanted.
func (*server) GetDevicePluginOptions(context.Context, *pluginapi.Empty) (*pluginapi.DevicePluginOptions, error) {
	return &pluginapi.DevicePluginOptions{}, nil
}

// ListAndWatch sends all devices at once and again at each change.
func (s *server) ListAndWatch(_ *pluginapi.Empty, stream pluginapi.DevicePlugin_ListAndWatchServer) error {
	for {
		list, changed := s.state()
		if err := stream.Send(&pluginapi.ListAndWatchResponse{Devices: list}); err != nil {
			return fmt.Errorf("send the devices to the kubelet: %w", err)
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

// Allocate gives containers the devices that the kubelet chose.
func (s *server) Allocate(_ context.Context, request *pluginapi.AllocateRequest) (*pluginapi.AllocateResponse, error) {
	known := ids(s.count)
	response := &pluginapi.AllocateResponse{}
	for _, c := range request.GetContainerRequests() {
		for _, id := range c.GetDevicesIds() {
			if !slices.Contains(known, id) {
				return nil, fmt.Errorf("allocate device %q: this node has %d", id, s.count)
			}
		}
		response.ContainerResponses = append(response.ContainerResponses, allocation(c.GetDevicesIds()))
	}
	return response, nil
}
