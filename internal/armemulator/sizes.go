package armemulator

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kaito.sh/kaito/internal/instance"
)

// Size is a kind of virtual machine.
type Size struct {
	Name string `json:"name"`
	// Family is what its quota is counted by; derived from the name when empty.
	Family string `json:"family,omitempty"`
	// VCPUs is the number of virtual CPUs; derived from the name when 0.
	VCPUs int `json:"vcpus,omitempty"`
	// GPUs is how many GPUs it has, and what feature discovery says of each.
	GPUs       int    `json:"gpus,omitempty"`
	Product    string `json:"product,omitempty"`
	MemoryMiB  int    `json:"memoryMiB,omitempty"`
	Capability string `json:"capability,omitempty"`
	// Target is the instruction set of AMD's GPUs; of a size with one they are AMD's.
	Target string `json:"target,omitempty"`
	// Retired sizes are sold no more.
	Retired bool `json:"retired,omitempty"`
}

// gpuResource is what AMD's device plugin calls the GPUs of a size with such; else empty.
func (s Size) gpuResource() string {
	if s.Target == "" {
		return ""
	}
	return "amd.com/gpu"
}

// Quotas are limits in virtual CPUs; one that is not there is no limit.
type Quotas struct {
	// Families are limits by family, in any case of letters.
	Families map[string]int `json:"families,omitempty"`
	// Regional is the limit of all families together, Spot that of spot machines.
	Regional *int `json:"regional,omitempty"`
	Spot     *int `json:"spot,omitempty"`
}

// knownSizes are Azure's of the table, and those added.
func knownSizes(table *instance.Table, added []Size) map[string]Size {
	known := map[string]Size{}
	add := func(s Size) {
		count, family := readName(s.Name)
		if s.VCPUs == 0 {
			s.VCPUs = count
		}
		if s.Family == "" {
			s.Family = family
		}
		known[strings.ToLower(s.Name)] = s
	}
	for _, name := range table.Names("azure") {
		t, _ := table.Lookup(name)
		shape := t.Shape()
		memory := int(shape.Memory >> 20)
		if t.Target != "" {
			memory = int(t.MemoryGiB * 1024) // AMD's labeller tells it whole
		}
		add(Size{
			Name: t.SoldAs(), VCPUs: t.CPUs, GPUs: t.GPUs, Product: strings.ReplaceAll(t.GPU, " ", "-"),
			MemoryMiB: memory, Capability: t.Capability, Target: t.Target, Retired: t.Retired,
		})
	}
	for _, s := range added {
		add(s)
	}
	return known
}

// sizeName takes a name apart: class and subclass, virtual CPUs, features, accelerator, version.
var sizeName = regexp.MustCompile(`^(?:Standard|Basic)_([A-Z]+)(\d+)(?:-\d+)?([a-z]*)(?:_([A-Z0-9]+))?(?:_v(\d+))?$`)

// readName derives the number of virtual CPUs and the family from a size's name, as Azure
// does for most: Standard_NC24ads_A100_v4 has 24 of StandardNCADSA100v4Family.
func readName(name string) (vcpus int, family string) {
	parts := sizeName.FindStringSubmatch(name)
	if parts == nil {
		return 1, "standard" + strings.ReplaceAll(strings.TrimPrefix(name, "Standard_"), "_", "") + "Family"
	}
	vcpus, err := strconv.Atoi(parts[2])
	if err != nil || vcpus < 1 {
		vcpus = 1
	}
	family = "Standard" + parts[1] + strings.ToUpper(parts[3]) + parts[4]
	if parts[5] != "" {
		family += "v" + parts[5]
	}
	return vcpus, family + "Family"
}

// offered are the names of the sizes that can be had in this region, in Azure's spelling
// of such lists.
func (e *Emulator) offered() string {
	var names []string
	for key, s := range e.sizes {
		if !s.Retired && !e.notHere(s.Name) {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func (e *Emulator) notHere(name string) bool {
	return slices.ContainsFunc(e.o.NotInRegion, func(n string) bool { return strings.EqualFold(n, name) })
}

// checkSize refuses a size that cannot be had at all.
func (e *Emulator) checkSize(name string) (Size, *refusal) {
	size, known := e.sizes[strings.ToLower(name)]
	switch {
	case !known:
		return size, e.say("size-not-supported", "size", name, "sizes", e.offered())
	case size.Retired:
		return size, e.say("size-retired", "size", name, "sizes", e.offered())
	case e.notHere(name):
		return size, e.say("sku-not-available", "size", size.Name)
	}
	return size, nil
}

// checkQuota refuses more virtual CPUs than may be had; more is how many machines are added.
func (e *Emulator) checkQuota(size Size, spot bool, more int) *refusal {
	want := size.VCPUs * more
	if want <= 0 {
		return nil
	}
	var family, regional, low int
	for _, p := range e.state.Pools {
		s := e.sizes[strings.ToLower(p.Size)]
		used := s.VCPUs * p.running()
		switch {
		case p.spot():
			low += used
		case strings.EqualFold(s.Family, size.Family):
			family += used
			fallthrough
		default:
			regional += used
		}
	}
	q := e.state.Quotas
	short := func(name string, limit, used int) *refusal {
		return e.say(name, "requested", strconv.Itoa(want), "remaining", strconv.Itoa(max(0, limit-used)), "family", size.Family)
	}
	if spot {
		if q.Spot != nil && low+want > *q.Spot {
			return short("quota-spot", *q.Spot, low)
		}
		return nil
	}
	if limit, limited := q.family(size.Family); limited && family+want > limit {
		return short("quota-family", limit, family)
	}
	if q.Regional != nil && regional+want > *q.Regional {
		return short("quota-region", *q.Regional, regional)
	}
	return nil
}

// running is how many machines of a pool count towards a quota: those of a failed one only
// where they are there.
func (p *pool) running() int {
	if p.State == stateFailed || p.State == stateCanceled {
		return len(p.Machines)
	}
	return p.Count
}

func (q Quotas) family(name string) (int, bool) {
	for family, limit := range q.Families {
		if strings.EqualFold(family, name) {
			return limit, true
		}
	}
	return 0, false
}
