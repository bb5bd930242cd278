package model

import (
	"regexp"
	"strings"
)

// IDOf makes the id of a model in a catalog of what its publisher calls it: the last part of
// owner/name, or a file or folder. It is a name that an image may have, whatever it is made of.
func IDOf(name string) string {
	const most = 128
	name = strings.ToLower(name[strings.LastIndexAny(name, "/")+1:])
	name = strings.TrimSuffix(name, ".gguf")
	id := between.ReplaceAllString(outside.ReplaceAllString(name, "-"), "$1")
	if id = strings.Trim(id[:min(len(id), most)], "-."); id == "" {
		return "model"
	}
	return id
}

var (
	outside = regexp.MustCompile(`[^a-z0-9.-]+`)
	// between are dots and dashes beside each other, of which an id has one.
	between = regexp.MustCompile(`([.-])[.-]+`)
)
