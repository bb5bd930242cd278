package instance

import (
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// cut is how a kind of GPUs can be cut into slices: how many of each profile one GPU gives.
type cut struct {
	// name is a part of the GPUs' name, gib their nominal memory.
	name string
	gib  float64
	// profiles are the profiles with how many of them there are.
	profiles map[string]int
}

// cuts are NVIDIA's multi-instance GPUs (MIG user guide, supported MIG profiles), without
// those that share compute or have media engines.
func cuts() []cut {
	return []cut{
		{"A30", 24, map[string]int{"1g.6gb": 4, "2g.12gb": 2, "4g.24gb": 1}},
		{"A100", 40, map[string]int{"1g.5gb": 7, "1g.10gb": 4, "2g.10gb": 3, "3g.20gb": 2, "4g.20gb": 1, "7g.40gb": 1}},
		{"A100", 80, map[string]int{"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1}},
		{"H100", 80, map[string]int{"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1}},
		{"H100", 94, map[string]int{"1g.12gb": 7, "1g.24gb": 4, "2g.24gb": 3, "3g.47gb": 2, "4g.47gb": 1, "7g.94gb": 1}},
		{"H200", 141, map[string]int{"1g.18gb": 7, "1g.35gb": 4, "2g.35gb": 3, "3g.71gb": 2, "4g.71gb": 1, "7g.141gb": 1}},
		{"B200", 180, map[string]int{"1g.23gb": 7, "1g.45gb": 4, "2g.45gb": 3, "3g.90gb": 2, "4g.90gb": 1, "7g.180gb": 1}},
	}
}

// Profiles are the slices that a type's GPUs can be cut into, sorted; none cannot be cut.
func (t Type) Profiles() []string {
	var all []string
	for _, c := range cuts() {
		if strings.Contains(t.GPU, c.name) && t.MemoryGiB == c.gib {
			for profile := range c.profiles {
				all = append(all, profile)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Slices is what a type's GPUs look like to the planner once all are cut into slices of a
// profile, or false where they cannot be.
func (t Type) Slices(profile string) (model.GPUs, bool) {
	for _, c := range cuts() {
		each, ok := c.profiles[profile]
		if !ok || !strings.Contains(t.GPU, c.name) || t.MemoryGiB != c.gib {
			continue
		}
		g := t.Shape()
		g.Count, g.Memory = g.Count*each, model.SliceMemory(profile)
		g.Resource, g.Slice, g.Product = model.ResourceSlice+profile, profile, t.GPU+" MIG "+profile
		return g, true
	}
	return model.GPUs{}, false
}
