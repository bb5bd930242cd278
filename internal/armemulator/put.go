package armemulator

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// admitPut checks a put against the region, the quota and the pool that is there.
func (e *Emulator) admitPut(c *call, p *pool) *refusal {
	w := c.want
	if p != nil {
		if refused := e.unchangeable(w, p); refused != nil {
			return refused
		}
		size := e.sizes[strings.ToLower(p.Size)]
		return e.checkQuota(size, p.spot(), w.machines(p.Count)-p.Count)
	}
	if w.size == "" {
		return e.say("parameter", "parameter", "agentPoolProfile.vmSize", "details", "a VM size is required")
	}
	size, refused := e.checkSize(w.size)
	if refused != nil {
		return refused
	}
	for _, zone := range w.zones {
		if !slices.Contains(e.o.Zones, zone) {
			return e.say("zone-not-supported", "zones", strings.Join(w.zones, ","), "pool", c.pool, "supported", strings.Join(e.o.Zones, ","))
		}
	}
	if n := len(e.state.Pools) + 1; n > e.o.MaxPools {
		return e.say("pool-limit", "count", strconv.Itoa(n), "limit", strconv.Itoa(e.o.MaxPools))
	}
	return e.checkQuota(size, w.spot, w.machines(1))
}

// machines is how many a put asks for.
func (w *wanted) machines(otherwise int) int {
	if w.count == nil {
		return otherwise
	}
	return *w.count
}

// unchangeable refuses another size, other zones or another priority for a pool that is there.
func (e *Emulator) unchangeable(w *wanted, p *pool) *refusal {
	if w.size != "" && !strings.EqualFold(w.size, p.Size) {
		return e.say("immutable", "parameter", "properties.vmSize")
	}
	for _, name := range []string{"availabilityZones", "scaleSetPriority", "osType", "osDiskSizeGB"} {
		if given, said := w.properties[name]; said && !reflect.DeepEqual(given, p.Properties[name]) {
			return e.say("immutable", "parameter", "properties."+name)
		}
	}
	return nil
}

// put begins to make a pool or to change one; mu is held.
func (e *Emulator) put(c *call, d destiny, now time.Time) (reply, []func()) {
	p, status, does := e.state.Pools[c.pool], http.StatusOK, stateUpdating
	if p == nil {
		p = &pool{Name: c.pool, Properties: e.defaults(), Size: c.want.size, Count: c.want.machines(1), CreatedAt: now}
		e.state.Pools[c.pool] = p
		status, does = http.StatusCreated, stateCreating
	} else if c.want.machines(p.Count) != p.Count {
		does = stateScaling
	}
	maps.Copy(p.Properties, c.want.properties)
	p.Count = c.want.machines(p.Count)
	op := e.started(p, does, d, now)
	out := e.accepted(c, op, status, e.poolBody(p))
	if d.failure != nil || d.stuck {
		return out, nil // neither comes to the point of making machines
	}
	return out, e.fit(p, op, d)
}

// fit makes the machines of a pool as many as its count; mu is held.
func (e *Emulator) fit(p *pool, op *operation, d destiny) []func() {
	if surplus := len(p.Machines) - p.Count; surplus > 0 {
		leaving := slices.Clone(p.Machines[len(p.Machines)-surplus:])
		return e.leave(p, op, leaving)
	}
	var effects []func()
	for len(p.Machines) < p.Count {
		m := e.machine(p, d)
		m.Booted = m.NoNode
		p.Machines = append(p.Machines, m)
		if m.NoNode {
			continue
		}
		op.Waiting++
		effects = append(effects, func() { e.o.Machines.Create(m, e.booted(op.ID, m.Node)) })
	}
	return effects
}

// leave takes machines out of a pool; mu is held.
func (e *Emulator) leave(p *pool, op *operation, leaving []Machine) []func() {
	op.Leaving = append(op.Leaving, leaving...)
	for _, m := range leaving {
		p.Machines = without(p.Machines, m.Node)
	}
	return e.deletions(op, leaving)
}

func (e *Emulator) deletions(op *operation, leaving []Machine) []func() {
	var effects []func()
	for _, m := range leaving {
		if m.NoNode {
			op.Leaving = without(op.Leaving, m.Node)
			continue
		}
		op.Waiting++
		effects = append(effects, func() { e.o.Machines.Delete(m, e.gone(op.ID, m.Node)) })
	}
	return effects
}

// defaults are what the service fills in.
func (e *Emulator) defaults() map[string]any {
	return map[string]any{
		"type": "VirtualMachineScaleSets", "mode": "User", "osType": "Linux", "osSKU": "Ubuntu", "osDiskSizeGB": float64(128),
		"osDiskType": "Managed", "kubeletDiskType": "OS", "maxPods": float64(110), "enableAutoScaling": false,
		"enableNodePublicIP": false, "enableFIPS": false, "enableEncryptionAtHost": false, "enableUltraSSD": false,
		"orchestratorVersion": e.o.KubernetesVersion, "powerState": map[string]any{"code": "Running"}, "scaleDownMode": "Delete",
		"upgradeSettings": map[string]any{"maxSurge": "10%"},
	}
}

// machine is the next one of a pool; mu is held.
func (e *Emulator) machine(p *pool, d destiny) Machine {
	index := p.NextIndex
	p.NextIndex++
	size := e.sizes[strings.ToLower(p.Size)]
	m := Machine{
		Node: e.nodeName(p.Name, index), ProviderID: e.providerID(p.Name, index), ResourceID: e.resourceID(p.Name, index),
		Pool: p.Name, Size: size.Name, GPUs: size.GPUs, GPUResource: size.gpuResource(), Labels: e.nodeLabels(p, size, index), NoNode: d.noNode,
	}
	if d.noGPU {
		m.GPUs = 0
	}
	taints, _ := p.Properties["nodeTaints"].([]any)
	for _, t := range taints {
		if text, ok := t.(string); ok {
			m.Taints = append(m.Taints, text)
		}
	}
	if p.spot() {
		m.Taints = append(m.Taints, "kubernetes.azure.com/scalesetpriority=spot:NoSchedule")
	}
	return m
}

// nodeLabels are those of the service, of NVIDIA's feature discovery, and the pool's.
func (e *Emulator) nodeLabels(p *pool, size Size, index int) map[string]string {
	zone := "0"
	if zones, _ := p.Properties["availabilityZones"].([]any); len(zones) > 0 {
		zone = fmt.Sprintf("%s-%v", e.o.Region, zones[index%len(zones)])
	}
	labels := map[string]string{
		"agentpool": p.Name, "kubernetes.azure.com/agentpool": p.Name, "kubernetes.azure.com/role": "agent",
		"kubernetes.azure.com/mode":        strings.ToLower(fmt.Sprint(p.Properties["mode"])),
		"kubernetes.azure.com/os-sku":      fmt.Sprint(p.Properties["osSKU"]),
		"node.kubernetes.io/instance-type": size.Name,
		"topology.kubernetes.io/region":    e.o.Region, "topology.kubernetes.io/zone": zone,
	}
	if group := e.NodeGroup(); len(group) <= 63 {
		labels["kubernetes.azure.com/cluster"] = group
	}
	if p.spot() {
		labels["kubernetes.azure.com/scalesetpriority"] = "spot"
	}
	if size.GPUs > 0 {
		maps.Copy(labels, gpuLabels(size))
	}
	given, _ := p.Properties["nodeLabels"].(map[string]any)
	for k, v := range given {
		labels[k] = fmt.Sprint(v)
	}
	return labels
}

// gpuLabels are those of the vendor's own labeller.
func gpuLabels(size Size) map[string]string {
	if size.Target != "" {
		const half, mibPerGiB = 512, 1024
		return map[string]string{
			"amd.com/gpu.product-name": strings.ReplaceAll(size.Product, "-", "_"),
			"amd.com/gpu.vram":         strconv.Itoa((size.MemoryMiB+half)/mibPerGiB) + "G",
		}
	}
	labels := map[string]string{
		"accelerator": "nvidia", "kubernetes.azure.com/accelerator": "nvidia",
		"nvidia.com/gpu.count": strconv.Itoa(size.GPUs), "nvidia.com/gpu.product": size.Product,
		"nvidia.com/gpu.memory": strconv.Itoa(size.MemoryMiB),
	}
	if major, minor, ok := strings.Cut(size.Capability, "."); ok {
		labels["nvidia.com/gpu.compute.major"], labels["nvidia.com/gpu.compute.minor"] = major, minor
	}
	return labels
}
