// Package cluster is how the verbs of the CLI reach Kubernetes: a kubeconfig
// becomes a few reads, a watch, and connections to pods through the API server.
//
// It speaks with client-go's REST client and a scheme of the kinds that are shown.
// A client that knows every kind of Kubernetes is 13 MB more of program and takes
// three times as long to start.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // kubeconfigs of clusters with OIDC name it
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/cli/shell"
)

// patience is how long one read may take.
const patience = 15 * time.Second

// Flags say which cluster and which namespace.
type Flags struct {
	Kubeconfig, Context, Namespace string
}

// Bind adds the flags to a verb, named as kubectl names them.
func (f *Flags) Bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Kubeconfig, "kubeconfig", "", "`FILE` that says where the cluster is (default: $KUBECONFIG, else ~/.kube/config)")
	cmd.Flags().StringVar(&f.Context, "context", "", "`NAME` of a context of the kubeconfig (default: its current one)")
	cmd.Flags().StringVarP(&f.Namespace, "namespace", "n", "", "namespace `NAME` (default: that of the context)")
}

// Cluster is one cluster, as one user of it.
type Cluster struct {
	// Namespace is the one that was asked for.
	Namespace string
	config    *rest.Config
	http      *http.Client
	codecs    serializer.CodecFactory
}

// Open reads the kubeconfig; nothing is sent yet.
func Open(sh shell.Shell, f Flags) (*Cluster, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: f.Kubeconfig, Precedence: sh.Kubeconfig}
	var overrides clientcmd.ConfigOverrides
	overrides.CurrentContext = f.Context
	overrides.Context.Namespace = f.Namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &overrides)
	config, err := loader.ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err):
		return nil, &NoConfigError{Program: sh.Name, Looked: rules.GetLoadingPrecedence()}
	case err != nil:
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the namespace of the kubeconfig: %w", err)
	}
	if f.Namespace != "" { // in a pod the loader knows only the pod's own
		namespace = f.Namespace
	}
	return New(config, namespace)
}

// New is a cluster by its configuration.
func New(config *rest.Config, namespace string) (*Cluster, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), discoveryv1.AddToScheme(scheme), v1beta1.AddToScheme(scheme))
	if err != nil {
		return nil, fmt.Errorf("register the kinds: %w", err)
	}
	scheme.AddKnownTypes(claimVersion(), &NodeClaim{}, &NodeClaimList{})
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 100, 200 // a person waits: the API server's own fairness is enough
	config.UserAgent = "kaito/" + buildinfo.Version()
	config.WarningHandler = rest.NoWarnings{}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return &Cluster{Namespace: namespace, config: config, http: client, codecs: serializer.NewCodecFactory(scheme)}, nil
}

// Get reads one object.
func (c *Cluster) Get(ctx context.Context, namespace, name string, into runtime.Object) error {
	r, err := resourceOf(into)
	if err != nil {
		return err
	}
	return c.read(ctx, r, func(q *rest.Request) *rest.Request { return q.Namespace(namespace).Name(name) }, into)
}

// Where narrows a list down; empty fields do not.
type Where struct {
	// Namespace is where to look; empty looks in all.
	Namespace string
	// Labels and Fields are selectors.
	Labels, Fields string
}

func (w Where) request(q *rest.Request) *rest.Request {
	q = q.NamespaceIfScoped(w.Namespace, w.Namespace != "")
	if w.Labels != "" {
		q = q.Param("labelSelector", w.Labels)
	}
	if w.Fields != "" {
		q = q.Param("fieldSelector", w.Fields)
	}
	return q
}

// List reads all objects of a kind.
func (c *Cluster) List(ctx context.Context, where Where, into runtime.Object) error {
	r, err := resourceOf(into)
	if err != nil {
		return err
	}
	return c.read(ctx, r, where.request, into)
}

// Watch tells what happens to the objects of a list after it was read.
func (c *Cluster) Watch(ctx context.Context, where Where, list metav1.ListMetaAccessor, kind runtime.Object) (watch.Interface, error) {
	r, err := resourceOf(kind)
	if err != nil {
		return nil, err
	}
	client, err := c.client(r.GroupVersion())
	if err != nil {
		return nil, err
	}
	w, err := where.request(client.Get().Resource(r.Resource)).
		Param("watch", "true").
		Param("resourceVersion", list.GetListMeta().GetResourceVersion()).
		Watch(ctx)
	if err != nil {
		return nil, c.explain(err, r)
	}
	return w, nil
}

func (c *Cluster) read(ctx context.Context, r schema.GroupVersionResource, narrow func(*rest.Request) *rest.Request, into runtime.Object) error {
	client, err := c.client(r.GroupVersion())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	if err := narrow(client.Get().Resource(r.Resource)).MaxRetries(0).Do(ctx).Into(into); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return c.explain(err, r)
	}
	return nil
}

func (c *Cluster) client(gv schema.GroupVersion) (*rest.RESTClient, error) {
	config := rest.CopyConfig(c.config)
	config.GroupVersion, config.NegotiatedSerializer = &gv, c.codecs.WithoutConversion()
	config.APIPath = "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	client, err := rest.RESTClientForConfigAndClient(config, c.http)
	if err != nil {
		return nil, fmt.Errorf("speak %s: %w", gv, err)
	}
	return client, nil
}

// resourceOf is where a kind is read.
func resourceOf(object runtime.Object) (schema.GroupVersionResource, error) {
	switch object.(type) {
	case *v1beta1.Workspace, *v1beta1.WorkspaceList:
		return v1beta1.GroupVersion.WithResource("workspaces"), nil
	case *NodeClaimList:
		return claimVersion().WithResource("nodeclaims"), nil
	case *corev1.NodeList:
		return corev1.SchemeGroupVersion.WithResource("nodes"), nil
	case *corev1.ConfigMap:
		return corev1.SchemeGroupVersion.WithResource("configmaps"), nil
	case *corev1.PodList:
		return corev1.SchemeGroupVersion.WithResource("pods"), nil
	case *corev1.Service:
		return corev1.SchemeGroupVersion.WithResource("services"), nil
	case *corev1.EventList:
		return corev1.SchemeGroupVersion.WithResource("events"), nil
	case *appsv1.StatefulSetList:
		return appsv1.SchemeGroupVersion.WithResource("statefulsets"), nil
	case *appsv1.DeploymentList:
		return appsv1.SchemeGroupVersion.WithResource("deployments"), nil
	case *discoveryv1.EndpointSliceList:
		return discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), nil
	}
	return schema.GroupVersionResource{}, fmt.Errorf("no resource is known for %T", object)
}
