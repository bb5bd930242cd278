package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"kaito.sh/kaito/internal/config"
)

func provisioner(t *testing.T, args ...string) config.Provisioner {
	t.Helper()
	var p config.Provisioner
	flags := pflag.NewFlagSet("gpu-provisioner", pflag.ContinueOnError)
	p.Bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return p
}

func onAKS(more ...string) []string {
	return append([]string{
		"--provider=aks", "--aks-subscription=s", "--aks-resource-group=g", "--aks-cluster=c", "--aks-tenant=t", "--aks-client-id=i",
	}, more...)
}

func TestProvisionerDefaults(t *testing.T) {
	t.Parallel()
	got := provisioner(t, onAKS()...)
	if err := got.Check(); err != nil {
		t.Fatal(err)
	}
	want := config.Provisioner{
		Provider: "aks",
		AKS: config.AKS{
			Subscription: "s", ResourceGroup: "g", Cluster: "c", Tenant: "t", ClientID: "i",
			TokenFile: "/var/run/secrets/azure/tokens/azure-identity-token",
		},
		Sim:     config.Sim{Create: 5 * time.Second, Join: 5 * time.Second, GPU: 5 * time.Second, Remove: 5 * time.Second, Lease: 10 * time.Second, Seed: 1},
		Cluster: config.Limit{Nodes: 100, Attempts: 300}, PerNamespace: config.Limit{Attempts: 60},
		Launch: 30 * time.Minute, Registration: 15 * time.Minute, Initialization: 20 * time.Minute, Drain: time.Hour, Replacements: 3,
		Sweep: 2 * time.Minute, Repair: true, RepairAfter: 10 * time.Minute, RepairPercent: 20, RepairHourly: 3,
		MetricsAddress: ":8080", HealthAddress: ":8081", LogLevel: "info",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func TestProvisionerCheck(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"the simulator needs nothing": {args: []string{"--provider=sim"}},
		"an emulator of Azure":        {args: onAKS("--aks-endpoint=https://127.0.0.1:8443", "--aks-authority-host=https://127.0.0.1:8443", "--aks-private-authority")},
		"no provider":                 {want: []string{"--provider is missing: say aks or sim"}},
		"one that is not there yet":   {args: []string{"--provider=eks"}, want: []string{`--provider is "eks": say aks or sim`}},
		"AKS without anything":        {args: []string{"--provider=aks"}, want: []string{"--aks-subscription is missing", "--aks-resource-group is missing", "--aks-cluster is missing", "--aks-tenant is missing", "--aks-client-id is missing"}},
		"the group of the nodes":      {args: onAKS("--aks-resource-group=MC_g_c_eastus"), want: []string{"name the group that the cluster itself is in"}},
		"addresses without TLS":       {args: onAKS("--aks-endpoint=http://x", "--aks-authority-host=login"), want: []string{`--aks-authority-host is "login"`, `--aks-endpoint is "http://x"`}},
		"times that cannot be":        {args: []string{"--provider=sim", "--sweep-every=0s", "--launch-deadline=-1m", "--sim-join=-1s"}, want: []string{"--sim-join is -1s: say 0 or more", "--launch-deadline is -1m0s", "--sweep-every is 0s: say a time above 0"}},
		"a limit below zero":          {args: []string{"--provider=sim", "--cluster-gpus=-1"}, want: []string{"--cluster-gpus is -1: say 0 or more"}},
		"a lease that has no place":   {args: []string{"--provider=sim", "--leader-elect"}, want: []string{"--leader-elect needs --namespace"}},
		"a level that is none":        {args: []string{"--provider=sim", "--log-level=loud"}, want: []string{`--log-level is "loud"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := provisioner(t, tc.args...)
			err := p.Check()
			if len(tc.want) == 0 {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatalf("accepted, want %q", tc.want)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the refusal does not say %q:\n%v", want, err)
				}
			}
		})
	}
}
