package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"

	"kaito.sh/kaito/internal/runner/fetch"
)

// Bounds of what a hub may tell us.
const (
	maxAnswer = 16 << 20
	maxPages  = 200
	maxFiles  = 100_000
)

// file is one file of a commit.
type file struct {
	path   string
	size   int64
	digest fetch.Digest
}

// entry is an element of the list as the hub writes it. Large files are in LFS and
// carry their own SHA-256, small ones the name of their git blob.
type entry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	OID  string `json:"oid"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// gitCommit is what names a commit for ever.
var gitCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// commit finds the commit behind the revision.
func (s *Source) commit(ctx context.Context) (string, error) {
	elements := append([]string{"api", "models"}, s.repository()...)
	raw, _, err := s.read(ctx, s.at(append(elements, "revision", s.Revision)...))
	if err != nil {
		return "", err
	}
	var about struct {
		SHA string `json:"sha"`
	}
	if err := json.Unmarshal(raw, &about); err != nil || !gitCommit.MatchString(about.SHA) {
		return "", fetch.Unusable("%s names no commit for %s at %q; look at the address of the hub", s.base.Host, s.Repository, s.Revision)
	}
	return about.SHA, nil
}

// list reads all pages of the list of files.
func (s *Source) list(ctx context.Context, commit string) ([]file, error) {
	elements := append([]string{"api", "models"}, s.repository()...)
	next := s.at(append(elements, "tree", commit)...) + "?recursive=true&expand=false"
	var all []file
	for range maxPages {
		raw, link, err := s.read(ctx, next)
		if err != nil {
			return nil, err
		}
		page, err := parsePage(raw)
		if err != nil {
			return nil, fetch.Unusable("%s sent a list of files of %s that is not one: %v", s.base.Host, s.Repository, err)
		}
		if all = append(all, page...); len(all) > maxFiles {
			return nil, fetch.Unusable("%s has more than %d files", s.Repository, maxFiles)
		}
		if next, err = s.next(next, link); err != nil || next == "" {
			return all, err
		}
	}
	return nil, fetch.Unusable("%s lists the files of %s on more than %d pages", s.base.Host, s.Repository, maxPages)
}

// read reads a small answer.
func (s *Source) read(ctx context.Context, address string) (raw []byte, link string, err error) {
	resp, err := s.get(ctx, address, 0)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, "", fmt.Errorf("read the answer of %s: %w", s.base.Host, err)
	}
	if len(raw) > maxAnswer {
		return nil, "", fetch.Unusable("%s answers with more than %d bytes", s.base.Host, maxAnswer)
	}
	return raw, resp.Header.Get("Link"), nil
}

// parsePage reads a page of the list. Folders are left out; a file without a digest
// could not be proved and is an error.
func parsePage(raw []byte) ([]file, error) {
	var page []entry
	if err := json.Unmarshal(raw, &page); err != nil {
		return nil, fmt.Errorf("it is not a JSON list of files")
	}
	var out []file
	for _, e := range page {
		if e.Type != "file" {
			continue
		}
		f, err := e.file()
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// file checks what will be relied upon.
func (e entry) file() (file, error) {
	f := file{path: e.Path, size: e.Size}
	kind, digits := fetch.GitBlob, e.OID
	if e.LFS != nil {
		kind, digits, f.size = fetch.SHA256, strings.TrimPrefix(e.LFS.OID, "sha256:"), e.LFS.Size
	}
	var err error
	if f.digest, err = fetch.ParseDigest(kind, digits); err != nil {
		return file{}, fmt.Errorf("file %q: %w", e.Path, err)
	}
	if f.size < 0 {
		return file{}, fmt.Errorf("file %q has %d bytes", e.Path, f.size)
	}
	return f, fetch.CheckName(f.path)
}

// nextLink is the part of a Link header that names the next page.
var nextLink = regexp.MustCompile(`<([^<>]*)>\s*;[^,<]*\brel\s*=\s*"?next"?`)

// next is the address of the next page: empty at the end, refused on another host.
func (s *Source) next(now, link string) (string, error) {
	m := nextLink.FindStringSubmatch(link)
	if m == nil {
		return "", nil
	}
	here, err := url.Parse(now)
	if err != nil {
		return "", fetch.Unusable("%q is not an address: %v", now, err)
	}
	u, err := here.Parse(m[1])
	if err != nil || u.Host != here.Host || u.Scheme != here.Scheme || u.User != nil {
		return "", fetch.Unusable("%s continues its list of files elsewhere; look at the address of the hub", s.base.Host)
	}
	return u.String(), nil
}
