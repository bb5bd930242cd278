// Package flags knows what the servers take on their command lines: one table a
// version, made from the program itself, never typed by hand. It reads and writes
// command lines, and says which value a flag refuses.
package flags

import (
	_ "embed" // the tables
	"encoding/json"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/near"
)

//go:generate go run ./gen -help-text testdata/llama-server-0.7.0-help.txt -llama-version 0.7.0 -out llama-server-0.7.0.json

// Kind is how a server reads the value of a flag.
type Kind string

// The kinds of values.
const (
	// Switch takes no value.
	Switch Kind = "switch"
	// Int is a whole number.
	Int Kind = "int"
	// Float is a number with or without a point.
	Float Kind = "float"
	// Size is a whole number, or one with a unit: 32k, 32K, 25.6k.
	Size Kind = "size"
	// SizeOrAuto is a Size or auto.
	SizeOrAuto Kind = "sizeOrAuto"
	// JSON is a JSON value.
	JSON Kind = "json"
	// JSONOrText is a JSON object or any text.
	JSONOrText Kind = "jsonOrText"
	// Text is anything.
	Text Kind = "text"
)

// Many is how several values are given to one flag.
type Many string

// The ways to give several values.
const (
	// List is `--flag a b`.
	List Many = "list"
	// Repeat is `--flag a --flag b`.
	Repeat Many = "repeat"
	// Commas is `--flag a,b`.
	Commas Many = "commas"
)

// Flag is one flag of a server, as its table says.
type Flag struct {
	// Name is its first long name, without dashes.
	Name string `json:"name"`
	// Kind is how its value is read.
	Kind Kind `json:"kind"`
	// Also are its further long names.
	Also []string `json:"also,omitempty"`
	// Off is the long name that turns a switch off.
	Off string `json:"off,omitempty"`
	// Many is set where several values may be given.
	Many Many `json:"many,omitempty"`
	// Keys are the only keys of a JSON object, where the server knows them.
	Keys []string `json:"keys,omitempty"`
	// Choices are the only values.
	Choices []string `json:"choices,omitempty"`
	// Open is a flag by which a user brings values that are not among the choices.
	Open string `json:"open,omitempty"`
}

// Table is what one version of a server takes.
type Table struct {
	// Engine is the name of the engine in plans.
	Engine string `json:"engine"`
	// Version is that of the program.
	Version string `json:"version"`
	// Source says where the table is from.
	Source string `json:"source"`
	// Flags are sorted by name.
	Flags []Flag `json:"flags"`
	// Architectures are those of the models that it serves, sorted; empty where a
	// server does not name them.
	Architectures []string `json:"architectures,omitempty"`
}

//go:embed vllm-0.33.0.json
var vllmTable []byte

//go:embed llama-server-0.7.0.json
var llamaServerTable []byte

// VLLM is the table of `vllm serve`.
func VLLM() Table { return load(vllmTable) }

// LlamaServer is the table of llama.cpp's llama-server.
func LlamaServer() Table { return load(llamaServerTable) }

func load(data []byte) Table {
	var t Table
	if err := json.Unmarshal(data, &t); err != nil {
		panic("an embedded table is JSON: " + err.Error())
	}
	return t
}

// Find is the flag of a name, with dashes or underscores, and whether the name turns it off.
func (t Table) Find(name string) (flag Flag, off, ok bool) {
	name = strings.ReplaceAll(name, "_", "-")
	for _, f := range t.Flags {
		switch {
		case f.Name == name || slices.Contains(f.Also, name):
			return f, false, true
		case f.Off != "" && (f.Off == name || "no-"+f.Name == name):
			return f, true, true
		}
	}
	return Flag{}, false, false
}

// Near is the name of the flag that somebody may have meant, or nothing.
func (t Table) Near(name string) string {
	var known []string
	for _, f := range t.Flags {
		known = append(append(known, f.Name), f.Also...)
	}
	if names := near.Names(strings.ReplaceAll(name, "_", "-"), known); len(names) > 0 {
		return names[0]
	}
	return ""
}

// Serves says whether the server has code for an architecture.
func (t Table) Serves(architecture string) bool {
	_, found := slices.BinarySearch(t.Architectures, architecture)
	return found
}
