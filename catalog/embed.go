// Package catalog holds the models that Kaito ships: one YAML file a model, facts
// only. It is a file system without logic; internal/catalog reads it.
package catalog

import "embed"

// Files are the YAML files of this folder.
//
//go:embed *.yaml
var Files embed.FS
