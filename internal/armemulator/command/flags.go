package command

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"kaito.sh/kaito/internal/armemulator"
)

// The kinds of machines.
const (
	inMemory = "memory"
	kubelet  = "kubelets"
)

// flags are the command line's.
type flags struct {
	address, control, dir string
	hosts                 []string

	subscription, group, cluster, region string
	zones, notInRegion                   []string
	pace, retryAfter                     time.Duration
	maxPools, pageSize                   int
	quotas                               []string
	regional, spot                       int
	faults                               string

	tenant, kubeconfig, jwks, issuer string
	identities, actions              []string
	lifetime                         time.Duration

	machines, program, name, dataRoot, cpu, memory string
}

func defaults() *flags { return &flags{regional: -1, spot: -1} }

func (f *flags) bind(s *pflag.FlagSet) {
	s.StringVar(&f.address, "address", "127.0.0.1:8443", "address to listen on, with TLS")
	s.StringSliceVar(&f.hosts, "host", nil, "further names and addresses that clients may use for it")
	s.StringVar(&f.control, "control", "", "loopback address of the control API, plain HTTP; none when empty")
	s.StringVar(&f.dir, "dir", "", "folder for ca.crt, its key and the state, which survive a restart (required)")

	s.StringVar(&f.subscription, "subscription", "00000000-0000-0000-0000-000000000000", "id of the subscription")
	s.StringVar(&f.group, "resource-group", "kaito", "resource group of the cluster")
	s.StringVar(&f.cluster, "cluster", "kaito", "name of the managed cluster")
	s.StringVar(&f.region, "region", "eastus", "region of the cluster")
	s.StringSliceVar(&f.zones, "zone", []string{"1", "2", "3"}, "availability zones of the region")
	s.StringSliceVar(&f.notInRegion, "not-in-region", nil, "VM sizes that are not sold in the region")
	s.DurationVar(&f.pace, "pace", time.Second, "how long an operation takes at least")
	s.DurationVar(&f.retryAfter, "retry-after", 2*time.Second, "how long a client is told to wait between polls; nothing is said when 0")
	s.IntVar(&f.maxPools, "max-pools", 100, "how many agent pools the cluster may have")
	s.IntVar(&f.pageSize, "page-size", 50, "how many agent pools a page of a list has")
	s.StringSliceVar(&f.quotas, "quota", nil, "quota of a family in virtual CPUs, as Family=number; without limit where none is given")
	s.IntVar(&f.regional, "quota-regional", -1, "quota of all families together; below 0 is no limit")
	s.IntVar(&f.spot, "quota-spot", -1, "quota of spot machines; below 0 is no limit")
	s.StringVar(&f.faults, "faults", "", "file with a script of faults (JSON)")

	s.StringVar(&f.tenant, "tenant", "", "id of the tenant; any bearer token is let in when empty")
	s.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster whose service accounts may get tokens")
	s.StringVar(&f.jwks, "jwks", "", "file with the cluster's keys (JSON web key set), instead of --kubeconfig")
	s.StringVar(&f.issuer, "issuer", "", "issuer of the cluster's tokens, with --jwks")
	s.StringArrayVar(&f.identities, "identity", nil, "an identity, as client-id=system:serviceaccount:namespace:name; may be given again")
	s.StringSliceVar(&f.actions, "allow", []string{"Microsoft.ContainerService/managedClusters/*"}, "what the identities may do")
	s.DurationVar(&f.lifetime, "token-lifetime", time.Hour, "how long access tokens live")

	s.StringVar(&f.machines, "machines", inMemory, `"memory", or "kubelets" of a local cluster`)
	s.StringVar(&f.program, "localcluster", "kaito-localcluster", "program of the local cluster")
	s.StringVar(&f.name, "localcluster-name", "kaito", "name of the local cluster")
	s.StringVar(&f.dataRoot, "localcluster-data-root", "", "folder of all local clusters' data; the program's default when empty")
	s.StringVar(&f.cpu, "node-cpu", "", "CPUs for pods of each kubelet, all of this machine when empty")
	s.StringVar(&f.memory, "node-memory", "", "memory for pods of each kubelet, all of this machine when empty")
}

// check says everything that is wrong with the flags.
func (f *flags) check() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(f.dir == "", "--dir: give a folder")
	_, _, err := net.SplitHostPort(f.address)
	bad(err != nil, "--address %q: give host:port", f.address)
	bad(f.control != "" && !loopback(f.control), "--control %q: give a loopback address and a port, such as 127.0.0.1:8444", f.control)
	bad(f.machines != inMemory && f.machines != kubelet, "--machines %q: give %q or %q", f.machines, inMemory, kubelet)
	bad(f.pace < 0 || f.retryAfter < 0 || f.lifetime <= 0, "--pace, --retry-after and --token-lifetime: give no negative durations")
	bad(f.maxPools < 1 || f.pageSize < 1, "--max-pools and --page-size: give 1 or more")
	if f.tenant == "" {
		bad(len(f.identities) > 0 || f.kubeconfig != "" || f.jwks != "", "--tenant: needed with --identity, --kubeconfig and --jwks")
	} else {
		bad(len(f.identities) == 0, "--identity: give at least one with --tenant")
		bad((f.kubeconfig == "") == (f.jwks == ""), "--kubeconfig and --jwks: give one of them with --tenant")
		bad((f.jwks == "") != (f.issuer == ""), "--issuer: give it with --jwks, and only then")
	}
	_, quotaErr := f.limits()
	_, identityErr := f.who()
	return errors.Join(append(errs, quotaErr, identityErr)...)
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// limits are the quotas.
func (f *flags) limits() (armemulator.Quotas, error) {
	q := armemulator.Quotas{Families: map[string]int{}}
	for _, text := range f.quotas {
		family, number, _ := strings.Cut(text, "=")
		n, err := strconv.Atoi(number)
		if err != nil || family == "" || n < 0 {
			return q, fmt.Errorf("--quota %q: give Family=number", text)
		}
		q.Families[family] = n
	}
	if f.regional >= 0 {
		q.Regional = &f.regional
	}
	if f.spot >= 0 {
		q.Spot = &f.spot
	}
	return q, nil
}

// who are the identities; several subjects of one client id are one identity.
func (f *flags) who() ([]armemulator.Identity, error) {
	var all []armemulator.Identity
	at := map[string]int{}
	for _, text := range f.identities {
		client, subject, _ := strings.Cut(text, "=")
		if client == "" || len(strings.Split(subject, ":")) != 4 || !strings.HasPrefix(subject, "system:serviceaccount:") {
			return nil, fmt.Errorf("--identity %q: give client-id=system:serviceaccount:namespace:name", text)
		}
		i, known := at[client]
		if !known {
			i = len(all)
			at[client] = i
			all = append(all, armemulator.Identity{ClientID: client, Actions: f.actions})
		}
		all[i].Subjects = append(all[i].Subjects, subject)
	}
	return all, nil
}
