package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// The providers of machines.
const (
	// ProviderAKS makes agent pools of an AKS cluster, ProviderSim simulates.
	ProviderAKS = "aks"
	ProviderSim = "sim"
)

// Provisioner is all that the provisioner of nodes is told.
type Provisioner struct {
	// Provider is who makes machines: aks or sim.
	Provider string
	// AKS and Sim are for the provider of that name.
	AKS AKS
	Sim Sim
	// InstanceTypes are further types as JSON, beside those that are known; empty is none.
	InstanceTypes string
	// Cluster limits all machines together, PerNamespace those for the Workspaces of one namespace.
	Cluster, PerNamespace Limit
	// Launch, Registration, Initialization and Drain are deadlines: until a machine is made, its
	// node has joined, the node is whole; and until a node that goes is given up.
	Launch, Registration, Initialization, Drain time.Duration
	// Replacements is how often a machine that missed a deadline is made again.
	Replacements int
	// Sweep is how often machines without a claim are looked for; SweepDryRun removes none.
	Sweep       time.Duration
	SweepDryRun bool
	// Repair has machines replaced that went bad, after RepairAfter, RepairPercent of an
	// instance type at once and RepairHourly for one Workspace within an hour.
	Repair        bool
	RepairAfter   time.Duration
	RepairPercent int
	RepairHourly  int
	// MetricsAddress and HealthAddress are where it answers; "0" turns metrics off.
	MetricsAddress, HealthAddress string
	// LeaderElect makes one of several replicas act.
	LeaderElect bool
	// Namespace is the provisioner's own, for the leader's lease.
	Namespace string
	// LogLevel is the least level that is logged.
	LogLevel string
}

// AKS says which cluster gets the machines, and as whom.
type AKS struct {
	// Subscription is an id; ResourceGroup and Cluster are names.
	Subscription, ResourceGroup, Cluster string
	// Location is the region, Zones are tried after the placement by region.
	Location string
	Zones    []string
	// Tenant and ClientID are those of the identity that the token in TokenFile stands for.
	Tenant, ClientID, TokenFile string
	// AuthorityHost gives tokens, Endpoint is Azure Resource Manager and Audience what its
	// tokens are for: all empty for Azure's public cloud.
	AuthorityHost, Endpoint, Audience string
	// PrivateAuthority is true of an authority that Microsoft's public one does not know.
	PrivateAuthority bool
	// CAFile names a file with certificates in PEM of further authorities that sign for these hosts.
	CAFile string
}

// Sim says how long things take that are simulated.
type Sim struct {
	// Create, Join, GPU and Remove are until a machine is made, its node joins, its GPUs show, and it is gone.
	Create, Join, GPU, Remove time.Duration
	// Lease is how often a simulated kubelet says that it is alive; 0 is never.
	Lease time.Duration
	// Seed decides what chance brings.
	Seed uint64
}

// Limit is how much there may be; 0 is no limit.
type Limit struct {
	// Nodes and GPUs are those that stand or are made, Attempts are requests for machines within an hour.
	Nodes, GPUs, Attempts int
}

// defaultTokenFile is where the chart mounts the token.
const defaultTokenFile = "/var/run/secrets/azure/tokens/azure-identity-token" //nolint:gosec // a path

// Bind adds the flags with their defaults.
func (p *Provisioner) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&p.Provider, "provider", "", "who makes machines: aks or sim (required)")
	p.AKS.bind(flags)
	p.Sim.bind(flags)
	flags.StringVar(&p.InstanceTypes, "instance-types", "",
		`further instance types as JSON: [{"name": "…", "cpus": 8, "ramGiB": 32, "gpus": 1, "gpu": "NVIDIA L4", "memoryGiB": 24, "capability": "8.9"}]`)
	p.Cluster.bind(flags, "cluster", "in the cluster", Limit{Nodes: 100, Attempts: 300})
	p.PerNamespace.bind(flags, "namespace", "for the Workspaces of a namespace", Limit{Attempts: 60})
	flags.DurationVar(&p.Launch, "launch-deadline", 30*time.Minute, "until a machine is made, or given up")
	flags.DurationVar(&p.Registration, "registration-deadline", 15*time.Minute, "until the node of a machine has joined, or it is given up")
	flags.DurationVar(&p.Initialization, "initialization-deadline", 20*time.Minute, "until a node that has joined is ready and shows its GPUs, or is given up")
	flags.DurationVar(&p.Drain, "drain-deadline", time.Hour, "until a node that goes is removed though its pods are not gone")
	flags.IntVar(&p.Replacements, "replacements", 3, "how often a machine that missed a deadline is made again") //nolint:mnd // a default
	flags.DurationVar(&p.Sweep, "sweep-every", 2*time.Minute, "how often machines that no NodeClaim asks for are looked for")
	flags.BoolVar(&p.SweepDryRun, "sweep-dry-run", false, "report such machines and remove none")
	flags.BoolVar(&p.Repair, "repair", true, "replace machines that went bad")
	flags.DurationVar(&p.RepairAfter, "repair-after", 10*time.Minute, "how long a node may be not ready, or its GPUs faulty, before it is repaired")
	flags.IntVar(&p.RepairPercent, "repair-percent", 20, "how many percent of the nodes of an instance type, and at least one, are repaired at once") //nolint:mnd // a default
	flags.IntVar(&p.RepairHourly, "repair-hourly", 3, "how many nodes of one Workspace are replaced within an hour")                                  //nolint:mnd // a default
	flags.StringVar(&p.MetricsAddress, "metrics-address", ":8080", "where /metrics answers; 0 turns it off")
	flags.StringVar(&p.HealthAddress, "health-address", ":8081", "where /healthz and /readyz answer")
	flags.BoolVar(&p.LeaderElect, "leader-elect", false, "let one of several replicas act")
	flags.StringVar(&p.Namespace, "namespace", "", "namespace of the leader's lease (required with --leader-elect)")
	flags.StringVar(&p.LogLevel, "log-level", "info", "debug, info, warn or error")
}

func (a *AKS) bind(flags *pflag.FlagSet) {
	flags.StringVar(&a.Subscription, "aks-subscription", "", "id of the subscription (required for aks)")
	flags.StringVar(&a.ResourceGroup, "aks-resource-group", "", "resource group of the cluster, not of its nodes (required for aks)")
	flags.StringVar(&a.Cluster, "aks-cluster", "", "name of the cluster (required for aks)")
	flags.StringVar(&a.Location, "aks-location", "", "region of the cluster, such as eastus")
	flags.StringSliceVar(&a.Zones, "aks-zones", nil, "zones to try after a placement by region, such as 1,2,3")
	flags.StringVar(&a.Tenant, "aks-tenant", "", "tenant of the identity (required for aks)")
	flags.StringVar(&a.ClientID, "aks-client-id", "", "client id of the identity (required for aks)")
	flags.StringVar(&a.TokenFile, "aks-token-file", defaultTokenFile, "file with the service account's token for workload identity")
	flags.StringVar(&a.AuthorityHost, "aks-authority-host", "", "address that gives tokens; Azure's public one when empty")
	flags.StringVar(&a.Endpoint, "aks-endpoint", "", "address of Azure Resource Manager; Azure's public one when empty")
	flags.StringVar(&a.Audience, "aks-audience", "", "what its tokens are for; that of the public cloud, or --aks-endpoint, when empty")
	flags.BoolVar(&a.PrivateAuthority, "aks-private-authority", false, "the authority is one that Microsoft's public authority does not know")
	flags.StringVar(&a.CAFile, "aks-ca-file", "", "file with certificates in PEM of further authorities that sign for these addresses")
}

func (s *Sim) bind(flags *pflag.FlagSet) {
	flags.DurationVar(&s.Create, "sim-create", 5*time.Second, "until a simulated machine is made")
	flags.DurationVar(&s.Join, "sim-join", 5*time.Second, "until its node joins after that")
	flags.DurationVar(&s.GPU, "sim-gpu", 5*time.Second, "until its GPUs show after that")
	flags.DurationVar(&s.Remove, "sim-remove", 5*time.Second, "until a machine that is removed is gone")
	flags.DurationVar(&s.Lease, "sim-lease", 10*time.Second, "how often the kubelet of a simulated machine says that it is alive; 0 is never")
	flags.Uint64Var(&s.Seed, "sim-seed", 1, "decides what chance brings")
}

func (l *Limit) bind(flags *pflag.FlagSet, name, where string, usual Limit) {
	flags.IntVar(&l.Nodes, name+"-nodes", usual.Nodes, "how many nodes there may be "+where+"; 0 is no limit")
	flags.IntVar(&l.GPUs, name+"-gpus", usual.GPUs, "how many GPUs they may have; 0 is no limit")
	flags.IntVar(&l.Attempts, name+"-attempts", usual.Attempts, "how many machines may be asked for within an hour "+where+"; 0 is no limit")
}

// Check reports every flag that does not do, all at once.
func (p *Provisioner) Check() error {
	var errs []error
	switch p.Provider {
	case ProviderAKS:
		errs = append(errs, p.AKS.check())
	case ProviderSim:
		errs = append(errs, positive(false, map[string]time.Duration{
			"--sim-create": p.Sim.Create, "--sim-join": p.Sim.Join, "--sim-gpu": p.Sim.GPU, "--sim-remove": p.Sim.Remove,
			"--sim-lease": p.Sim.Lease,
		}))
	case "":
		errs = append(errs, errors.New("--provider is missing: say aks or sim"))
	default:
		errs = append(errs, fmt.Errorf("--provider is %q: say aks or sim", p.Provider))
	}
	errs = append(errs, positive(true, map[string]time.Duration{
		"--launch-deadline": p.Launch, "--registration-deadline": p.Registration, "--initialization-deadline": p.Initialization,
		"--drain-deadline": p.Drain, "--sweep-every": p.Sweep, "--repair-after": p.RepairAfter,
	}))
	for _, limit := range []struct {
		flag  string
		value int
	}{
		{"--cluster-nodes", p.Cluster.Nodes},
		{"--cluster-gpus", p.Cluster.GPUs},
		{"--cluster-attempts", p.Cluster.Attempts},
		{"--namespace-nodes", p.PerNamespace.Nodes},
		{"--namespace-gpus", p.PerNamespace.GPUs},
		{"--namespace-attempts", p.PerNamespace.Attempts},
		{"--replacements", p.Replacements},
		{"--repair-percent", p.RepairPercent},
		{"--repair-hourly", p.RepairHourly},
	} {
		if limit.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d: say 0 or more", limit.flag, limit.value))
		}
	}
	if p.LeaderElect && p.Namespace == "" {
		errs = append(errs, errors.New("--leader-elect needs --namespace: the lease has to stand somewhere"))
	}
	if _, err := p.Level(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Level is the least level that is logged.
func (p *Provisioner) Level() (slog.Level, error) { return level(p.LogLevel) }

func (a *AKS) check() error {
	var errs []error
	for _, given := range []struct{ flag, value, what string }{
		{"--aks-subscription", a.Subscription, "the id of the subscription"},
		{"--aks-resource-group", a.ResourceGroup, "the resource group of the cluster"},
		{"--aks-cluster", a.Cluster, "the name of the cluster"},
		{"--aks-tenant", a.Tenant, "the tenant of the identity"},
		{"--aks-client-id", a.ClientID, "the client id of the identity"},
		{"--aks-token-file", a.TokenFile, "the file with the service account's token"},
	} {
		if given.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing: name %s", given.flag, given.what))
		}
	}
	if strings.HasPrefix(strings.ToLower(a.ResourceGroup), "mc_") {
		errs = append(errs, fmt.Errorf("--aks-resource-group is %q, which AKS makes for nodes: name the group that the cluster itself is in", a.ResourceGroup))
	}
	for _, at := range []struct{ flag, value string }{{"--aks-authority-host", a.AuthorityHost}, {"--aks-endpoint", a.Endpoint}} {
		u, err := url.Parse(at.value)
		if at.value != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "") {
			errs = append(errs, fmt.Errorf("%s is %q: say an address that begins with https://", at.flag, at.value))
		}
	}
	return errors.Join(errs...)
}

// positive wants durations above 0, or at least 0, and names those that are not, sorted.
func positive(strictly bool, given map[string]time.Duration) error {
	var errs []error
	for _, flag := range slices.Sorted(maps.Keys(given)) {
		switch d := given[flag]; {
		case strictly && d <= 0:
			errs = append(errs, fmt.Errorf("%s is %s: say a time above 0, such as 10m", flag, d))
		case d < 0:
			errs = append(errs, fmt.Errorf("%s is %s: say 0 or more", flag, d))
		}
	}
	return errors.Join(errs...)
}
