// Package config turns the flags of the operator, and of the provisioner, into one checked value each.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Operator is all that the operator is told.
type Operator struct {
	// RunnerImage holds kaito-runner, which is copied into every model's pod.
	RunnerImage string
	// LlamacppImage is the image of llama.cpp's server.
	LlamacppImage string
	// VLLMImage is the image of vLLM's server, VLLMROCmImage that for AMD's GPUs.
	VLLMImage, VLLMROCmImage string
	// AMDGroups are the ids of the groups that own the devices of AMD's GPUs on nodes.
	AMDGroups []int64
	// GateImage reads, checks and tokenizes data sets.
	GateImage string
	// TunerImage trains on CPUs, TunerGPUImage on GPUs.
	TunerImage, TunerGPUImage string
	// FetchAllowCIDRs are ranges of addresses that data may be fetched from though they are not public.
	FetchAllowCIDRs []string
	// FetchCAFile names a file with certificates in PEM of further authorities that sign for
	// hosts of data; FetchCA is its content, which the command line reads.
	FetchCAFile, FetchCA string
	// Models is the registry and repository prefix below which model images stand.
	Models string
	// InsecureRegistries lets the runner fetch model images over plain HTTP.
	InsecureRegistries bool
	// HubEndpoint is the address of the hub that the runner fetches from.
	HubEndpoint string
	// HubMirrors are asked what a model is, in this order, where the hub does not answer.
	HubMirrors []string
	// HubModels lets Workspaces name models of the hub that no catalog has.
	HubModels bool
	// PullSecrets are the names of Secrets that pods of Workspaces pull images with.
	PullSecrets []string
	// NodeProvisioning has nodes made for Workspaces that name an instance type.
	NodeProvisioning bool
	// InstanceTypes are further types as JSON, beside those that are known; empty is none.
	InstanceTypes string
	// MetricsAddress and HealthAddress are where the operator answers; "0" turns metrics off.
	MetricsAddress, HealthAddress string
	// LeaderElect makes one of several replicas act.
	LeaderElect bool
	// Namespace is the operator's own, for the leader's lease.
	Namespace string
	// LogLevel is the least level that is logged.
	LogLevel string
}

// Bind adds the flags with their defaults.
func (o *Operator) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.RunnerImage, "runner-image", "", "image that holds kaito-runner (required)")
	flags.StringVar(&o.LlamacppImage, "llamacpp-image", "", "image of llama.cpp's server (required)")
	flags.StringVar(&o.VLLMImage, "vllm-image", "vllm/vllm-openai:v0.33.0", "image of vLLM's server")
	flags.StringVar(&o.VLLMROCmImage, "vllm-rocm-image", "vllm/vllm-openai-rocm:v0.33.0", "image of vLLM's server for AMD's GPUs")
	flags.Int64SliceVar(&o.AMDGroups, "amd-groups", []int64{44, 109},
		"ids of the groups that own /dev/kfd and /dev/dri on nodes with AMD's GPUs, video and render (repeat or separate by commas)")
	flags.StringVar(&o.GateImage, "gate-image", "", "image that reads, checks and tokenizes data sets (required)")
	flags.StringVar(&o.TunerImage, "tuner-image", "", "image that trains on CPUs (required)")
	flags.StringVar(&o.TunerGPUImage, "tuner-gpu-image", "registry.local:5000/kaito/tuner-gpu:dev", "image that trains on GPUs")
	flags.StringSliceVar(&o.FetchAllowCIDRs, "fetch-allow-cidrs", nil,
		"ranges of addresses that data sets may be fetched from though they are not public, for example 10.0.0.0/8 (repeat or separate by commas)")
	flags.StringVar(&o.FetchCAFile, "fetch-ca-file", "", "file with certificates in PEM of further authorities that sign for hosts of data sets")
	flags.StringVar(&o.Models, "models", "", "registry and repository prefix of the model images, for example registry.local:5000/kaito/models (required)")
	flags.BoolVar(&o.InsecureRegistries, "insecure-registries", false, "let the runner fetch model images over plain HTTP")
	flags.StringVar(&o.HubEndpoint, "hub-endpoint", "https://huggingface.co", "address of the hub, or of a mirror of it")
	flags.StringSliceVar(&o.HubMirrors, "hub-mirror", nil,
		"address that is asked what a model is where the hub does not answer; it is never shown a token (repeat or separate by commas, first come first)")
	flags.BoolVar(&o.HubModels, "hub-models", true, "let Workspaces name models of the hub that no catalog has; the operator then asks the hub what they are")
	flags.StringSliceVar(&o.PullSecrets, "pull-secret", nil,
		"name of a Secret of type kubernetes.io/dockerconfigjson in the namespace of each Workspace that its pods pull images with (repeat or separate by commas)")
	flags.BoolVar(&o.NodeProvisioning, "node-provisioning", true, "have nodes made for Workspaces that name an instance type")
	flags.StringVar(&o.InstanceTypes, "instance-types", "",
		`further instance types as JSON: [{"name": "…", "cpus": 8, "ramGiB": 32, "gpus": 1, "gpu": "NVIDIA L4", "memoryGiB": 24, "capability": "8.9"}]`)
	flags.StringVar(&o.MetricsAddress, "metrics-address", ":8080", "where /metrics answers; 0 turns it off")
	flags.StringVar(&o.HealthAddress, "health-address", ":8081", "where /healthz and /readyz answer")
	flags.BoolVar(&o.LeaderElect, "leader-elect", false, "let one of several replicas act")
	flags.StringVar(&o.Namespace, "namespace", "", "namespace of the leader's lease (required with --leader-elect)")
	flags.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
}

// Check reports every flag that does not do, all at once.
func (o *Operator) Check() error {
	errs := []error{
		checkImage("--runner-image", o.RunnerImage),
		checkImage("--llamacpp-image", o.LlamacppImage),
		checkImage("--vllm-image", o.VLLMImage),
		checkImage("--vllm-rocm-image", o.VLLMROCmImage),
		checkImage("--gate-image", o.GateImage),
		checkImage("--tuner-image", o.TunerImage),
		checkImage("--tuner-gpu-image", o.TunerGPUImage),
		o.checkModels(),
		checkHub("--hub-endpoint", o.HubEndpoint),
	}
	for _, mirror := range o.HubMirrors {
		errs = append(errs, checkHub("--hub-mirror", mirror))
	}
	for _, secret := range o.PullSecrets {
		if problems := validation.IsDNS1123Subdomain(secret); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--pull-secret %q is no name of a Secret: %s", secret, problems[0]))
		}
	}
	for _, cidr := range o.FetchAllowCIDRs {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			errs = append(errs, fmt.Errorf("--fetch-allow-cidrs %q is no range of addresses: say for example 10.0.0.0/8", cidr))
		}
	}
	for _, group := range o.AMDGroups {
		if group < 1 || group > 1<<31-1 {
			errs = append(errs, fmt.Errorf("--amd-groups %d is no group: say ids from 1 to 2147483647, such as 44,109", group))
		}
	}
	if o.LeaderElect && o.Namespace == "" {
		errs = append(errs, errors.New("--leader-elect needs --namespace: the lease has to stand somewhere"))
	}
	if _, err := o.Level(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Level is the least level that is logged.
func (o *Operator) Level() (slog.Level, error) { return level(o.LogLevel) }

func level(text string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return level, fmt.Errorf("--log-level is %q: say debug, info, warn or error", text)
	}
	return level, nil
}

func (o *Operator) checkModels() error {
	if o.Models == "" {
		return errors.New("--models is missing: name the registry and prefix of the model images")
	}
	if _, err := name.NewRepository(o.Models + "/model"); err != nil || strings.HasSuffix(o.Models, "/") {
		return fmt.Errorf("--models is %q, which is no prefix of a repository: say for example registry.local:5000/kaito/models", o.Models)
	}
	return nil
}

func checkHub(flag, address string) error {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s is %q: say an address such as https://huggingface.co", flag, address)
	}
	return nil
}

func checkImage(flag, image string) error {
	if image == "" {
		return fmt.Errorf("%s is missing: name an image", flag)
	}
	if _, err := name.ParseReference(image); err != nil {
		return fmt.Errorf("%s is %q, which is no image: %w", flag, image, err)
	}
	return nil
}
