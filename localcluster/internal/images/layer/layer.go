// Package layer turns a folder tree into a reproducible image layer. The same
// content gives the same bytes on every machine: entries are sorted, times are
// fixed, owners are numbers, and what a build leaves behind by accident (caches,
// logs, host names) is removed first.
//
// File capabilities and other extended attributes are not kept: pods of the
// restricted kind could not use them.
package layer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Epoch is the time of every entry of a layer, and the SOURCE_DATE_EPOCH of the
// Dockerfiles: 2025-12-01 00:00 UTC. Python's compiled files do not depend on it,
// since SOURCE_DATE_EPOCH makes them carry the hash of their source.
const Epoch = 1764547200

// Entry is what a layer holds at one path.
type Entry struct {
	// Type is the tar type flag.
	Type byte `json:"type"`
	// Mode holds the permission bits with setuid, setgid and sticky.
	Mode int64 `json:"mode"`
	UID  int   `json:"uid"`
	GID  int   `json:"gid"`
	Size int64 `json:"size,omitempty"`
	// Link is the target of a symbolic link.
	Link string `json:"link,omitempty"`
	// Sum is the SHA-256 of a regular file.
	Sum string `json:"sum,omitempty"`
}

// Index lists the entries of a tree by their path without a leading slash.
type Index map[string]Entry

// node is one path of the tree that is being written.
type node struct {
	path  string
	full  string
	entry Entry
	inode uint64
	links uint64
}

// Write writes the tree under root as a tar stream and returns its index. With a
// base, only what differs from it is written, with whiteouts for what is gone, and
// the index has no sums for files that cannot be the same as in the base.
func Write(w io.Writer, root string, base Index) (Index, error) {
	nodes, err := scan(root)
	if err != nil {
		return nil, err
	}
	index := Index{}
	for i := range nodes {
		n := &nodes[i]
		was, known := base[n.path]
		if n.entry.Type == tar.TypeReg && (base == nil || (known && was.Size == n.entry.Size)) {
			if n.entry.Sum, err = sum(n.full); err != nil {
				return nil, err
			}
		}
		index[n.path] = n.entry
	}
	o := &writer{tar: tar.NewWriter(w), first: map[uint64]string{}}
	for _, n := range changed(nodes, index, base) {
		if err := o.add(n); err != nil {
			return nil, fmt.Errorf("write %q: %w", n.path, err)
		}
	}
	return index, o.tar.Close()
}

// scan lists the tree in sorted order. Devices, sockets and pipes are left out:
// the container runtime makes its own.
func scan(root string) ([]node, error) {
	var nodes []node
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		n := node{path: filepath.ToSlash(rel), full: p}
		switch mode := info.Mode(); {
		case mode.IsRegular():
			n.entry.Type, n.entry.Size = tar.TypeReg, info.Size()
		case mode.IsDir():
			n.entry.Type = tar.TypeDir
		case mode&fs.ModeSymlink != 0:
			n.entry.Type = tar.TypeSymlink
			if n.entry.Link, err = os.Readlink(p); err != nil {
				return err
			}
		default:
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("stat %q: owner and links are not known on this system", p)
		}
		n.entry.UID, n.entry.GID = int(st.Uid), int(st.Gid)
		n.entry.Mode = int64(st.Mode & 0o7777)
		if n.entry.Type == tar.TypeSymlink {
			n.entry.Mode = 0o777
		}
		n.inode, n.links = st.Ino, st.Nlink
		nodes = append(nodes, n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the tree %q: %w", root, err)
	}
	// By path, a folder before what is in it: WalkDir sorts names within a folder only.
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.path, b.path) })
	return nodes, nil
}

// changed picks the nodes that differ from base, the folders above them, and a
// whiteout for each path of base that is gone. Without a base it is everything.
func changed(nodes []node, index, base Index) []node {
	wanted := map[string]bool{}
	need := func(p string) {
		for ; p != "." && !wanted[p]; p = path.Dir(p) {
			wanted[p] = true
		}
	}
	for _, n := range nodes {
		if was, ok := base[n.path]; !ok || was != n.entry {
			need(n.path)
		}
	}
	out := whiteouts(index, base)
	for _, n := range out {
		need(path.Dir(n.path))
	}
	for _, n := range nodes {
		if wanted[n.path] {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b node) int { return strings.Compare(a.path, b.path) })
	return out
}

// whiteouts lists what hides the paths of base that are gone. What was in a folder
// that is gone, or is no folder any more, needs none.
func whiteouts(index, base Index) []node {
	var out []node
	for gone := range base {
		parent := path.Dir(gone)
		_, still := index[gone]
		if above, ok := index[parent]; still || (parent != "." && (!ok || above.Type != tar.TypeDir)) {
			continue
		}
		out = append(out, node{path: path.Join(parent, ".wh."+path.Base(gone)), entry: Entry{Type: tar.TypeReg}})
	}
	return out
}

// writer writes nodes and remembers the first path of each hard link in this layer.
type writer struct {
	tar   *tar.Writer
	first map[uint64]string
}

func (w *writer) add(n node) error {
	e := n.entry
	h := &tar.Header{
		Name: n.path, Typeflag: e.Type, Mode: e.Mode, Uid: e.UID, Gid: e.GID, Size: e.Size, Linkname: e.Link,
		ModTime: time.Unix(Epoch, 0).UTC(), Format: tar.FormatPAX,
	}
	switch {
	case e.Type == tar.TypeDir:
		h.Name += "/"
	case e.Type == tar.TypeReg && n.links > 1:
		if target, ok := w.first[n.inode]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, target, 0
		} else {
			w.first[n.inode] = n.path
		}
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg || h.Size == 0 {
		return nil
	}
	f, err := os.Open(n.full)
	if err != nil {
		return err
	}
	_, err = io.Copy(w.tar, f)
	return errors.Join(err, f.Close())
}

// sum answers the SHA-256 of a file in hexadecimal.
func sum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("hash %q: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
