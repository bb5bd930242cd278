// Package hubtest is a hub on loopback for tests: the part of Hugging Face's protocol
// that a download needs, with its redirects, headers and refusals, and with the bad
// moments that a test asks for. That it is faithful is judged by the real client
// (tests of internal/runner/fetch/hub run huggingface_hub against it), never by our own code alone.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Commit is the commit of every repository here.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Token is the one token that the hub knows.
const Token = "hf_testing"

// Repository is one model.
type Repository struct {
	// Files are small files by path, kept in git; Large are those in LFS.
	Files, Large map[string]string
	// Private is shown to Token only; Gated to nobody but lists its files.
	Private, Gated bool
	// Promise alters the digest that the list of files promises for a path, Sizes the size.
	Promise map[string]string
	Sizes   map[string]int64
	// At is the commit that main means; empty is Commit.
	At string
	// Past are commits that main meant before; the hub still has them, here with the same files.
	Past []string
}

func (r Repository) commit() string {
	if r.At != "" {
		return r.At
	}
	return Commit
}

func (r Repository) size(path, text string) int64 {
	if n, ok := r.Sizes[path]; ok {
		return n
	}
	return int64(len(text))
}

// Fault is what happens to one request for the content of a file.
type Fault struct {
	// Status answers with an error, RetryAfter and RateLimit go with it.
	Status                int
	RetryAfter, RateLimit string
	// Cut ends the connection after so many bytes, Hang says that it stays open silently.
	Cut  int64
	Hang bool
	// Whole answers a range with everything, Flip damages the first byte.
	Whole, Flip bool
	// Abort closes the connection without an answer, Endless answers without an end.
	Abort, Endless bool
	// Redirect sends elsewhere.
	Redirect string
}

// Hub is the hub and its object store, on two ports.
type Hub struct {
	// URL is the endpoint.
	URL string
	// Page is how many entries a page of a list has.
	Page int

	store *httptest.Server
	done  chan struct{}

	mu     sync.Mutex
	repos  map[string]Repository
	faults map[string][]Fault
	asked  []Asked
}

// Asked is one request that came.
type Asked struct {
	// Store says that it came to the object store.
	Store bool
	// Method, Path, Range, Authorization, Referer and Agent are of the request.
	Method, Path, Range, Authorization, Referer, Agent string
}

// Start starts a hub with these models.
func Start(t testing.TB, repos map[string]Repository) *Hub {
	t.Helper()
	return StartAt(t, "127.0.0.1", repos)
}

// StartAt starts a hub at an address of this machine that others can reach.
func StartAt(t testing.TB, address string, repos map[string]Repository) *Hub {
	t.Helper()
	h := &Hub{Page: 1000, repos: repos, faults: map[string][]Fault{}, done: make(chan struct{})}
	serve := func(handler http.HandlerFunc) *httptest.Server {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
		s.Start()
		return s
	}
	front := serve(h.front)
	h.store = serve(h.object)
	h.URL = front.URL
	t.Cleanup(func() {
		close(h.done)
		front.Close()
		h.store.Close()
	})
	return h
}

// Fail makes the next requests for the content of a file go wrong, one after another.
// A request for a list is called by the list's path, "tree" or "revision".
func (h *Hub) Fail(path string, faults ...Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults[path] = append(h.faults[path], faults...)
}

// Set changes a repository, or adds one.
func (h *Hub) Set(name string, repo Repository) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repos[name] = repo
}

func (h *Hub) repository(name string) (Repository, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	repo, ok := h.repos[name]
	return repo, ok
}

// Asked returns the requests so far.
func (h *Hub) Asked() []Asked {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asked)
}

func (h *Hub) note(r *http.Request, store bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, Asked{
		store, r.Method, r.URL.Path, r.Header.Get("Range"),
		r.Header.Get("Authorization"), r.Header.Get("Referer"), r.UserAgent(),
	})
}

func (h *Hub) fault(path string) Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults[path]) == 0 {
		return Fault{}
	}
	f := h.faults[path][0]
	h.faults[path] = h.faults[path][1:]
	return f
}

// front is the hub itself.
func (h *Hub) front(w http.ResponseWriter, r *http.Request) {
	h.note(r, false)
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) >= 4:
		h.api(w, r, parts[1:])
	case len(parts) >= 5 && parts[2] == "resolve":
		h.resolve(w, r, parts[0]+"/"+parts[1], parts[3], strings.Join(parts[4:], "/"))
	default:
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
	}
}

// api is what stands below /api: kind, models, owner, name, what, revision …
func (h *Hub) api(w http.ResponseWriter, r *http.Request, parts []string) {
	what, rest := "", ""
	if parts[0] == "resolve-cache" { // resolve-cache/models/owner/name/commit/path
		parts = parts[1:]
		what = "content"
	} else if len(parts) > 3 {
		what = parts[3]
	}
	if len(parts) > 4 {
		rest = strings.Join(parts[4:], "/")
	}
	name := parts[1] + "/" + parts[2]
	switch what {
	case "": // models/owner/name
		h.about(w, r, name, "main")
	case "revision":
		h.about(w, r, name, rest)
	case "tree":
		h.tree(w, r, name, rest)
	case "content":
		h.content(w, r, name, rest)
	default:
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
}

// find answers for repositories and revisions that one may not see.
func (h *Hub) find(w http.ResponseWriter, r *http.Request, name, revision string) (Repository, bool) {
	auth := r.Header.Get("Authorization")
	repo, ok := h.repository(name)
	known := auth == "Bearer "+Token
	switch {
	case auth != "" && !known:
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	case (!ok || repo.Private) && !known: // strangers do not learn what exists
		refuse(w, http.StatusUnauthorized, "RepoNotFound", "Invalid username or password.")
	case !ok:
		refuse(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
	case revision != "main" && revision != repo.commit() && revision != "refs/pr/1" && !slices.Contains(repo.Past, revision):
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
	default:
		if slices.Contains(repo.Past, revision) {
			repo.At = revision
		}
		return repo, true
	}
	return Repository{}, false
}

// about is a repository at a revision.
func (h *Hub) about(w http.ResponseWriter, r *http.Request, name, revision string) {
	if h.answered(w, r, "revision") {
		return
	}
	repo, ok := h.find(w, r, name, revision)
	if !ok {
		return
	}
	siblings := []map[string]string{}
	for _, path := range repo.paths() {
		siblings = append(siblings, map[string]string{"rfilename": path})
	}
	mark := `W/"` + gitBlob(name+repo.commit()+strings.Join(repo.paths(), "|")) + `"`
	w.Header().Set("ETag", mark)
	if r.Header.Get("If-None-Match") == mark {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"_id": "65f000000000000000000000", "id": name, "modelId": name, "sha": repo.commit(), "private": repo.Private,
		"gated": map[bool]any{true: "manual", false: false}[repo.Gated], "disabled": false, "tags": []string{}, "siblings": siblings,
	})
}

func (r Repository) paths() []string {
	var out []string
	for path := range r.Files {
		out = append(out, path)
	}
	for path := range r.Large {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// tree lists files and folders, a page at a time.
func (h *Hub) tree(w http.ResponseWriter, r *http.Request, name, revision string) {
	if h.answered(w, r, "tree") {
		return
	}
	repo, ok := h.find(w, r, name, revision)
	if !ok {
		return
	}
	entries := repo.entries()
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(len(entries), from+h.Page)
	if to < len(entries) {
		next := url.Values{"recursive": {"true"}, "expand": {"false"}, "cursor": {strconv.Itoa(to)}}
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, h.URL, r.URL.Path, next.Encode()))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(entries[from:to])
}

// entries is the list as the hub writes it.
func (r Repository) entries() []map[string]any {
	out, folders := []map[string]any{}, map[string]bool{}
	for _, path := range r.paths() {
		if folder, _, nested := strings.Cut(path, "/"); nested && !folders[folder] {
			folders[folder] = true
			out = append(out, map[string]any{"type": "directory", "oid": gitBlob(folder), "size": 0, "path": folder})
		}
		if text, large := r.Large[path]; large {
			pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", sum256(text), len(text))
			oid := sum256(text)
			if p := r.Promise[path]; p != "" {
				oid = p
			}
			out = append(out, map[string]any{
				"type": "file", "oid": gitBlob(pointer), "size": r.size(path, text), "path": path,
				"lfs": map[string]any{"oid": oid, "size": r.size(path, text), "pointerSize": len(pointer)},
			})
			continue
		}
		oid := gitBlob(r.Files[path])
		if p := r.Promise[path]; p != "" {
			oid = p
		}
		out = append(out, map[string]any{"type": "file", "oid": oid, "size": r.size(path, r.Files[path]), "path": path})
	}
	return out
}

func gitBlob(text string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(text), text))
	return hex.EncodeToString(sum[:])
}

func sum256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// resolve sends to the object store for large files, and to a cached address for small ones.
func (h *Hub) resolve(w http.ResponseWriter, r *http.Request, name, revision, path string) {
	repo, ok := h.find(w, r, name, revision)
	if !ok {
		return
	}
	w.Header().Set("X-Repo-Commit", repo.commit())
	if repo.Gated && path != "README.md" {
		status := http.StatusForbidden
		if r.Header.Get("Authorization") == "" {
			status = http.StatusUnauthorized
		}
		refuse(w, status, "GatedRepo", "Access to model "+name+" is restricted. You must have access to it and be authenticated to access it. Please log in.")
		return
	}
	if text, large := repo.Large[path]; large {
		w.Header().Set("X-Linked-Etag", `"`+sum256(text)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(text)))
		w.Header().Set("Location", h.store.URL+"/repos/"+name+"/"+path+"?X-Amz-Signature=secret")
		w.WriteHeader(http.StatusFound)
		return
	}
	text, ok := repo.Files[path]
	if !ok {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	w.Header().Set("ETag", `"`+gitBlob(text)+`"`)
	w.Header().Set("Location", "/api/resolve-cache/models/"+name+"/"+repo.commit()+"/"+path)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// content is a small file.
func (h *Hub) content(w http.ResponseWriter, r *http.Request, name, path string) {
	repo, _ := h.repository(name)
	w.Header().Set("X-Repo-Commit", repo.commit())
	w.Header().Set("ETag", `"`+gitBlob(repo.Files[path])+`"`)
	h.serve(w, r, path, repo.Files[path])
}

// object is the object store: an address that is signed, on another host.
func (h *Hub) object(w http.ResponseWriter, r *http.Request) {
	h.note(r, true)
	if r.URL.Query().Get("X-Amz-Signature") != "secret" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/repos/"), "/", 3)
	repo, _ := h.repository(parts[0] + "/" + parts[1])
	text := repo.Large[parts[2]]
	w.Header().Set("ETag", `"`+sum256(text)+`"`)
	h.serve(w, r, parts[2], text)
}

// serve sends a file, or what is to go wrong with it.
func (h *Hub) serve(w http.ResponseWriter, r *http.Request, path, text string) {
	if r.Method == http.MethodHead {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
		return
	}
	f := h.fault(path)
	if h.failed(w, f) {
		return
	}
	if f.Whole {
		r.Header.Del("Range")
	}
	if f.Flip && text != "" {
		text = string(text[0]^1) + text[1:]
	}
	if f.Cut == 0 && !f.Hang {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
		return
	}
	whole := httptest.NewRecorder()
	http.ServeContent(whole, r, "", time.Time{}, strings.NewReader(text))
	for k, v := range whole.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(whole.Code)
	body := whole.Body.Bytes()
	_, _ = bytes.NewReader(body[:min(f.Cut, int64(len(body)))]).WriteTo(w)
	_ = http.NewResponseController(w).Flush()
	if f.Hang {
		h.wait(r)
	}
	panic(http.ErrAbortHandler)
}

// answered lets a list go wrong.
func (h *Hub) answered(w http.ResponseWriter, r *http.Request, path string) bool {
	f := h.fault(path)
	if f.Hang {
		h.wait(r)
		panic(http.ErrAbortHandler)
	}
	return h.failed(w, f)
}

func (h *Hub) wait(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-h.done:
	}
}

func (h *Hub) failed(w http.ResponseWriter, f Fault) bool {
	switch {
	case f.Abort:
		panic(http.ErrAbortHandler)
	case f.Endless:
		for line := []byte(strings.Repeat(" ", 1<<16)); ; {
			if _, err := w.Write(line); err != nil {
				return true
			}
		}
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	case f.Status == 0:
		return false
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.RateLimit != "" {
		w.Header().Set("RateLimit", f.RateLimit)
	}
	refuse(w, f.Status, "", http.StatusText(f.Status))
	return true
}
