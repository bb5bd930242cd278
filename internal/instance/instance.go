// Package instance knows the machines with GPUs that clouds offer: what their
// providers publish of them. It is what remains to be known of a node whose GPUs
// nothing has looked at.
package instance

import (
	_ "embed" // the table
	"encoding/json"
	"fmt"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// The project's inventory of the types that providers publish, with NVIDIA's compute
// capabilities. Retired are those of Azure's NCv3 series, whose end was 30 September 2025.
//
//go:embed instances.json
var table []byte

// Type is one kind of machine.
type Type struct {
	// Cloud is the provider: azure, aws, arc.
	Cloud string `json:"cloud"`
	// Name is what the provider calls it.
	Name string `json:"name"`
	// GPUs is the number of GPUs, GPU their name.
	GPUs int    `json:"gpus"`
	GPU  string `json:"gpu"`
	// MemoryGiB is the nominal memory of each GPU: what the vendor prints on the box.
	MemoryGiB float64 `json:"memoryGiB"`
	// Capability is the compute capability, such as 8.0.
	Capability string `json:"capability"`
	// Retired types are sold no more.
	Retired bool `json:"retired,omitempty"`
}

// Table finds types by name, in any case.
type Table struct {
	byName map[string]Type
}

// Load reads the table that is part of the program.
func Load() (*Table, error) {
	var all []Type
	if err := json.Unmarshal(table, &all); err != nil {
		return nil, fmt.Errorf("read the table of instance types: %w", err)
	}
	t := &Table{byName: map[string]Type{}}
	for _, one := range all {
		key := strings.ToLower(one.Name)
		if _, twice := t.byName[key]; twice {
			return nil, fmt.Errorf("two instance types are called %q", one.Name)
		}
		if c := capability(one.Capability); !c.Known() || one.GPUs < 1 || one.MemoryGiB <= 0 {
			return nil, fmt.Errorf("instance type %q is not whole", one.Name)
		}
		t.byName[key] = one
	}
	return t, nil
}

// Lookup finds a type by name, in any case. A nil table holds none.
func (t *Table) Lookup(name string) (Type, bool) {
	if t == nil {
		return Type{}, false
	}
	one, ok := t.byName[strings.ToLower(name)]
	return one, ok
}

// Shape is what a type's GPUs look like to the planner: with the memory that a driver would show.
func (t Type) Shape() model.GPUs {
	return model.GPUs{
		Count: t.GPUs, Product: t.GPU, Capability: capability(t.Capability),
		Memory: model.Nominal(t.MemoryGiB),
	}
}

func capability(text string) model.Capability {
	var c model.Capability
	if _, err := fmt.Sscanf(text, "%d.%d", &c.Major, &c.Minor); err != nil {
		return model.Capability{}
	}
	return c
}
