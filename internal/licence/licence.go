// Package licence names the licences of models: by the ids that hubs and GGUF files use, by
// a model card, and by the licence's own text.
package licence

import (
	"bytes"
	"regexp"
	"strings"
)

// Unnamed stands for a licence text that we do not recognise. It is a
// valid SPDX reference to the file that travels along.
const Unnamed = "LicenseRef-LICENSE"

// spdxIDs are the licences that models commonly carry, by the lower-case id that
// hubs and GGUF files use.
func spdxIDs() map[string]string {
	return map[string]string{
		"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause",
		"cc0-1.0": "CC0-1.0", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-4.0": "CC-BY-NC-4.0",
		"cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0", "gpl-3.0": "GPL-3.0-only", "agpl-3.0": "AGPL-3.0-only", "lgpl-3.0": "LGPL-3.0-only",
		"mpl-2.0": "MPL-2.0", "unlicense": "Unlicense", "isc": "ISC", "openrail": "LicenseRef-openrail",
	}
}

var notInReference = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// Of turns the id of a hub into an SPDX one. What SPDX does not list becomes
// a LicenseRef, so that the annotation stays a valid expression.
func Of(id string) string {
	id = strings.TrimSpace(id)
	if id == "" {
		return ""
	}
	if spdx, ok := spdxIDs()[strings.ToLower(id)]; ok {
		return spdx
	}
	if strings.HasPrefix(id, "LicenseRef-") {
		return id
	}
	return "LicenseRef-" + strings.Trim(notInReference.ReplaceAllString(id, "-"), "-")
}

// licenseText is how a licence begins.
type licenseText struct {
	spdx  string
	words []string
}

// licenseTexts recognises a licence by words that stand near its beginning.
func licenseTexts() []licenseText {
	return []licenseText{
		{"Apache-2.0", []string{"apache license", "version 2.0"}},
		{"MIT", []string{"permission is hereby granted, free of charge", "without restriction"}},
		{"AGPL-3.0-only", []string{"gnu affero general public license", "version 3"}},
		{"LGPL-3.0-only", []string{"gnu lesser general public license", "version 3"}},
		{"GPL-3.0-only", []string{"gnu general public license", "version 3"}},
		{"MPL-2.0", []string{"mozilla public license", "version 2.0"}},
		{"CC0-1.0", []string{"cc0 1.0 universal"}},
		{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name"}},
		{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}},
	}
}

// OfText names the licence whose text this is, or Unnamed.
func OfText(text []byte) string {
	head := strings.ToLower(string(text[:min(len(text), 4096)]))
	head = strings.Join(strings.Fields(head), " ")
	for _, l := range licenseTexts() {
		all := true
		for _, w := range l.words {
			all = all && strings.Contains(head, w)
		}
		if all {
			return l.spdx
		}
	}
	return Unnamed
}

var cardLicense = regexp.MustCompile(`(?m)^license:\s*["']?([A-Za-z0-9._-]+)["']?\s*$`)

// OfCard reads the licence from the front matter of a model card, README.md.
func OfCard(card []byte) string {
	rest, ok := bytes.CutPrefix(card, []byte("---\n"))
	if !ok {
		return ""
	}
	front, _, ok := bytes.Cut(rest, []byte("\n---"))
	if !ok {
		return ""
	}
	m := cardLicense.FindSubmatch(front)
	if m == nil || string(m[1]) == "other" {
		return ""
	}
	return Of(string(m[1]))
}

// Redistributable says whether anybody may put what is under the licence into a registry of
// their own: true for those that say so without conditions on use, false for no or not known.
func Redistributable(spdx string) bool {
	switch spdx {
	case "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "ISC", "MPL-2.0", "Unlicense":
		return true
	}
	return false
}
