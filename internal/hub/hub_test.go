package hub_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/hub"
	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/modelfiles"
)

func repository(t *testing.T, h *hubtest.Hub, change func(*hub.Options)) *hub.Repository {
	t.Helper()
	o := hub.Options{Endpoint: h.URL, Repository: "kaito/tiny", Revision: "main", TokenPlace: "into a file", Agent: "test/1"}
	if change != nil {
		change(&o)
	}
	r, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tiny() map[string]hubtest.Repository {
	return map[string]hubtest.Repository{"kaito/tiny": {
		Files: map[string]string{"config.json": `{"a": 1}`},
		Large: map[string]string{"model.safetensors": strings.Repeat("0123456789", 100)},
	}}
}

// A hub is asked for a revision again and again; it answers at length only when there is news.
func TestARevisionThatMeansTheSameIsAnsweredShortly(t *testing.T) {
	t.Parallel()
	repos := tiny()
	h := hubtest.Start(t, repos)
	r := repository(t, h, nil)
	first, err := r.Resolve(t.Context(), hub.Revision{})
	if err != nil {
		t.Fatal(err)
	}
	if first.Commit != hubtest.Commit || first.ETag == "" || first.Unchanged {
		t.Errorf("first %+v", first)
	}
	again, err := r.Resolve(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	first.Unchanged = true
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	moved := repos["kaito/tiny"]
	moved.At = strings.Repeat("ab", 20)
	h.Set("kaito/tiny", moved)
	now, err := r.Resolve(t.Context(), first)
	if err != nil || now.Commit != moved.At || now.Unchanged {
		t.Errorf("after a change %+v, %v", now, err)
	}
}

func TestAPieceOfAFile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file    string
		from, n int64
		faults  []hubtest.Fault
		want    string
	}{
		"from the beginning":                {"model.safetensors", 0, 4, nil, "0123"},
		"from the middle":                   {"model.safetensors", 12, 3, nil, "234"},
		"to behind its end":                 {"config.json", 5, 100, nil, " 1}"},
		"of a hub that knows no ranges":     {"model.safetensors", 15, 3, []hubtest.Fault{{Whole: true}}, "567"},
		"whose beginning such a hub sends":  {"model.safetensors", 0, 3, []hubtest.Fault{{Whole: true}}, "012"},
		"of which the line was cut once":    {"model.safetensors", 0, 500, []hubtest.Fault{{Cut: 100}}, strings.Repeat("0123456789", 50)},
		"of which the line was cut at once": {"config.json", 0, 8, []hubtest.Fault{{Abort: true}}, `{"a": 1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, tiny())
			h.Fail(tc.file, tc.faults...)
			got, err := repository(t, h, nil).Range(t.Context(), hubtest.Commit, tc.file, tc.from, tc.n)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// What a token opens is nobody else's business, and large files come from somebody else.
func TestTheTokenGoesToTheHubAlone(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, tiny())
	r := repository(t, h, func(o *hub.Options) { o.Token = hubtest.Token })
	if _, err := r.Range(t.Context(), hubtest.Commit, "model.safetensors", 0, 10); err != nil {
		t.Fatal(err)
	}
	for _, a := range h.Asked() {
		if want := map[bool]string{false: "Bearer " + hubtest.Token}[a.Store]; a.Authorization != want || a.Referer != "" || a.Agent != "test/1" {
			t.Errorf("asked %+v, want authorization %q", a, want)
		}
	}
}

func TestWhatAHubRefusesIsToldByKind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*hub.Options)
		repo   func(*hubtest.Repository)
		faults map[string][]hubtest.Fault
		list   bool
		want   hub.Error
	}{
		"a revision that is not there": {
			change: func(o *hub.Options) { o.Revision = "v9" },
			want:   hub.Error{Kind: hub.NotFound, Status: 404, Message: `HUB has no revision "v9" of kaito/tiny; look at its list of commits`},
		},
		"a repository that is not there, for a stranger": {
			change: func(o *hub.Options) { o.Repository = "kaito/none" },
			want:   hub.Error{Kind: hub.Denied, Status: 401, Message: "HUB does not show kaito/none to strangers: it does not exist, or it is private or gated; look at the name, and put a token into a file"},
		},
		"a repository that is not there, for a member": {
			change: func(o *hub.Options) { o.Repository, o.Token = "kaito/none", hubtest.Token },
			want:   hub.Error{Kind: hub.NotFound, Status: 404, Message: `HUB has no repository kaito/none with revision "main", or none that this token may see; look at the name`},
		},
		"a token that is not valid": {
			change: func(o *hub.Options) { o.Token = "hf_wrong" },
			want:   hub.Error{Kind: hub.Denied, Status: 401, Message: "HUB does not accept the token: put one that is valid into a file (HUB answered 401 (Invalid credentials in Authorization header))"},
		},
		"a hub that asks for patience": {
			faults: map[string][]hubtest.Fault{"revision": {{Status: 429, RetryAfter: "12"}}},
			want:   hub.Error{Kind: hub.Limited, Status: 429, Wait: 12 * time.Second, Message: "HUB answered 429 (Too Many Requests) to kaito/tiny too often; try again later, or put a token into a file if the hub limits strangers"},
		},
		"one that asks for a year": {
			faults: map[string][]hubtest.Fault{"revision": {{Status: 429, RetryAfter: "31536000"}}},
			want:   hub.Error{Kind: hub.Limited, Status: 429, Wait: 24 * time.Hour, Message: "HUB answered 429 (Too Many Requests) to kaito/tiny too often; try again later, or put a token into a file if the hub limits strangers"},
		},
		"a hub in trouble": {
			faults: map[string][]hubtest.Fault{"revision": {{Status: 502}}},
			want:   hub.Error{Kind: hub.Unreachable, Status: 502, Message: "HUB answered 502 (Bad Gateway) to kaito/tiny too often; try again later"},
		},
		"a hub that is another server": {
			faults: map[string][]hubtest.Fault{"revision": {{Status: 418}}},
			want:   hub.Error{Kind: hub.Refused, Status: 418, Message: "HUB answered 418 (I'm a teapot) to a request for kaito/tiny; look at the address of the hub"},
		},
		"an answer that names no commit": {
			repo: func(r *hubtest.Repository) { r.At = "main" },
			want: hub.Error{Kind: hub.Hostile, Message: `HUB names no commit for kaito/tiny at "main"; look at the address of the hub`},
		},
		"an answer without an end": {
			faults: map[string][]hubtest.Fault{"revision": {{Endless: true}}},
			want:   hub.Error{Kind: hub.Hostile, Message: "HUB answers with more than 16777216 bytes"},
		},
		"a list that leads out of the repository": {
			repo: func(r *hubtest.Repository) { r.Large = map[string]string{"../../etc/x.safetensors": "x"} }, list: true,
			want: hub.Error{Kind: hub.Hostile, Message: `HUB sent a list of files of kaito/tiny that is not one: the name of file "../../etc/x.safetensors" leads out of the repository`},
		},
		"a list with a name of control characters": {
			repo: func(r *hubtest.Repository) { r.Large = map[string]string{"a\x1b[2Jb.safetensors": "x"} }, list: true,
			want: hub.Error{Kind: hub.Hostile, Message: `HUB sent a list of files of kaito/tiny that is not one: file "a\x1b[2Jb.safetensors" has a name that no such file has`},
		},
		"a list with a size below nothing": {
			repo: func(r *hubtest.Repository) { r.Sizes = map[string]int64{"model.safetensors": -1} }, list: true,
			want: hub.Error{Kind: hub.Hostile, Message: `HUB sent a list of files of kaito/tiny that is not one: file "model.safetensors" has -1 bytes`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := tiny()["kaito/tiny"]
			if tc.repo != nil {
				tc.repo(&repo)
			}
			h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": repo})
			for path, faults := range tc.faults {
				h.Fail(path, faults...)
			}
			r := repository(t, h, tc.change)
			at, err := r.Resolve(t.Context(), hub.Revision{})
			if tc.list && err == nil {
				_, err = r.List(t.Context(), at.Commit)
			}
			var got *hub.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			told := hub.Error{Kind: got.Kind, Status: got.Status, Wait: got.Wait, Message: strings.ReplaceAll(got.Message, r.Host(), "HUB")}
			if diff := cmp.Diff(tc.want, told); diff != "" {
				t.Errorf("refusal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAListGoesOverManyPages(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, name := range []string{"a.json", "b.json", "c.json", "d/e.json", "f.txt"} {
		files[name] = name
	}
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": {Files: files}})
	h.Page = 2
	all, err := repository(t, h, nil).List(t.Context(), hubtest.Commit)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(len(files), len(all)); diff != "" {
		t.Errorf("files (-want +got):\n%s in %v", diff, all)
	}
	for name := range files {
		if f, ok := modelfiles.Find(all, name); !ok || f.Size != int64(len(name)) || len(f.GitBlob) != 40 {
			t.Errorf("%s is listed as %+v, %v", name, f, ok)
		}
	}
}

func TestAHubThatSendsInCirclesIsLeft(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, tiny())
	h.Fail("revision", hubtest.Fault{Redirect: h.URL + "/api/models/kaito/tiny/revision/main"})
	for range 20 {
		h.Fail("revision", hubtest.Fault{Redirect: h.URL + "/api/models/kaito/tiny/revision/main"})
	}
	_, err := repository(t, h, nil).Resolve(t.Context(), hub.Revision{})
	if err == nil || !strings.Contains(err.Error(), "from one address to the next") {
		t.Errorf("got %v", err)
	}
}

func TestAddressesOfHubs(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "huggingface.co", "ftp://huggingface.co", "https://", "https://a b"} {
		if _, err := hub.New(hub.Options{Endpoint: bad, Transport: http.DefaultTransport}); err == nil {
			t.Errorf("%q was taken for the address of a hub", bad)
		}
	}
}
