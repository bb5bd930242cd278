package fetch

import (
	"errors"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ours is the folder, below the one with the weights, for what is not finished and
// for the record of what is.
const ours = ".kaito"

// maxName is what every file system takes of a path.
const maxName = 1024

// CheckName says why name cannot be the path of a file of the model. Names come from
// strangers; they become paths on our disk and words in our log.
func CheckName(name string) error {
	first, _, _ := strings.Cut(name, "/")
	switch {
	case name == "" || len(name) > maxName:
		return errors.New("it has no name, or one that is too long")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`):
		return errors.New("its name holds letters that no such file has")
	case path.IsAbs(name) || !filepath.IsLocal(name) || path.Clean(name) != name || name == ".":
		return errors.New("its name leads out of the folder")
	case first == ours:
		return errors.New("its name is kept for the runner")
	}
	return nil
}
