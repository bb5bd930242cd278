// Package operator assembles the operator: the scheme, the cache, the manager and
// the one list of controllers. It knows everything and does nothing else.
package operator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kaito.sh/kaito/api/v1beta1"
	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/claims"
	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/controller/workspace"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/resolver"
	"kaito.sh/kaito/internal/startup"
	"kaito.sh/kaito/internal/tuneprogress"
)

// leaseName is the lease that replicas compete for.
const leaseName = "kaito-operator"

// lookForNodeClaims is how often a cluster that does not know NodeClaims is asked for them.
const lookForNodeClaims = 10 * time.Second

// syncPatience is how long one probe waits for the cache; the kubelet allows a second by default.
const syncPatience = 500 * time.Millisecond

// Run runs the operator against a cluster until ctx ends or a part of it fails.
func Run(ctx context.Context, cluster *rest.Config, cfg config.Operator, log logr.Logger) error {
	mgr, err := New(ctx, cluster, cfg, log)
	if err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the operator: %w", err)
	}
	return nil
}

// New makes a manager with every controller.
func New(ctx context.Context, cluster *rest.Config, cfg config.Operator, log logr.Logger) (ctrl.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	known, err := catalog.LoadLines(shipped.Lines)
	if err != nil {
		return nil, fmt.Errorf("load the catalog: %w", err)
	}
	kept, err := workspace.Cache()
	if err != nil {
		return nil, err
	}
	// The API server shares its time fairly among its clients by its own means; a second
	// brake in the client only makes a thousand Workspaces wait.
	cluster = rest.CopyConfig(cluster)
	cluster.QPS = -1
	// A server packs each event of each watch for us, which costs more than the bytes do.
	cluster.DisableCompression = true
	meters := newInstruments()
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme: scheme,
		Logger: log,
		Cache:  cache.Options{ByObject: kept, DefaultTransform: cache.TransformStripManagedFields()},
		// A pass sees what the pass before it wrote, so nothing is written twice.
		Client: client.Options{FieldOwner: v1beta1.FieldOwner, Cache: &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}},

		Metrics:                metricsserver.Options{BindAddress: cfg.MetricsAddress, FilterProvider: meters.filter},
		HealthProbeBindAddress: cfg.HealthAddress,

		// Names of controllers are checked among all managers of a process; tests run two.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},

		LeaderElection:                cfg.LeaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       cfg.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	meters.workspaces, meters.elected = mgr.GetCache(), mgr.Elected()
	startups, tunings := startup.New(clock.RealClock{}), tuneprogress.New(clock.RealClock{})
	models := resolver.New(resolver.Options{
		Reader: resolver.Hub{Endpoints: append([]string{cfg.HubEndpoint}, cfg.HubMirrors...), Agent: "kaito-operator/" + buildinfo.Version()},
		Clock:  clock.RealClock{},
	})
	err = errors.Join(
		mgr.Add(startups),
		mgr.Add(tunings),
		mgr.Add(models),
		mgr.AddHealthzCheck("alive", healthz.Ping),
		mgr.AddReadyzCheck("cache", synced(mgr)),
		controllers(ctx, mgr, known, cfg, beside{startups, tunings, models, meters}),
	)
	return mgr, err
}

// synced holds readiness back until the cache knows the cluster: before that the
// operator is no help, and an install that waits should wait for more than a process.
func synced(mgr ctrl.Manager) healthz.Checker {
	return func(req *http.Request) error {
		ctx, cancel := context.WithTimeout(req.Context(), syncPatience)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the cache is not filled yet: are the CRDs installed?")
		}
		return nil
	}
}

// beside is what works beside the controllers.
type beside struct {
	startups *startup.Prober
	tunings  *tuneprogress.Watcher
	models   *resolver.Resolver
	meters   *instruments
}

// controllers is the one list of controllers.
func controllers(ctx context.Context, mgr ctrl.Manager, models *catalog.Catalog, cfg config.Operator, by beside) error {
	instances, err := types(cfg)
	if err != nil {
		return err
	}
	// Not the manager's client: it would begin to keep all NodeClaims, and the cluster may not know them.
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("make a client for NodeClaims: %w", err)
	}
	return workspace.New(workspace.Inputs{
		Planner: workspace.Planner{
			Catalog:   models,
			Instances: instances,

			AMDGroups:      cfg.AMDGroups,
			NoProvisioning: !cfg.NodeProvisioning,
			NoHubModels:    !cfg.HubModels,
			Images: workspace.Images{
				Runner:  cfg.RunnerImage,
				Engines: map[string]string{"llamacpp": cfg.LlamacppImage, "vllm": cfg.VLLMImage},
				ROCm:    map[string]string{"vllm": cfg.VLLMROCmImage},
				Gate:    cfg.GateImage, Tuner: cfg.TunerImage, TunerGPU: cfg.TunerGPUImage,
			},
			Sources: workspace.Sources{
				Models: cfg.Models, PlainHTTP: cfg.InsecureRegistries, Hub: cfg.HubEndpoint, PullSecrets: cfg.PullSecrets,
				AllowCIDRs: cfg.FetchAllowCIDRs, Authorities: cfg.FetchCA, Namespace: cfg.Namespace,
			},
		},
		Cached:     mgr.GetClient(),
		Live:       mgr.GetAPIReader(),
		Writer:     kube.NewWriter(mgr.GetClient(), mgr.GetAPIReader()),
		Claims:     claims.New(mgr.GetConfig(), mgr.GetScheme(), direct, lookForNodeClaims),
		NodeWriter: kube.NewWriter(direct, direct),
		Recorder:   mgr.GetEventRecorder(v1beta1.FieldOwner),
		Clock:      clock.RealClock{},
		Startups:   by.startups,
		Tunings:    by.tunings,
		Models:     by.models,
		Meter:      by.meters,
	}).SetupWith(ctx, mgr)
}

// types are the instance types that are known, with those of the flags.
func types(cfg config.Operator) (*instance.Table, error) {
	known, err := instance.Load()
	if err != nil {
		return nil, err
	}
	more, err := instance.Parse(cfg.InstanceTypes)
	if err == nil {
		known, err = known.With(more)
	}
	if err != nil {
		return nil, fmt.Errorf("--instance-types: %w", err)
	}
	return known, nil
}

// Scheme knows the kinds that the operator reads and writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	// Not all of Kubernetes: what is not registered costs no memory.
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
		coordinationv1.AddToScheme, eventsv1.AddToScheme, v1beta1.AddToScheme, nodeclaim.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make the scheme: %w", err)
		}
	}
	return scheme, nil
}
