package armemulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// poolBody is a pool as the service shows it; mu is held.
func (e *Emulator) poolBody(p *pool) map[string]any {
	properties := maps.Clone(p.Properties)
	maps.Copy(properties, map[string]any{
		"count": p.Count, "vmSize": p.Size, "provisioningState": p.State, "eTag": p.ETag,
		"currentOrchestratorVersion": p.Properties["orchestratorVersion"],
		"nodeImageVersion":           "AKSUbuntu-2204gen2containerd-202509.01.0",
	})
	return map[string]any{
		"id": e.poolID(p.Name), "name": p.Name, "type": "Microsoft.ContainerService/managedClusters/agentPools",
		"properties": properties,
	}
}

// poolBodies are all pools by name; mu is held.
func (e *Emulator) poolBodies() []map[string]any {
	var all []map[string]any
	for _, name := range slices.Sorted(maps.Keys(e.state.Pools)) {
		all = append(all, e.poolBody(e.state.Pools[name]))
	}
	return all
}

// Pools are all agent pools as the service shows them, by name.
func (e *Emulator) Pools() []map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle(e.o.Clock.Now())
	return e.poolBodies()
}

// seen are the pools as a read finds them: now, or as a fault has kept them.
func (e *Emulator) seen(c *call) []map[string]any {
	if p := e.strike(c, DoStale); p != nil {
		return p.snapshot
	}
	return e.Pools()
}

func (e *Emulator) get(c *call) reply {
	for _, p := range e.seen(c) {
		if p["name"] == c.pool {
			return reply{status: http.StatusOK, body: p}
		}
	}
	return e.refuse(e.say("pool-not-found"))
}

func (e *Emulator) list(c *call) reply { return e.page(c, e.seen(c)) }

// page is one page of a list, with the address of the next one.
func (e *Emulator) page(c *call, all []map[string]any) reply {
	name := func(i int) string { text, _ := all[i]["name"].(string); return text }
	from := 0
	if after := c.r.URL.Query().Get("$skipToken"); after != "" {
		for from < len(all) && strings.Compare(name(from), after) <= 0 {
			from++
		}
	}
	to := min(from+e.o.PageSize, len(all))
	body := map[string]any{"value": append([]map[string]any{}, all[from:to]...)}
	if to < len(all) {
		query := url.Values{"api-version": c.r.URL.Query()["api-version"], "$skipToken": {name(to - 1)}}
		body["nextLink"] = c.link("%s?%s", c.r.URL.EscapedPath(), query.Encode())
	}
	return reply{status: http.StatusOK, body: body}
}

// machines lists the machines of a pool, or shows one.
func (e *Emulator) machines(c *call) reply {
	e.mu.Lock()
	e.settle(e.o.Clock.Now())
	var all []map[string]any
	p := e.state.Pools[c.pool]
	if p != nil {
		for _, m := range p.Machines {
			all = append(all, map[string]any{
				"id": e.poolID(p.Name) + "/machines/" + m.Node, "name": m.Node,
				"type":       "Microsoft.ContainerService/managedClusters/agentPools/machines",
				"properties": map[string]any{"resourceId": m.ResourceID, "network": map[string]any{"ipAddresses": []any{}}},
			})
		}
	}
	e.mu.Unlock()
	switch {
	case p == nil:
		return e.refuse(e.say("pool-not-found"))
	case c.verb == VerbListMachines:
		return e.page(c, all)
	}
	for _, m := range all {
		if m["name"] == c.machine {
			return reply{status: http.StatusOK, body: m}
		}
	}
	return e.refuse(e.say("machine-not-found", "machine", c.machine, "pool", c.pool))
}

// cluster shows the managed cluster, or lists it as the only one.
func (e *Emulator) cluster(c *call) reply {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle(e.o.Clock.Now())
	var profiles []map[string]any
	for _, p := range e.poolBodies() {
		profile, _ := p["properties"].(map[string]any)
		profile["name"] = p["name"]
		profiles = append(profiles, profile)
	}
	one := map[string]any{
		"id": e.clusterID(), "name": e.o.Cluster, "type": "Microsoft.ContainerService/ManagedClusters", "location": e.o.Region,
		"properties": map[string]any{
			"provisioningState": stateSucceeded, "powerState": map[string]any{"code": "Running"},
			"kubernetesVersion": e.o.KubernetesVersion, "currentKubernetesVersion": e.o.KubernetesVersion,
			"nodeResourceGroup": e.NodeGroup(), "agentPoolProfiles": profiles,
		},
	}
	if c.verb == VerbGetCluster {
		return reply{status: http.StatusOK, body: one}
	}
	return reply{status: http.StatusOK, body: map[string]any{"value": []any{one}}}
}
