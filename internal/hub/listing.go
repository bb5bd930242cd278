package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"kaito.sh/kaito/internal/modelfiles"
)

// Bounds of what a hub may tell us.
const (
	maxAnswer = 16 << 20
	maxPages  = 200
	maxFiles  = 100_000
	// maxName is what every file system takes of a path.
	maxName = 1024
	// maxETag is more than any hub writes.
	maxETag = 256
)

// Revision is what a hub says of a revision.
type Revision struct {
	// Commit is what the revision means right now: 40 hexadecimal digits.
	Commit string
	// ETag is the hub's mark of this answer; empty where it gave none.
	ETag string
	// Gated is true where the hub gives the weights only to accounts that accepted terms.
	Gated bool
	// Unchanged is true where the hub said, by the ETag, that this is what was known.
	Unchanged bool
}

// gitCommit is what names a commit for ever.
var gitCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// IsCommit says whether a revision is a commit already, which never means another one.
func IsCommit(revision string) bool { return gitCommit.MatchString(revision) }

// Resolve finds the commit behind the revision. What an earlier call returned saves the
// hub its answer where nothing changed; the zero value is nothing.
func (r *Repository) Resolve(ctx context.Context, known Revision) (Revision, error) {
	elements := append([]string{"api", "models"}, r.elements()...)
	var headers []string
	if known.ETag != "" && IsCommit(known.Commit) {
		headers = []string{"If-None-Match", known.ETag}
	}
	raw, about, err := r.small(ctx, r.at(append(elements, "revision", r.Revision)...), headers...)
	switch {
	case err != nil:
		return Revision{}, err
	case raw == nil && headers != nil:
		known.Unchanged = true
		return known, nil
	}
	return r.revision(raw, about.Get("ETag"))
}

// revision reads what the hub says of a revision. What it writes of gates is false, or the
// way in which somebody decides: auto, manual.
func (r *Repository) revision(raw []byte, etag string) (Revision, error) {
	var about struct {
		SHA   string `json:"sha"`
		Gated any    `json:"gated"`
	}
	if err := json.Unmarshal(raw, &about); err != nil || !IsCommit(about.SHA) {
		return Revision{}, hostile("%s names no commit for %s at %q; look at the address of the hub", r.base.Host, r.Repository, r.Revision)
	}
	if len(etag) > maxETag {
		etag = ""
	}
	way, isText := about.Gated.(string)
	return Revision{Commit: about.SHA, ETag: etag, Gated: about.Gated == true || isText && way != ""}, nil
}

// List reads all pages of the list of files of a commit.
func (r *Repository) List(ctx context.Context, commit string) ([]modelfiles.File, error) {
	elements := append([]string{"api", "models"}, r.elements()...)
	next := r.at(append(elements, "tree", commit)...) + "?recursive=true&expand=false"
	var all []modelfiles.File
	for range maxPages {
		raw, headers, err := r.small(ctx, next)
		if err != nil {
			return nil, err
		}
		page, err := parsePage(raw)
		if err != nil {
			return nil, hostile("%s sent a list of files of %s that is not one: %v", r.base.Host, r.Repository, err)
		}
		if all = append(all, page...); len(all) > maxFiles {
			return nil, hostile("%s has more than %d files", r.Repository, maxFiles)
		}
		if next, err = r.next(next, headers.Get("Link")); err != nil || next == "" {
			return all, err
		}
	}
	return nil, hostile("%s lists the files of %s on more than %d pages", r.base.Host, r.Repository, maxPages)
}

// small reads a small answer with its headers; what is not modified is nil.
func (r *Repository) small(ctx context.Context, address string, headers ...string) ([]byte, http.Header, error) {
	resp, err := r.get(ctx, address, headers...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotModified {
		return nil, resp.Header, nil
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, r.line(fmt.Errorf("read the answer of %s: %w", r.base.Host, err))
	}
	if len(raw) > maxAnswer {
		return nil, nil, hostile("%s answers with more than %d bytes", r.base.Host, maxAnswer)
	}
	return raw, resp.Header, nil
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

// parsePage reads a page of the list. Folders are left out; a file without a digest
// could not be proved and is an error.
func parsePage(raw []byte) ([]modelfiles.File, error) {
	var page []entry
	if err := json.Unmarshal(raw, &page); err != nil {
		return nil, errors.New("it is not a JSON list of files")
	}
	var out []modelfiles.File
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

var (
	sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)
	sha1Hex   = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// file checks what will be relied upon.
func (e entry) file() (modelfiles.File, error) {
	f := modelfiles.File{Path: e.Path, Size: e.Size}
	if e.LFS != nil {
		f.SHA256, f.Size = strings.TrimPrefix(e.LFS.OID, "sha256:"), e.LFS.Size
	} else {
		f.GitBlob = e.OID
	}
	switch {
	case e.LFS != nil && !sha256Hex.MatchString(f.SHA256):
		return f, fmt.Errorf("file %q: %q is no sha256 digest", e.Path, f.SHA256)
	case e.LFS == nil && !sha1Hex.MatchString(f.GitBlob):
		return f, fmt.Errorf("file %q: %q is no git-blob digest", e.Path, f.GitBlob)
	case f.Size < 0:
		return f, fmt.Errorf("file %q has %d bytes", e.Path, f.Size)
	}
	return f, checkName(e.Path)
}

// checkName refuses paths that lead out of the repository, or that no such file has.
func checkName(name string) error {
	switch {
	case len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`):
		return fmt.Errorf("file %q has a name that no such file has", name[:min(len(name), maxSaid)])
	case !fs.ValidPath(name) || name == ".":
		return fmt.Errorf("the name of file %q leads out of the repository", name)
	}
	return nil
}

// nextLink is the part of a Link header that names the next page.
var nextLink = regexp.MustCompile(`<([^<>]*)>\s*;[^,<]*\brel\s*=\s*"?next"?`)

// next is the address of the next page: empty at the end, refused on another host.
func (r *Repository) next(now, link string) (string, error) {
	m := nextLink.FindStringSubmatch(link)
	if m == nil {
		return "", nil
	}
	here, err := url.Parse(now)
	if err != nil {
		return "", hostile("%q is not an address: %v", now, err)
	}
	u, err := here.Parse(m[1])
	if err != nil || u.Host != here.Host || u.Scheme != here.Scheme || u.User != nil {
		return "", hostile("%s continues its list of files elsewhere; look at the address of the hub", r.base.Host)
	}
	return u.String(), nil
}
