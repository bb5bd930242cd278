package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Dial opens a connection to a port of a pod through the API server, as
// `kubectl port-forward` does, but without a port on this machine that others could
// connect to. Each connection has a tunnel of its own: closing it closes all.
func (c *Cluster) Dial(ctx context.Context, namespace, pod string, port int32) (net.Conn, error) {
	ways, err := c.ways(namespace, pod)
	if err != nil {
		return nil, err
	}
	type dialed struct {
		tunnel httpstream.Connection
		err    error
	}
	done := make(chan dialed, 1)
	go func() {
		tunnel, err := ways.dial()
		done <- dialed{tunnel, err}
	}()
	select {
	case d := <-done:
		if d.err != nil {
			return nil, fmt.Errorf("open a tunnel to pod %q: %w", pod, c.explain(d.err, corev1.SchemeGroupVersion.WithResource("pods/portforward")))
		}
		return open(d.tunnel, pod, port)
	case <-ctx.Done():
		go func() {
			if d := <-done; d.tunnel != nil {
				_ = d.tunnel.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// ways are the two ways to a tunnel: a WebSocket passes more proxies, SPDY alone
// is what older API servers know and what older rules of access allow.
type ways struct{ socket, plain httpstream.Dialer }

func (c *Cluster) ways(namespace, pod string) (ways, error) {
	client, err := c.client(corev1.SchemeGroupVersion)
	if err != nil {
		return ways{}, err
	}
	where := client.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return ways{}, fmt.Errorf("prepare a tunnel: %w", err)
	}
	socket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(where, c.config)
	if err != nil {
		return ways{}, fmt.Errorf("prepare a tunnel: %w", err)
	}
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, where)
	return ways{socket, plain}, nil
}

func (w ways) dial() (httpstream.Connection, error) {
	tunnel, _, first := w.socket.Dial(portforward.PortForwardProtocolV1Name)
	if first == nil || (!httpstream.IsUpgradeFailure(first) && !httpstream.IsHTTPSProxyError(first)) {
		return tunnel, first
	}
	tunnel, _, err := w.plain.Dial(portforward.PortForwardProtocolV1Name)
	if err == nil {
		return tunnel, nil
	}
	// The second way says in prose what the first says by type.
	var upgrade *httpstream.UpgradeFailureError
	switch {
	case !errors.As(first, &upgrade):
		return nil, err
	case apierrors.IsForbidden(upgrade.Cause):
		return nil, &DeniedError{Err: err}
	case apierrors.IsUnauthorized(upgrade.Cause), apierrors.IsNotFound(upgrade.Cause):
		return nil, upgrade.Cause
	}
	return nil, err
}

// open makes the two streams of one connection: what goes wrong at the far end comes through the first.
func open(tunnel httpstream.Connection, pod string, port int32) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	trouble, err := tunnel.CreateStream(headers)
	if err != nil {
		_ = tunnel.Close()
		return nil, fmt.Errorf("open a tunnel to pod %q: %w", pod, err)
	}
	_ = trouble.Close() // our half: we only read it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := tunnel.CreateStream(headers)
	if err != nil {
		_ = tunnel.Close()
		return nil, fmt.Errorf("open a tunnel to pod %q: %w", pod, err)
	}
	c := &conn{Stream: data, tunnel: tunnel, pod: pod, port: port, told: make(chan struct{})}
	go c.listen(trouble)
	return c, nil
}

// conn is one connection to a pod.
type conn struct {
	httpstream.Stream
	tunnel httpstream.Connection
	pod    string
	port   int32
	closed sync.Once

	// told is closed once the error stream has ended; trouble is what came through it.
	told    chan struct{}
	trouble string
}

func (c *conn) listen(errors io.Reader) {
	raw, err := io.ReadAll(errors)
	c.trouble = strings.TrimSpace(string(raw))
	close(c.told)
	if err != nil || c.trouble != "" {
		// The far end is not there any more: nobody would end the data otherwise.
		_ = c.tunnel.Close()
	}
}

// Read reads what the pod sends. Where the data ends because something went wrong, it says so.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if err == nil {
		return n, nil
	}
	select {
	case <-c.told: // it ends with the data
	case <-c.tunnel.CloseChan():
	}
	select {
	case <-c.told:
		if c.trouble != "" {
			return n, &PodError{Pod: c.pod, Port: c.port, Message: c.trouble}
		}
	default:
	}
	return n, err
}

// Close ends the tunnel, and with it the request at the far end.
func (c *conn) Close() error {
	c.closed.Do(func() {
		_ = c.Reset()
		_ = c.tunnel.Close()
	})
	return nil
}

// PodError is what the node says about a connection to one of its pods.
type PodError struct {
	Pod     string
	Port    int32
	Message string
}

func (e *PodError) Error() string {
	return fmt.Sprintf("connect to port %d of pod %q: %s", e.Port, e.Pod, e.Message)
}

var errDeadline = errors.New("a connection through the API server has no deadlines")

// The rest of net.Conn. HTTP without TLS sets no deadlines.
func (c *conn) LocalAddr() net.Addr              { return address("kaito") }
func (c *conn) RemoteAddr() net.Addr             { return address(c.pod) }
func (c *conn) SetDeadline(time.Time) error      { return errDeadline }
func (c *conn) SetReadDeadline(time.Time) error  { return errDeadline }
func (c *conn) SetWriteDeadline(time.Time) error { return errDeadline }

// address is the name of one end.
type address string

func (address) Network() string  { return "pod" }
func (a address) String() string { return string(a) }
