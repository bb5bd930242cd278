package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// notesDir stands in the image layout. Tools that read layouts ignore it.
const notesDir = ".uploads"

// notes remember an upload that has begun, so that the next run of the program
// can go on with it. Losing them costs a new upload and nothing else. Without a
// path they last as long as the program.
type notes struct {
	path   string
	memory string
	notice func(string)
}

// note is the content of the file.
type note struct {
	Location string `json:"location"`
}

// notesFor are the notes of one blob on its way to one repository; they stand in dir,
// if there is one.
func notesFor(dir string, repo name.Repository, digest v1.Hash, notice func(string)) *notes {
	if dir == "" {
		return &notes{notice: notice}
	}
	sum := sha256.Sum256([]byte(repo.String()))
	return &notes{path: filepath.Join(dir, notesDir, digest.Hex[:16]+"-"+hex.EncodeToString(sum[:8])+".json"), notice: notice}
}

// location is where the remembered upload goes on; empty when there is none.
func (n *notes) location() string {
	if n.path == "" {
		return n.memory
	}
	raw, err := os.ReadFile(n.path)
	if err != nil {
		return ""
	}
	var x note
	if json.Unmarshal(raw, &x) != nil {
		return ""
	}
	return x.Location
}

// keep writes the location down. The file is whole or not there.
func (n *notes) keep(location string) {
	if n.path == "" {
		n.memory = location
		return
	}
	raw, err := json.Marshal(note{Location: location})
	if err == nil {
		err = os.MkdirAll(filepath.Dir(n.path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(n.path+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(n.path+".new", n.path)
	}
	if err != nil {
		n.notice(fmt.Sprintf("remember the upload: %v; if it is cut now, it starts anew", err))
	}
}

// forget removes the notes, and their folder with the last of them.
func (n *notes) forget() {
	n.memory = ""
	if n.path == "" {
		return
	}
	_ = os.Remove(n.path)
	_ = os.Remove(filepath.Dir(n.path))
}
