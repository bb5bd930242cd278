package volumes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// firstRetry and lastRetry bound the wait after an attempt that went wrong: a
	// folder costs nothing, so waiting long would only be felt.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Options say which cluster is served from which folder.
type Options struct {
	// Kubeconfig leads to the cluster.
	Kubeconfig string
	// Dir is the folder of all volumes.
	Dir string
	Log *slog.Logger
}

// Run serves claims until the context ends.
func Run(ctx context.Context, o Options) error {
	p, err := newProvisioner(o.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	config.UserAgent = "kaito-local-volumes"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client of %s: %w", config.Host, err)
	}
	log := logr.FromSlogHandler(o.Log.Handler())
	klog.SetLogger(log)
	ctx = klog.NewContext(ctx, log)
	provision := controller.NewProvisionController(ctx, client, Name, p,
		controller.LeaderElection(false),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
	)
	o.Log.Info("volumes served", "provisioner", Name, "folder", o.Dir, "server", config.Host)
	provision.Run(ctx)
	return nil
}

// NewCommand returns the program local-volumes. The log comes from main; the flags
// fill the rest.
func NewCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "local-volumes --kubeconfig FILE --dir DIR",
		Short: "Make folders for the claims of a local cluster",
		Long: `Make a folder for each claim whose storage class names the provisioner ` + Name + `,
and remove it with its volume. Sizes are noted, not enforced; any user in a pod
that mounts a volume may write to it.`,
		Example: `  local-volumes --kubeconfig /etc/admin.conf --dir /var/lib/volumes

  # the storage class that leads here
  kubectl create -f - <<END
  apiVersion: storage.k8s.io/v1
  kind: StorageClass
  metadata: {name: kaito-local}
  provisioner: ` + Name + `
  END`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Kubeconfig == "" || o.Dir == "" {
				return errors.New("give --kubeconfig and --dir")
			}
			return Run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Kubeconfig, "kubeconfig", "", "file that leads to the cluster")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "folder of all volumes")
	return cmd
}
