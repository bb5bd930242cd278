package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
)

//go:embed kwok.yaml
var stages []byte

// patience ends what should have ended long ago.
const patience = 15 * time.Minute

// plane is a control plane of the benchmark's own: a real etcd, API server, controller
// manager and scheduler as plain processes, with kwok in the place of kubelets. It
// needs neither root nor a node.
type plane struct {
	client client.WithWatch
	admin  *rest.Config
	// operator is how the operator reaches it: with the rights that the chart gives, and no others.
	operator string
	env      *envtest.Environment
	programs string
	dir      string
	running  []*process
}

// programsOf finds the programs of the local cluster, or says why there are none.
func programsOf(ctx context.Context, o options) (string, error) {
	kaito := filepath.Join(filepath.Dir(o.runner), "kaito")
	out, err := exec.CommandContext(ctx, kaito, "local", "programs", "--quiet").Output()
	if err != nil {
		return "", skip(fmt.Sprintf("%s local programs: %v; run `make build`", kaito, err))
	}
	return strings.TrimSpace(string(out)), nil
}

func startPlane(ctx context.Context, o options) (*plane, error) {
	programs, err := programsOf(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &plane{programs: programs, dir: o.dir, env: &envtest.Environment{
		BinaryAssetsDirectory: programs, CRDDirectoryPaths: []string{"config/crd/bases", "charts/gpu-provisioner/files/crds"}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: patience, ControlPlaneStopTimeout: patience,
	}}
	// Room for as many Services as there are Workspaces.
	p.env.ControlPlane.GetAPIServer().Configure().Append("disable-admission-plugins", "ServiceAccount").Set("service-cluster-ip-range", "10.96.0.0/16")
	if p.admin, err = p.env.Start(); err != nil {
		return nil, fmt.Errorf("start a control plane: %w", errors.Join(err, p.env.Stop()))
	}
	p.admin.QPS = -1
	if err := p.furnish(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// furnish starts the controllers and kwok, and gives the operator its rights.
func (p *plane) furnish(ctx context.Context) error {
	scheme := runtime.NewScheme()
	err := errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme), nodeclaim.AddToScheme(scheme))
	if err != nil {
		return fmt.Errorf("make the scheme: %w", err)
	}
	if p.client, err = client.NewWithWatch(p.admin, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	admin, err := p.kubeconfig("admin", envtest.User{Name: "bench", Groups: []string{"system:masters"}})
	if err != nil {
		return err
	}
	if p.operator, err = p.kubeconfig("operator", envtest.User{
		Name:   "system:serviceaccount:kaito-system:kaito-operator",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kaito-system", "system:authenticated"},
	}); err != nil {
		return err
	}
	config := filepath.Join(p.dir, "kwok.yaml")
	if err := os.WriteFile(config, stages, 0o600); err != nil {
		return fmt.Errorf("write the stages of kwok: %w", err)
	}
	for _, args := range [][]string{
		// The limits of the local cluster's own controllers; fake nodes are given long to live.
		{
			"kube-controller-manager", "--kubeconfig", admin, "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400",
			"--node-monitor-grace-period=600s", "--secure-port=0",
		},
		{"kube-scheduler", "--kubeconfig", admin, "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400", "--secure-port=0"},
		{
			"kwok", "--kubeconfig", admin, "--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
			"--config", config, "--node-lease-duration-seconds=400",
		},
	} {
		if _, err := p.launch(ctx, args[0], filepath.Join(p.programs, args[0]), args[1:]...); err != nil {
			return err
		}
	}
	return p.grant(ctx)
}

// grant applies the chart's accounts, roles and bindings.
func (p *plane) grant(ctx context.Context) error {
	helm := exec.CommandContext(ctx, filepath.Join(p.programs, "helm"), "template", "kaito", "charts/kaito",
		"--namespace", "kaito-system", "--set", "crds.install=false",
		"--set", "gpuProvisioner.enabled=true", "--set", "gpuProvisioner.provider=sim", "--set", "gpuProvisioner.crds.install=false")
	var complaint bytes.Buffer
	helm.Stderr = &complaint
	out, err := helm.Output()
	if err != nil {
		return fmt.Errorf("render the chart: %w: %s", err, complaint.String())
	}
	objects := []*unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kaito-system"},
	}}}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read the rendered chart: %w", err)
		}
		switch object.GetKind() {
		case "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			objects = append(objects, object)
		}
	}
	for _, object := range objects {
		if err := p.client.Create(ctx, object); err != nil {
			return fmt.Errorf("create %s %q of the chart: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

func (p *plane) kubeconfig(name string, user envtest.User) (string, error) {
	added, err := p.env.AddUser(user, nil)
	if err != nil {
		return "", fmt.Errorf("add user %q: %w", user.Name, err)
	}
	data, err := added.KubeConfig()
	if err != nil {
		return "", fmt.Errorf("write the kubeconfig of %q: %w", user.Name, err)
	}
	file := filepath.Join(p.dir, name+".kubeconfig")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return "", fmt.Errorf("write the kubeconfig of %q: %w", user.Name, err)
	}
	return file, nil
}

// launch starts a program of the plane, which lives until stop or its own end.
func (p *plane) launch(ctx context.Context, name, path string, args ...string) (*process, error) {
	started, err := startProcess(ctx, filepath.Join(p.dir, name+".log"), path, args...)
	if err != nil {
		return nil, err
	}
	p.running = append(p.running, started)
	return started, nil
}

func (p *plane) stop() error {
	var errs []error
	for i := len(p.running) - 1; i >= 0; i-- {
		errs = append(errs, p.running[i].stop())
	}
	return errors.Join(append(errs, p.env.Stop())...)
}
