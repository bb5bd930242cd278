package gpuplugin

import (
	"github.com/spf13/cobra"

	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// NewCommand returns the program gpu-device-plugin. Clock and log come from main;
// the flags fill the rest.
func NewCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gpu-device-plugin",
		Short: "Offer stand-in GPUs to a kubelet",
		Long: `Offer stand-in GPUs to a kubelet through its device plugin API. Nothing real is
behind them: pods are scheduled and counted as on a GPU node, and find the numbers
of their devices in NVIDIA_VISIBLE_DEVICES. The devices are registered again when
the kubelet starts again.`,
		Example: `  gpu-device-plugin --resource nvidia.com/gpu --count 2

  # device 1 breaks, and is repaired
  gpu-device-plugin --count 2 --broken-file /run/broken-gpus &
  echo 1 > /run/broken-gpus
  rm /run/broken-gpus`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return Run(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.Resource, "resource", "nvidia.com/gpu", "name that pods ask for")
	cmd.Flags().IntVar(&o.Count, "count", 1, "number of devices")
	cmd.Flags().StringVar(&o.SocketDir, "socket-dir", pluginapi.DevicePluginPath, "the kubelet's folder for device plugins")
	cmd.Flags().StringVar(&o.BrokenFile, "broken-file", "", "file with ids of devices to report unhealthy, one a line; read each second")
	return cmd
}
