package catalog

import (
	"strings"

	"kaito.sh/kaito/internal/near"
)

// Near are the ids of at most three models that a user may have meant, best first.
func (c *Catalog) Near(name string) []string {
	name = strings.ToLower(name)
	// The owner of a hub id is no part of our ids.
	return near.Names(name[strings.LastIndex(name, "/")+1:], c.IDs())
}
