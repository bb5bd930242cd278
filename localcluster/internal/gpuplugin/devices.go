package gpuplugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// ids names the devices of a node: "0", "1" and so on, as nvidia-smi does.
func ids(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	return names
}

// devices is the list that the kubelet gets: every device, and whether it works.
func devices(count int, broken map[string]bool) []*pluginapi.Device {
	list := make([]*pluginapi.Device, count)
	for i, id := range ids(count) {
		health := pluginapi.Healthy
		if broken[id] {
			health = pluginapi.Unhealthy
		}
		list[i] = &pluginapi.Device{ID: id, Health: health}
	}
	return list
}

// readBroken reads the ids of broken devices, one a line. A file that is not there
// breaks none.
func readBroken(path string) (map[string]bool, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of broken devices: %w", err)
	}
	broken := map[string]bool{}
	for _, id := range strings.Fields(string(content)) {
		broken[id] = true
	}
	return broken, nil
}

// allocation is what a container with these devices finds in its environment: the
// variables that NVIDIA's plugin sets, and one that says that nothing real is
// behind them.
func allocation(devices []string) *pluginapi.ContainerAllocateResponse {
	visible := strings.Join(devices, ",")
	return &pluginapi.ContainerAllocateResponse{Envs: map[string]string{
		"NVIDIA_VISIBLE_DEVICES": visible,
		"CUDA_VISIBLE_DEVICES":   visible,
		"KAITO_STAND_IN_GPUS":    fmt.Sprint(len(devices)),
	}}
}
