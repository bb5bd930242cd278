// Package instance knows the machines that clouds offer: what their providers publish of
// them. It is what can be known of a node that does not exist yet, or whose GPUs nothing
// has looked at.
package instance

import (
	"cmp"
	_ "embed" // the table
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/near"
)

// The project's inventory of the types that providers publish, with NVIDIA's compute
// capabilities and the instruction sets of AMD's GPUs; ND MI300X v5 and G4ad are as the pages of
// Microsoft and AWS on them say. Processors, memory and family of quota are those that AKS lists for its node
// sizes (read in .NET Aspire 13.3, which generates them from Azure). Retired are those of Azure's NCv3 series, whose end was
// 30 September 2025. Types without GPUs are a selection: Azure's Dsv5, Esv5 and Fsv2.
//
//go:embed instances.json
var table []byte

// Type is one kind of machine.
type Type struct {
	// Cloud is the provider: azure, aws, arc.
	Cloud string `json:"cloud"`
	// Name is what the provider calls it.
	Name string `json:"name"`
	// Sold is what the provider sells it as where inventories call it otherwise; it is found
	// by either name.
	Sold string `json:"sold,omitempty"`
	// CPUs and RAMGiB are the machine's virtual processors and memory; 0 is not known.
	CPUs   int     `json:"cpus"`
	RAMGiB float64 `json:"ramGiB"`
	// GPUs is the number of GPUs, GPU their name.
	GPUs int    `json:"gpus"`
	GPU  string `json:"gpu"`
	// MemoryGiB is the nominal memory of each GPU: what the vendor prints on the box.
	MemoryGiB float64 `json:"memoryGiB"`
	// Capability is the compute capability of NVIDIA's GPUs, such as 8.0.
	Capability string `json:"capability"`
	// Target is the instruction set of AMD's GPUs, such as gfx942; of a type with one the GPUs
	// are AMD's.
	Target string `json:"target,omitempty"`
	// Family is what the cloud counts its quota by; empty is not known.
	Family string `json:"family,omitempty"`
	// Retired types are sold no more.
	Retired bool `json:"retired,omitempty"`
}

// Table finds types by name, in any case.
type Table struct {
	byName map[string]Type
	// all is in the order of the file: by cloud and name.
	all []Type
}

// Load reads the table that is part of the program.
func Load() (*Table, error) {
	var all []Type
	if err := json.Unmarshal(table, &all); err != nil {
		return nil, fmt.Errorf("read the table of instance types: %w", err)
	}
	return (&Table{}).With(all)
}

// With is the table with further types, of which none may be there already.
func (t *Table) With(more []Type) (*Table, error) {
	next := &Table{byName: maps.Clone(t.byName), all: slices.Clone(t.all)}
	if next.byName == nil {
		next.byName = map[string]Type{}
	}
	for _, one := range more {
		key := strings.ToLower(one.Name)
		if _, twice := next.byName[key]; twice {
			return nil, fmt.Errorf("two instance types are called %q", one.Name)
		}
		if !one.whole() {
			return nil, fmt.Errorf("instance type %q is not whole: it has a name; without GPUs cpus and ramGiB; with GPUs gpus, memoryGiB, and capability or, of AMD, target", one.Name)
		}
		next.byName[key] = one
		if sold := strings.ToLower(one.Sold); sold != "" {
			if _, twice := next.byName[sold]; twice {
				return nil, fmt.Errorf("two instance types are called %q", one.Sold)
			}
			next.byName[sold] = one
		}
		next.all = append(next.all, one)
	}
	return next, nil
}

// Parse reads types as the table writes them: a list in JSON; empty is none.
func Parse(text string) ([]Type, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var all []Type
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("read instance types: %w", err)
	}
	return all, nil
}

// SoldAs is what its provider calls a type.
func (t Type) SoldAs() string { return cmp.Or(t.Sold, t.Name) }

// Near are names of types that may have been meant by one that nobody knows.
func (t *Table) Near(name string) []string {
	if t == nil {
		return nil
	}
	names := make([]string, 0, len(t.all))
	for _, one := range t.all {
		names = append(names, one.Name)
	}
	return near.Names(name, names)
}

// Lookup finds a type by name, in any case. A nil table holds none.
func (t *Table) Lookup(name string) (Type, bool) {
	if t == nil {
		return Type{}, false
	}
	one, ok := t.byName[strings.ToLower(name)]
	return one, ok
}

// Names are the names of a cloud's types, sorted.
func (t *Table) Names(cloud string) []string {
	if t == nil {
		return nil
	}
	var names []string
	for _, one := range t.all {
		if one.Cloud == cloud {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return names
}

// All are the types of all clouds, by cloud and name.
func (t *Table) All() []Type {
	if t == nil {
		return nil
	}
	return slices.Clone(t.all)
}

// Successors are at most two types of the same cloud that are sold and take what fitted on a
// type: each GPU has at least its memory and capability, and all together at least as much.
// Those with the least memory to spare come first, each with another GPU. Unknown types and
// those without GPUs have none.
func (t *Table) Successors(name string) []string {
	const most = 2
	old, ok := t.Lookup(name)
	if !ok || old.GPUs == 0 {
		return nil
	}
	var fit []Type
	for _, one := range t.all {
		if one.Cloud == old.Cloud && one.Name != old.Name && !one.Retired && one.replaces(old) {
			fit = append(fit, one)
		}
	}
	slices.SortStableFunc(fit, func(a, b Type) int {
		return cmp.Or(
			cmp.Compare(a.totalGiB(), b.totalGiB()),
			cmp.Compare(missing(a, old), missing(b, old)),
			cmp.Compare(a.CPUs, b.CPUs),
		)
	})
	var names, gpus []string
	for _, one := range fit {
		if len(names) < most && !slices.Contains(gpus, one.GPU) {
			names, gpus = append(names, one.Name), append(gpus, one.GPU)
		}
	}
	return names
}

// replaces says whether what fitted on old fits on a type.
func (t Type) replaces(old Type) bool {
	mine, its := capability(t.Capability), capability(old.Capability)
	newer := mine.Major > its.Major || mine.Major == its.Major && mine.Minor >= its.Minor
	return newer && t.Target == old.Target && t.MemoryGiB >= old.MemoryGiB && t.totalGiB() >= old.totalGiB()
}

func (t Type) totalGiB() float64 { return float64(t.GPUs) * t.MemoryGiB }

// missing is how many processors fewer than old a type has.
func missing(t, old Type) int { return max(0, old.CPUs-t.CPUs) }

// sane is false of amounts that no machine has.
func (t Type) sane() bool {
	const mostCPUs, mostGiB, mostGPUs = 1 << 16, 1 << 20, 1 << 10
	return t.CPUs >= 0 && t.CPUs <= mostCPUs && t.RAMGiB >= 0 && t.RAMGiB <= mostGiB && t.GPUs <= mostGPUs && t.MemoryGiB <= mostGiB
}

// whole says whether all is known that a plan needs.
func (t Type) whole() bool {
	if t.Name == "" || !t.sane() {
		return false
	}
	if t.GPUs == 0 {
		return t.CPUs > 0 && t.RAMGiB > 0 && t.GPU == "" && t.MemoryGiB == 0 && t.Capability == "" && t.Target == ""
	}
	return t.GPUs > 0 && t.MemoryGiB > 0 && capability(t.Capability).Known() != (t.Target != "")
}

// Shape is what a type's GPUs look like to the planner: with the memory that a driver would show.
func (t Type) Shape() model.GPUs {
	if t.GPUs == 0 {
		return model.GPUs{}
	}
	return model.GPUs{
		Count: t.GPUs, Product: t.GPU, Capability: capability(t.Capability), Target: t.Target,
		Memory: model.Nominal(t.MemoryGiB), Resource: t.amd(),
	}
}

// Resource is what pods ask for to get one of its GPUs; empty without GPUs.
func (t Type) Resource() string {
	if t.GPUs == 0 {
		return ""
	}
	return model.ResourceOf(t.amd())
}

// amd is the resource of AMD's GPUs, or empty.
func (t Type) amd() string {
	if t.Target == "" {
		return ""
	}
	return model.ResourceAMD
}

func capability(text string) model.Capability {
	var c model.Capability
	if _, err := fmt.Sscanf(text, "%d.%d", &c.Major, &c.Minor); err != nil {
		return model.Capability{}
	}
	return c
}
