// Package archtest is the table of who may import whom. It has no code that a
// program runs: the rules stand here, the test beside them reads every Go file
// of the module and reports what breaks a rule, in our words.
package archtest

import "maps"

// room is one folder of the tree and the rules for the code in it. The longest
// matching folder decides; a package that matches none fails the test, so that
// nobody can open a new room without saying what it is for.
type room struct {
	// keys are our own rooms that its code may import; a room may always import itself.
	keys []string
	// bans are packages from outside that its code may not import.
	bans []string
	// only, when set, are the only packages from outside the standard library that it may import.
	only []string
	// closed rooms may be imported by tests alone.
	closed bool
}

// clusterEffects are packages that reach a cluster.
func clusterEffects() []string {
	return []string{
		"k8s.io/client-go/kubernetes", "k8s.io/client-go/rest", "k8s.io/client-go/tools",
		"k8s.io/client-go/dynamic", "sigs.k8s.io/controller-runtime",
	}
}

// machineEffects are packages of the standard library that reach the machine.
func machineEffects() []string {
	return []string{"os", "net", "net/http", "os/exec", "syscall"}
}

// The rooms. Nouns and numbers know nothing of the cluster. Controllers know
// nouns and contracts, never each other, never a cloud, never the environment.
// Only the assembly knows everything, and it does nothing else.
func rooms() map[string]room {
	cluster, machine := clusterEffects(), machineEffects()
	pure := join(cluster, machine)
	all := map[string]room{
		"api/v1beta1":               {only: []string{"k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/controller-runtime/pkg/scheme"}},
		"api/v1alpha1":              {keys: []string{"api/v1beta1"}, only: []string{"k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/controller-runtime/pkg/scheme"}},
		"catalog":                   {only: []string{}},
		"bench":                     {keys: []string{"api", "internal/modelimage", "internal/oci", "internal/buildinfo", "internal/dataset", "internal/nodeclaim", "internal/runner/contract", "internal/runner/data", "bench"}},
		"internal/archtest":         {only: []string{}},
		"internal/buildinfo":        {only: []string{}},
		"internal/model":            {bans: join(pure, []string{"k8s.io"})},
		"internal/near":             {only: []string{}},
		"internal/dataset":          {keys: []string{"internal/near"}, bans: join(pure, []string{"k8s.io"})},
		"internal/dataset/source":   {keys: []string{"internal/dataset"}, bans: cluster},
		"internal/catalog":          {keys: []string{"internal/model", "internal/near", "catalog"}, bans: pure},
		"internal/catalog/gen":      {keys: []string{"internal/catalog"}},
		"internal/instance":         {keys: []string{"internal/model", "internal/near"}, bans: join(pure, []string{"k8s.io"})},
		"internal/nodeshape":        {keys: []string{"internal/model", "internal/instance"}, bans: pure},
		"internal/estimate":         {keys: []string{"internal/model"}, bans: join(pure, []string{"k8s.io"})},
		"internal/engine":           {keys: []string{"internal/model", "internal/near", "internal/engine"}, bans: pure},
		"internal/tuning":           {keys: []string{"internal/model", "internal/near", "internal/runner/contract"}, bans: join(pure, []string{"k8s.io"})},
		"internal/engine/flags/gen": {keys: []string{"internal/engine/flags"}},
		"internal/tuning/gen":       {keys: []string{"internal/tuning"}},
		"internal/render": {
			keys: []string{
				"api/v1beta1", "internal/model", "internal/engine", "internal/nodeclaim", "internal/runner/contract", "internal/runner/ending", "internal/tuning",
				"internal/nodelabel", "internal/podtemplate",
			},
			bans: pure,
		},
		"internal/sizing": {
			keys: []string{
				"api/v1beta1", "internal/model", "internal/catalog", "internal/engine", "internal/estimate", "internal/instance", "internal/near",
				"internal/nodelabel", "internal/podtemplate", "internal/runner/contract", "internal/tuning",
			},
			bans: pure,
		},
		"internal/nodelabel":   {keys: []string{"api/v1beta1"}, bans: join(pure, []string{"k8s.io/client-go"})},
		"internal/podtemplate": {bans: join(pure, []string{"k8s.io/client-go"})},
		"internal/kube":        {keys: []string{"api/v1beta1"}, bans: machine},
		"internal/controller": {
			keys: []string{
				"api/v1beta1", "internal/model", "internal/catalog", "internal/estimate", "internal/engine", "internal/instance",
				"internal/nodeshape", "internal/render", "internal/kube", "internal/resolver", "internal/runner/contract", "internal/runner/ending", "internal/sizing", "internal/tuning", "internal/nodeclaim",
			},
			bans: machine,
		},
		"internal/claims":       {keys: []string{"internal/nodeclaim"}, bans: machine},
		"internal/startup":      {keys: []string{"internal/runner/contract"}, bans: cluster},
		"internal/resolver":     {keys: []string{"internal/model", "internal/modelfiles", "internal/hub"}, bans: cluster},
		"internal/tuneprogress": {keys: []string{"internal/runner/contract"}, bans: cluster},
		"internal/operator": {
			keys: []string{
				"api", "catalog", "internal/buildinfo", "internal/catalog", "internal/claims", "internal/config", "internal/controller", "internal/instance", "internal/kube",
				"internal/nodeclaim", "internal/operator", "internal/resolver", "internal/startup", "internal/tuneprogress",
			},
		},
		"internal/config": {bans: cluster},
		"internal/cli": {
			keys: []string{
				"api/v1beta1", "catalog", "internal/catalog", "internal/cli", "internal/dataset", "internal/engine", "internal/estimate", "internal/hub", "internal/instance", "internal/licence", "internal/model", "internal/modelfacts", "internal/modelfiles", "internal/modelimage", "internal/near", "internal/oci", "internal/buildinfo",
				"internal/nodeclaim", "internal/nodeshape", "internal/runner/ending", "internal/sizing", "internal/tuning",
			},
		},
		"internal/testkit":    {keys: []string{"api", "internal/testkit", "internal/kube", "internal/model", "internal/nodeclaim"}, closed: true},
		"cmd/arm-emulator":    {keys: []string{"internal/armemulator", "internal/buildinfo"}},
		"cmd/kaito":           {keys: []string{"internal/cli", "internal/buildinfo"}},
		"cmd/kaito-operator":  {keys: []string{"internal/operator", "internal/buildinfo"}},
		"cmd/gpu-provisioner": {keys: []string{"internal/provisioner", "internal/buildinfo"}},
		"cmd/kaito-runner":    {keys: []string{"internal/runner", "internal/buildinfo"}},
		"test/standins":       {keys: []string{"internal/engine/flags"}, bans: cluster},
		"test/nodes":          {keys: []string{"api", "internal/config", "internal/nodeclaim", "internal/operator", "internal/provisioner", "internal/testkit"}},
		"test/e2e":            {keys: []string{"api", "internal/testkit", "internal/gguf/gguftest", "internal/hub/hubtest"}},
	}
	maps.Copy(all, runnerRooms())
	maps.Copy(all, nodeRooms())
	maps.Copy(all, fileRooms())
	return all
}

// fileRooms are those that read and write the files of models and adapters, where they are kept
// and where they come from: nothing in them knows a cluster.
func fileRooms() map[string]room {
	cluster := clusterEffects()
	pure := join(cluster, machineEffects())
	return map[string]room{
		"internal/oci":                  {bans: cluster},
		"internal/oci/registrytest":     {closed: true},
		"internal/safetensors":          {bans: join(pure, []string{"k8s.io"})},
		"internal/licence":              {only: []string{}},
		"internal/gguf":                 {bans: join(pure, []string{"k8s.io"})},
		"internal/gguf/gguftest":        {closed: true},
		"internal/modelfiles":           {only: []string{}},
		"internal/modelfacts":           {keys: []string{"internal/gguf", "internal/licence", "internal/model", "internal/modelfiles", "internal/safetensors"}, bans: join(pure, []string{"k8s.io"})},
		"internal/modelfacts/factstest": {closed: true},
		"internal/hub":                  {keys: []string{"internal/modelfiles"}, bans: cluster},
		"internal/hub/facts":            {keys: []string{"internal/hub", "internal/model", "internal/modelfacts", "internal/modelfiles"}, bans: cluster},
		"internal/hub/hubtest":          {closed: true},
		"internal/modelimage":           {keys: []string{"internal/gguf", "internal/licence", "internal/modelfiles", "internal/oci", "internal/safetensors"}, bans: cluster},
		"internal/adapter":              {keys: []string{"internal/oci", "internal/safetensors"}, bans: cluster},
		"internal/adapter/adaptertest":  {closed: true},
	}
}

// runnerRooms are those of the program in a model's pod: nothing in it knows a cluster.
func runnerRooms() map[string]room {
	cluster := clusterEffects()
	pure := join(cluster, machineEffects())
	return map[string]room{
		"internal/runner/contract":     {bans: pure},
		"internal/runner/contract/gen": {keys: []string{"internal/runner/contract"}},
		"internal/runner/ending":       {keys: []string{"internal/runner/contract"}, bans: cluster},
		"internal/runner/standin":      {closed: true},
		"internal/runner/fetch":        {keys: []string{"internal/runner/ending", "internal/runner/fetch", "internal/hub", "internal/modelfiles", "internal/oci"}, bans: cluster},
		"internal/runner/data":         {keys: []string{"internal/runner", "internal/dataset"}, bans: cluster},
		"internal/runner":              {keys: []string{"internal/runner", "internal/buildinfo", "internal/catalog", "internal/hub", "internal/modelfiles"}, bans: cluster},
		"internal/runner/adapters":     {keys: []string{"internal/runner", "internal/adapter"}, bans: cluster},
		"internal/runner/registry":     {keys: []string{"internal/runner/contract", "internal/runner/ending", "internal/oci", "internal/adapter"}, bans: cluster},
		"internal/runner/checkpoint": {
			keys: []string{"internal/runner/contract", "internal/runner/ending", "internal/runner/fetch", "internal/runner/registry", "internal/oci"}, bans: cluster,
		},
		"internal/runner/publish": {
			keys: []string{
				"internal/runner/contract", "internal/runner/ending", "internal/runner/progress", "internal/runner/checkpoint",
				"internal/runner/registry", "internal/oci", "internal/adapter",
			},
			bans: cluster,
		},
	}
}

// nodeRooms are those of the provisioner. Its controllers see the contract of a provider;
// a provider knows no other, and nothing of the cluster's objects but what it needs.
func nodeRooms() map[string]room {
	cluster, machine := clusterEffects(), machineEffects()
	pure := join(cluster, machine)
	return map[string]room{
		"internal/node":                        {bans: join(pure, []string{"sigs.k8s.io/karpenter"})},
		"internal/node/nodetest":               {keys: []string{"internal/node"}, closed: true},
		"internal/node/sim":                    {keys: []string{"internal/node", "internal/instance", "internal/model", "internal/near"}},
		"internal/node/aks":                    {keys: []string{"internal/node", "internal/instance", "internal/model", "internal/near"}, bans: cluster},
		"internal/nodeclaim":                   {keys: []string{"internal/nodelabel"}, bans: pure},
		"internal/karpenter":                   {keys: []string{"internal/node", "internal/nodeclaim"}},
		"internal/armemulator":                 {keys: []string{"internal/instance", "internal/model", "internal/near", "internal/armemulator"}},
		"internal/armemulator/armemulatortest": {keys: []string{"internal/armemulator"}, closed: true},
		"internal/controller/nodeclaim":        {keys: []string{"internal/node", "internal/nodeclaim", "internal/kube"}, bans: machine},
		"internal/controller/orphan":           {keys: []string{"internal/node", "internal/nodeclaim"}, bans: machine},
		"internal/controller/repair":           {keys: []string{"internal/node", "internal/nodeclaim", "internal/kube"}, bans: machine},
		"internal/provisioner": {
			keys: []string{
				"internal/buildinfo", "internal/config", "internal/controller", "internal/karpenter", "internal/kube", "internal/node", "internal/nodeclaim",
				"internal/instance", "internal/provisioner",
			},
		},
	}
}

// links are packages that a program may not contain, however they are reached, with why.
func links() map[string]map[string]string {
	const size = "it makes the program larger and slower to start for every command"
	return map[string]map[string]string{
		"cmd/kaito": {
			"sigs.k8s.io/karpenter":                     size,
			"sigs.k8s.io/controller-runtime/pkg/client": size,
			"k8s.io/client-go/applyconfigurations":      size,
			"k8s.io/client-go/kubernetes":               size,
			"k8s.io/client-go/informers":                size,
		},
		"cmd/kaito-runner": {
			"k8s.io/client-go": "a model's pod speaks to no API server",
			"k8s.io/api":       "a model's pod speaks to no API server",
		},
	}
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
