package render

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

const (
	// AdaptersContainer is the init container that brings adapters.
	AdaptersContainer = "adapters"

	adaptersVolume      = "adapters"
	adapterVolumePrefix = "adapter"
	adapterSecretPrefix = "adapter-secret"
)

// adapterContracts are the adapters as the runner is told of them.
func adapterContracts(s Serving) []contract.Adapter {
	var all []contract.Adapter
	for _, a := range s.Adapters {
		told := contract.Adapter{Name: a.Name, Strength: a.Strength, Default: a.Default}
		if a.Image != "" {
			told.Image = &contract.WeightsImage{Reference: pinned(a), PlainHTTP: a.PlainHTTP}
			for _, secret := range adapterSecrets(s, a) {
				told.Image.Credentials = append(told.Image.Credentials, contract.PullSecretFile(secret))
			}
		}
		all = append(all, told)
	}
	return all
}

// pinned is the reference with the digest, where that is known.
func pinned(a Adapter) string {
	if a.Digest == "" || strings.Contains(a.Image, "@") {
		return a.Image
	}
	return a.Image + "@" + a.Digest
}

// adapterBase is what is known of the model that the adapters are put on.
func adapterBase(s Serving) *contract.AdapterBase {
	if len(s.Adapters) == 0 {
		return nil
	}
	m := s.Model
	base := &contract.AdapterBase{
		HubID: cmp.Or(m.HubID, m.ID), Layers: m.Layers, Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, Hidden: m.Hidden, MLP: m.MLP,
		MaxRank: s.Plan.Adapters.MaxRank,
	}
	if len(m.Architectures) > 0 {
		base.Architecture = m.Architectures[0]
	}
	return base
}

// withoutAdapters leaves out the names of the model that adapters answer under.
func withoutAdapters(s Serving, aliases []string) []string {
	return slices.DeleteFunc(aliases, func(alias string) bool {
		return slices.ContainsFunc(s.Adapters, func(a Adapter) bool { return a.Name == alias })
	})
}

// aliases are the further names of the model.
func aliases(s Serving) []string { return withoutAdapters(s, engine.ServedAliases(s.Model)) }

// bringAdapters pulls adapters, proves them and writes them as the engine reads them. It
// has the runner's image: no interpreter, no data of users, and it alone has the Secrets.
func bringAdapters(s Serving) []*corev1ac.ContainerApplyConfiguration {
	if len(s.Adapters) == 0 {
		return nil
	}
	c := corev1ac.Container().
		WithName(AdaptersContainer).
		WithImage(s.Images.Runner).
		WithCommand("/kaito-runner", "adapters", "--config", contract.ConfigFile).
		WithSecurityContext(locked()).
		WithResources(corev1ac.ResourceRequirements().
			WithRequests(amounts(model.Core/20, 64*model.MiB)).
			WithLimits(amounts(model.Core, 512*model.MiB))).
		WithVolumeMounts(
			readOnly(configVolume, contract.ConfigDir),
			mount(adaptersVolume, contract.AdaptersDir),
		)
	for i, a := range s.Adapters {
		if a.Volume != nil && a.Image == "" {
			c.WithVolumeMounts(readOnly(fmt.Sprintf("%s-%d", adapterVolumePrefix, i), contract.AdapterVolumeDir(a.Name)))
		}
	}
	for i, name := range allAdapterSecrets(s) {
		c.WithVolumeMounts(readOnly(fmt.Sprintf("%s-%d", adapterSecretPrefix, i), path.Dir(contract.PullSecretFile(name))))
	}
	return []*corev1ac.ContainerApplyConfiguration{c}
}

// adapterVolumes are the folder for adapters, and what the container that fills it reads.
func adapterVolumes(s Serving) []*corev1ac.VolumeApplyConfiguration {
	if len(s.Adapters) == 0 {
		return nil
	}
	all := []*corev1ac.VolumeApplyConfiguration{scratch(adaptersVolume, adaptersRoom(s))}
	for i, a := range s.Adapters {
		if a.Volume != nil && a.Image == "" {
			all = append(all, theirs(fmt.Sprintf("%s-%d", adapterVolumePrefix, i), a.Volume))
		}
	}
	for i, name := range allAdapterSecrets(s) {
		all = append(all, secret(fmt.Sprintf("%s-%d", adapterSecretPrefix, i), name, contract.PullSecretKey))
	}
	return all
}

// adapterMounts are what the engine's container sees of them.
func adapterMounts(s Serving) []*corev1ac.VolumeMountApplyConfiguration {
	if len(s.Adapters) == 0 {
		return nil
	}
	return []*corev1ac.VolumeMountApplyConfiguration{readOnly(adaptersVolume, contract.AdaptersDir)}
}

// adaptersRoom is the room on the node's disk: each as it is pulled and as it is loaded,
// and a little for their configurations.
func adaptersRoom(s Serving) model.Bytes {
	const copies, beside = 2, 16 * model.MiB
	return (model.Bytes(len(s.Adapters)) * (copies*s.Plan.Adapters.Each + beside)).CeilTo(model.MiB)
}

// adapterSecrets may open the registry of an adapter: its own first, each once.
func adapterSecrets(s Serving, a Adapter) []string {
	if a.Image == "" {
		return nil
	}
	var all []string
	for _, secret := range slices.Concat(a.Secrets, s.PullSecrets) {
		if secret != "" && !slices.Contains(all, secret) {
			all = append(all, secret)
		}
	}
	return all
}

// allAdapterSecrets are those of all adapters, each once.
func allAdapterSecrets(s Serving) []string {
	var all []string
	for _, a := range s.Adapters {
		for _, secret := range adapterSecrets(s, a) {
			if !slices.Contains(all, secret) {
				all = append(all, secret)
			}
		}
	}
	return all
}

// fetchesAdapters says whether an adapter comes from a registry.
func fetchesAdapters(s Serving) bool {
	return slices.ContainsFunc(s.Adapters, func(a Adapter) bool { return a.Image != "" })
}
