package gpuplugin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	clocktesting "k8s.io/utils/clock/testing"

	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// patience is how long anything may take on a loaded machine.
const patience = 20 * time.Second

// A kubelet is the kubelet's end of the API: it takes registrations on its socket.
type kubelet struct {
	pluginapi.UnimplementedRegistrationServer
	t        *testing.T
	dir      string
	server   *grpc.Server
	requests chan *pluginapi.RegisterRequest
	refuse   error
}

func startKubelet(t *testing.T, dir string) *kubelet {
	t.Helper()
	k := &kubelet{t: t, dir: dir, server: grpc.NewServer(), requests: make(chan *pluginapi.RegisterRequest, 10)}
	l, err := net.Listen("unix", filepath.Join(dir, kubeletName))
	if err != nil {
		t.Fatal(err)
	}
	pluginapi.RegisterRegistrationServer(k.server, k)
	go func() { _ = k.server.Serve(l) }()
	t.Cleanup(k.server.Stop)
	return k
}

// Register is the call under test, seen from the kubelet.
func (k *kubelet) Register(_ context.Context, r *pluginapi.RegisterRequest) (*pluginapi.Empty, error) {
	k.requests <- r
	return &pluginapi.Empty{}, k.refuse
}

func (k *kubelet) registration() *pluginapi.RegisterRequest {
	k.t.Helper()
	select {
	case r := <-k.requests:
		return r
	case <-time.After(patience):
		k.t.Fatal("no registration")
		return nil
	}
}

// plugin calls back as the kubelet does.
func (k *kubelet) plugin(endpoint string) pluginapi.DevicePluginClient {
	k.t.Helper()
	conn, err := grpc.NewClient("unix://"+filepath.Join(k.dir, endpoint), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = conn.Close() })
	return pluginapi.NewDevicePluginClient(conn)
}

// A node is a running plugin with a clock that the test turns.
type node struct {
	t     *testing.T
	o     Options
	clock *clocktesting.FakeClock
}

func startNode(t *testing.T) node {
	t.Helper()
	// Paths of sockets are short: the test's own folder may be too deep.
	dir, err := os.MkdirTemp("", "gpu") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := node{t: t, clock: clocktesting.NewFakeClock(time.Unix(0, 0))}
	n.o = Options{
		Resource: "nvidia.com/gpu", Count: 2, SocketDir: dir, BrokenFile: filepath.Join(dir, "broken"),
		Clock: n.clock, Log: slog.New(slog.DiscardHandler),
	}
	return n
}

// run starts the plugin and returns what ends it.
func (n node) run() (stop func()) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, n.o) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("run: %v", err)
		}
	}
	n.t.Cleanup(cancel)
	return stop
}

// look lets the plugin look once more.
func (n node) look() {
	n.t.Helper()
	n.settle()
	n.clock.Step(pause)
}

// settle waits until the plugin has looked and waits for its clock.
func (n node) settle() {
	n.t.Helper()
	for end := time.Now().Add(patience); !n.clock.HasWaiters(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatal("the plugin does not come to rest")
		}
	}
}

func health(t *testing.T, stream grpc.ServerStreamingClient[pluginapi.ListAndWatchResponse]) map[string]string {
	t.Helper()
	list, err := stream.Recv()
	if err != nil {
		t.Fatalf("receive devices: %v", err)
	}
	got := map[string]string{}
	for _, d := range list.GetDevices() {
		got[d.GetID()] = d.GetHealth()
	}
	return got
}

func TestDevicesReachTheKubelet(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	k := startKubelet(t, n.o.SocketDir)
	stop := n.run()

	r := k.registration()
	if r.GetVersion() != pluginapi.Version || r.GetResourceName() != "nvidia.com/gpu" || strings.Contains(r.GetEndpoint(), "/") {
		t.Errorf("registration: %v", r)
	}
	plugin := k.plugin(r.GetEndpoint())
	stream, err := plugin.ListAndWatch(t.Context(), &pluginapi.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"0": pluginapi.Healthy, "1": pluginapi.Healthy}, health(t, stream)); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}

	n.settle()
	if err := os.WriteFile(n.o.BrokenFile, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.look()
	if diff := cmp.Diff(map[string]string{"0": pluginapi.Healthy, "1": pluginapi.Unhealthy}, health(t, stream)); diff != "" {
		t.Errorf("after one broke (-want +got):\n%s", diff)
	}
	n.settle()
	if err := os.Remove(n.o.BrokenFile); err != nil {
		t.Fatal(err)
	}
	n.look()
	if got := health(t, stream)["1"]; got != pluginapi.Healthy {
		t.Errorf("after the repair: %s", got)
	}

	stop()
	if _, err := os.Stat(filepath.Join(n.o.SocketDir, n.o.endpoint())); err == nil {
		t.Errorf("the socket is still there")
	}
}

func TestContainersFindTheirDevices(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	k := startKubelet(t, n.o.SocketDir)
	defer n.run()()
	plugin := k.plugin(k.registration().GetEndpoint())

	response, err := plugin.Allocate(t.Context(), &pluginapi.AllocateRequest{ContainerRequests: []*pluginapi.ContainerAllocateRequest{
		{DevicesIds: []string{"0", "1"}}, {DevicesIds: []string{"1"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	for _, c := range response.GetContainerResponses() {
		got = append(got, c.GetEnvs())
	}
	want := []map[string]string{
		{"NVIDIA_VISIBLE_DEVICES": "0,1", "CUDA_VISIBLE_DEVICES": "0,1", "KAITO_STAND_IN_GPUS": "2"},
		{"NVIDIA_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "1", "KAITO_STAND_IN_GPUS": "1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	_, err = plugin.Allocate(t.Context(), &pluginapi.AllocateRequest{ContainerRequests: []*pluginapi.ContainerAllocateRequest{
		{DevicesIds: []string{"2"}},
	}})
	if err == nil || !strings.Contains(err.Error(), `device "2"`) {
		t.Errorf("a device that is not there: %v", err)
	}
}

func TestAKubeletThatStartsAgainGetsTheDevicesAgain(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*testing.T, node, *kubelet) *kubelet{
		"later than the plugin": func(t *testing.T, n node, _ *kubelet) *kubelet { return startKubelet(t, n.o.SocketDir) },
		"after it was stopped": func(t *testing.T, n node, k *kubelet) *kubelet {
			k.server.Stop()
			n.look()
			n.settle() // it has seen that there is none
			return startKubelet(t, n.o.SocketDir)
		},
		"between two looks": func(t *testing.T, n node, k *kubelet) *kubelet {
			k.server.Stop()
			return startKubelet(t, n.o.SocketDir)
		},
		"after it removed our socket": func(t *testing.T, n node, k *kubelet) *kubelet {
			if err := os.Remove(filepath.Join(n.o.SocketDir, n.o.endpoint())); err != nil {
				t.Fatal(err)
			}
			return k
		},
		"after it refused": func(t *testing.T, n node, k *kubelet) *kubelet {
			k.server.Stop()
			refusing := startKubelet(t, n.o.SocketDir)
			refusing.refuse = errors.New("not now")
			n.look()
			refusing.registration()
			n.settle()
			refusing.server.Stop()
			return startKubelet(t, n.o.SocketDir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t)
			var k *kubelet
			if name != "later than the plugin" {
				k = startKubelet(t, n.o.SocketDir)
			}
			defer n.run()()
			if k != nil {
				k.registration()
			}
			n.settle()
			k = restart(t, n, k)
			n.look()
			plugin := k.plugin(k.registration().GetEndpoint())
			stream, err := plugin.ListAndWatch(t.Context(), &pluginapi.Empty{})
			if err != nil {
				t.Fatal(err)
			}
			if got := health(t, stream); len(got) != 2 {
				t.Errorf("devices: %v", got)
			}
		})
	}
}

func TestAHealthyRegistrationIsNotRepeated(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	k := startKubelet(t, n.o.SocketDir)
	defer n.run()()
	k.registration()
	for range 3 {
		n.look()
	}
	n.settle()
	if len(k.requests) > 0 {
		t.Errorf("registered again: %v", <-k.requests)
	}
}

func TestAKubeletThatIsNotThereIsLoggedOnce(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	var log strings.Builder // read after its writer has ended
	n.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	stop := n.run()
	for range 5 {
		n.look()
	}
	n.settle()
	stop()
	if got := strings.Count(log.String(), "kubelet not reached yet"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, log.String())
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), Options{Resource: "gpu", Count: -1, SocketDir: "run"})
	for _, want := range []string{`resource "gpu"`, "count -1", `folder "run"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}
