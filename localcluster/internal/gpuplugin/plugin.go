package gpuplugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/utils/clock"

	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	// pause is the time between two looks at the kubelet's socket and the list of
	// broken devices.
	pause = time.Second
	// registerTime is how long the kubelet may take to answer a registration.
	registerTime = 5 * time.Second
	kubeletName  = "kubelet.sock"
)

// Options say what devices there are.
type Options struct {
	// Resource is the name that pods ask for, as "nvidia.com/gpu".
	Resource string
	// Count is the number of devices.
	Count int
	// SocketDir is the kubelet's folder for device plugins.
	SocketDir string
	// BrokenFile lists ids of devices that are reported unhealthy, one a line. It
	// is read each second; empty means that all are healthy for ever.
	BrokenFile string
	Clock      clock.Clock
	Log        *slog.Logger
}

func (o Options) check() error {
	var errs []error
	domain, name, ok := strings.Cut(o.Resource, "/")
	if !ok || domain == "" || name == "" {
		errs = append(errs, fmt.Errorf("resource %q: must have a domain, as in nvidia.com/gpu", o.Resource))
	}
	if o.Count < 0 {
		errs = append(errs, fmt.Errorf("count %d: must not be negative", o.Count))
	}
	if !filepath.IsAbs(o.SocketDir) {
		errs = append(errs, fmt.Errorf("socket folder %q: must be an absolute path", o.SocketDir))
	}
	return errors.Join(errs...)
}

// endpoint is the name of our socket beside the kubelet's.
func (o Options) endpoint() string {
	return "kaito-" + strings.NewReplacer("/", "-", ".", "-").Replace(o.Resource) + ".sock"
}

// Run offers the devices until the context ends. A kubelet that starts later, or
// starts again, gets them then: it forgets all plugins and removes their sockets
// when it starts.
func Run(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	var last session
	var told string // the reason that was logged last; it may hold for hours
	defer func() { last.close() }()
	for {
		broken, err := readBroken(o.BrokenFile)
		if err != nil {
			o.Log.Warn("broken devices not read", "err", err)
		} else if last.server != nil && last.server.setBroken(broken) {
			o.Log.Info("health changed", "resource", o.Resource, "broken", len(broken))
		}
		if last.stale(o) {
			last.close()
			if last, err = register(ctx, o, broken); err == nil {
				told = ""
				o.Log.Info("devices registered", "resource", o.Resource, "count", o.Count)
			} else if err.Error() != told {
				told = err.Error()
				o.Log.Info("kubelet not reached yet", "resource", o.Resource, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-o.Clock.After(pause):
		}
	}
}

// A session is one registration: the kubelet that it was made with, and the socket
// on which that kubelet talks to us.
type session struct {
	server  *server
	grpc    *grpc.Server
	kubelet os.FileInfo
	own     string
}

// stale tells whether the kubelet is another one than at registration, or has
// removed our socket.
func (s *session) stale(o Options) bool {
	if s.server == nil {
		return true
	}
	now, err := os.Stat(filepath.Join(o.SocketDir, kubeletName))
	if err != nil || !os.SameFile(now, s.kubelet) || !now.ModTime().Equal(s.kubelet.ModTime()) {
		return true
	}
	_, err = os.Stat(s.own)
	return err != nil
}

func (s *session) close() {
	if s.grpc != nil {
		s.grpc.Stop()
	}
	*s = session{}
}

// register opens our socket and tells the kubelet of it.
func register(ctx context.Context, o Options, broken map[string]bool) (session, error) {
	kubelet := filepath.Join(o.SocketDir, kubeletName)
	info, err := os.Stat(kubelet)
	if err != nil {
		return session{}, fmt.Errorf("find the kubelet: %w", err)
	}
	s := session{
		server:  newServer(o.Count, broken),
		grpc:    grpc.NewServer(),
		kubelet: info,
		own:     filepath.Join(o.SocketDir, o.endpoint()),
	}
	if err := os.Remove(s.own); err != nil && !errors.Is(err, os.ErrNotExist) {
		return session{}, fmt.Errorf("remove an old socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", s.own)
	if err != nil {
		return session{}, fmt.Errorf("open a socket for the kubelet: %w", err)
	}
	pluginapi.RegisterDevicePluginServer(s.grpc, s.server)
	go func() {
		if err := s.grpc.Serve(l); err != nil {
			o.Log.Warn("socket closed", "socket", s.own, "err", err)
		}
	}()
	if err := announce(ctx, o, kubelet); err != nil {
		s.close()
		return session{}, err
	}
	return s, nil
}

// announce is the registration call itself.
func announce(ctx context.Context, o Options, kubelet string) error {
	conn, err := grpc.NewClient("unix://"+kubelet, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("reach the kubelet: %w", err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	_, err = pluginapi.NewRegistrationClient(conn).Register(ctx, &pluginapi.RegisterRequest{
		Version:      pluginapi.Version,
		Endpoint:     o.endpoint(),
		ResourceName: o.Resource,
		Options:      &pluginapi.DevicePluginOptions{},
	})
	if err != nil {
		return fmt.Errorf("register %s with the kubelet: %w", o.Resource, err)
	}
	return nil
}
