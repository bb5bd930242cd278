// Package provisioner assembles the provisioner of nodes: the provider of machines, the
// manager and the one list of controllers. It knows everything and does nothing else.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kaito.sh/kaito/internal/config"
	claims "kaito.sh/kaito/internal/controller/nodeclaim"
	"kaito.sh/kaito/internal/controller/orphan"
	"kaito.sh/kaito/internal/controller/repair"
	"kaito.sh/kaito/internal/karpenter"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

const (
	// leaseName is the lease that replicas compete for.
	leaseName = "kaito-gpu-provisioner"
	// fieldOwner is the name that objects remember us by, and that events come from.
	fieldOwner = "kaito-gpu-provisioner"
	// syncPatience is how long one probe waits for the cache; the kubelet allows a second by default.
	syncPatience = 500 * time.Millisecond
)

// Run runs the provisioner against a cluster until ctx ends or a part of it fails.
func Run(ctx context.Context, cluster *rest.Config, cfg config.Provisioner, log logr.Logger) error {
	mgr, err := New(ctx, cluster, cfg, log)
	if err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the provisioner: %w", err)
	}
	return nil
}

// New makes a manager with every controller.
func New(ctx context.Context, cluster *rest.Config, cfg config.Provisioner, log logr.Logger) (ctrl.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	// The API server shares its time fairly among its clients by its own means.
	cluster = rest.CopyConfig(cluster)
	cluster.QPS = -1
	cluster.DisableCompression = true
	meters := newInstruments(cfg.Provider)
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme: scheme,
		Logger: log,
		Cache: cache.Options{
			ByObject:         map[client.Object]cache.ByObject{&corev1.Node{}: {Transform: slim}},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		// A pass sees what the pass before it wrote, so nothing is asked for twice.
		Client: client.Options{FieldOwner: fieldOwner, Cache: &client.CacheOptions{
			EnableReadYourWritesConsistency: new(true), DisableFor: karpenter.Uncached(),
		}},

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
	id, err := clusterID(ctx, mgr.GetAPIReader())
	if err != nil {
		return nil, err
	}
	log.Info("machines are made", "provider", cfg.Provider, "cluster", id)
	provider, err := newProvider(ctx, mgr, cfg, log)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		mgr.AddHealthzCheck("alive", healthz.Ping),
		mgr.AddReadyzCheck("cache", synced(mgr)),
		controllers(ctx, mgr, provider, id, cfg, meters),
	)
	return mgr, err
}

// controllers is the one list of controllers.
func controllers(ctx context.Context, mgr ctrl.Manager, provider node.Provider, id string, cfg config.Provisioner, meters *instruments) error {
	clk, recorder := clock.RealClock{}, mgr.GetEventRecorder(fieldOwner)
	life := claims.New(claims.Options{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Provider: provider, ProviderName: cfg.Provider, Clock: clk, Cluster: id,
		Deadlines: claims.Deadlines{
			Launch: cfg.Launch, Registration: cfg.Registration, Initialization: cfg.Initialization, Drain: cfg.Drain, Replacements: cfg.Replacements,
		},
		Limits:   claims.Limits{Cluster: claims.Limit(cfg.Cluster), Namespace: claims.Limit(cfg.PerNamespace)},
		Recorder: recorder, Meter: meters.claims, Seed: uint64(clk.Now().UnixNano()),
	})
	sweep := orphan.Defaults()
	sweep.Every, sweep.DryRun = cfg.Sweep, cfg.SweepDryRun
	errs := []error{
		life.SetupWithManager(ctx, mgr),
		karpenter.Setup(ctx, mgr, karpenter.Controllers(karpenter.Inputs{
			Provider: provider, Cluster: id, Client: mgr.GetClient(), Recorder: recorder, Clock: clk,
		})),
		mgr.Add(orphan.New(orphan.Inputs{
			Provider: provider, Cluster: id, Live: mgr.GetAPIReader(), Recorder: recorder, Clock: clk, Log: mgr.GetLogger().WithName("orphan"),
			Meter: meters, Options: sweep,
		})),
	}
	if cfg.Repair {
		options := repair.Defaults()
		options.NotReady, options.Faulty, options.Percent, options.Hourly = cfg.RepairAfter, cfg.RepairAfter, cfg.RepairPercent, cfg.RepairHourly
		errs = append(errs, repair.New(repair.Inputs{
			Client: mgr.GetClient(), Provider: provider, Cluster: id, Clock: clk, Recorder: recorder, Meter: meters, Options: options,
		}).SetupWith(mgr))
	}
	return errors.Join(errs...)
}

// clusterID tells this cluster from all others that make machines in the same account: the
// UID of a namespace that is as old as the cluster and is never made again.
func clusterID(ctx context.Context, live client.Reader) (string, error) {
	var system corev1.Namespace
	if err := live.Get(ctx, client.ObjectKey{Name: "kube-system"}, &system); err != nil {
		return "", fmt.Errorf("read the namespace kube-system, whose UID tells this cluster from others: %w", err)
	}
	return string(system.UID), nil
}

// synced holds readiness back until the cache knows the cluster.
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

// slim leaves out of a node what nobody reads and what makes it large: who wrote which field
// and the names of all its images.
func slim(o any) (any, error) {
	if n, ok := o.(*corev1.Node); ok {
		n.ManagedFields, n.Status.Images = nil, nil
	}
	return o, nil
}

// Scheme knows the kinds that the provisioner reads and writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, storagev1.AddToScheme, policyv1.AddToScheme, coordinationv1.AddToScheme, eventsv1.AddToScheme, nodeclaim.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make the scheme: %w", err)
		}
	}
	return scheme, nil
}
