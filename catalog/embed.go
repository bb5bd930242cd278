// Package catalog holds the models that Kaito ships: one YAML file a model, facts
// only. It has no logic; internal/catalog reads it.
package catalog

import "embed"

// Files are the YAML files of this folder.
//
//go:embed *.yaml
var Files embed.FS

// Lines are the same models in JSON, one a line, made from the files by internal/catalog/gen.
//
//go:embed models.jsonl
var Lines []byte
