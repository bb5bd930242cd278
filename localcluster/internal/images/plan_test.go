package images

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/localcluster/internal/images/layer"
)

// checkout writes a checkout with one image, "thing", and answers its folder.
func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"runtimes/thing/Dockerfile": "FROM debian:forky-slim\nCOPY src /opt\n", "runtimes/thing/src/a.py": "a = 1\n",
		"runtimes/thing/tests/test_a.py": "t\n", "runtimes/thing/smoke.sh": "true\n", "runtimes/thing/packages.lock": "deb bash 5\n",
	} {
		put(t, root, name, text)
	}
	return root
}

func put(t *testing.T, root, name, text string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func thing() Image { return runtimeOf("thing", 0, "src") }

func planOne(t *testing.T, request Request) Step {
	t.Helper()
	got, err := Plan(request, []Image{thing()})
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

func TestAnImageIsBuiltAgainOnlyWhenItsInputChanges(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(t *testing.T, root string, request *Request)
		build  bool
		fresh  bool
	}{
		"nothing has changed":                 {func(*testing.T, string, *Request) {}, false, false},
		"a test beside the sources":           {edit("runtimes/thing/tests/test_a.py", "other"), false, false},
		"a compiled file of Python":           {edit("runtimes/thing/src/__pycache__/a.pyc", "x"), false, false},
		"a source":                            {edit("runtimes/thing/src/a.py", "a = 2\n"), true, false},
		"a new source":                        {edit("runtimes/thing/src/b.py", ""), true, false},
		"the Dockerfile":                      {edit("runtimes/thing/Dockerfile", "FROM debian:forky-slim\n"), true, false},
		"the smoke test":                      {edit("runtimes/thing/smoke.sh", "false\n"), true, false},
		"the lock, so layers are not reused":  {edit("runtimes/thing/packages.lock", "deb bash 6\n"), true, true},
		"another base":                        {func(_ *testing.T, _ string, r *Request) { r.Base = "sha256:other" }, true, false},
		"locks are to be renewed":             {func(_ *testing.T, _ string, r *Request) { r.UpdateLocks = true }, true, true},
		"its record or a layer of it is gone": {func(_ *testing.T, _ string, r *Request) { r.Records = nil }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := checkout(t)
			request := Request{Source: root, Base: "sha256:base"}
			first := planOne(t, request)
			request.Records = map[string]Record{"thing": {Key: first.Key, Lock: first.Lock}}
			tc.change(t, root, &request)
			got := planOne(t, request)
			if got.Build != tc.build || got.Fresh != tc.fresh {
				t.Errorf("build %v, fresh %v (%s); want %v, %v", got.Build, got.Fresh, got.Why, tc.build, tc.fresh)
			}
			if got.Build != (got.Why != "") {
				t.Errorf("build %v does not go with the reason %q", got.Build, got.Why)
			}
		})
	}
}

func edit(name, text string) func(*testing.T, string, *Request) {
	return func(t *testing.T, root string, _ *Request) { t.Helper(); put(t, root, name, text) }
}

func TestAProgramThatIsNotBuiltYetIsNamedWithTheWayOut(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "build/Dockerfile.operator", "FROM scratch\n")
	_, err := Plan(Request{Source: root}, []Image{program("operator", "kaito-operator")})
	if err == nil || !strings.Contains(err.Error(), "bin/kaito-operator is not there: run `make build` first") {
		t.Errorf("got %v", err)
	}
}

func TestTheLastStageDecidesAboutTheBase(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want, says string }{
		"one stage":         {"FROM debian:forky-slim\nRUN x\n", "debian:forky-slim", ""},
		"two stages":        {"FROM debian:forky-slim AS files\nRUN x\nfrom scratch\nCOPY --from=files /a /a\n", scratch, ""},
		"a comment with it": {"# FROM here\nFROM scratch\n", scratch, ""},
		"no stage":          {"RUN x\n", "", "there is no FROM line"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := finalBase(tc.text)
			if got != tc.want || (err != nil) != (tc.says != "") || (err != nil && err.Error() != tc.says) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tc.want, tc.says)
			}
		})
	}
}

func TestImagesAreChosenByName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		names, want []string
		says        string
	}{
		"none means all":              {nil, []string{"operator", "runner", "gpu-provisioner", "toolbox", "llamacpp", "gate", "tuner"}, ""},
		"the table's order":           {[]string{"tuner", "operator"}, []string{"operator", "tuner"}, ""},
		"models are a step of theirs": {[]string{"models"}, nil, ""},
		"an unknown name":             {[]string{"vllm"}, nil, `there is no image "vllm"; there are operator, runner, gpu-provisioner, toolbox, llamacpp, gate, tuner, models`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := Choose(Table(), tc.names)
			var got []string
			for _, image := range chosen {
				got = append(got, image.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("chosen (-want +got):\n%s", diff)
			}
			if (err != nil) != (tc.says != "") || (err != nil && err.Error() != tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

// The real recipes keep what the whole project relies on.
func TestEveryRecipeOfTheCheckoutIsForRestrictedPods(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	mirror := regexp.MustCompile(`https?://|\.local\b|localhost`)
	for _, image := range Table() {
		t.Run(image.Name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(root, image.Dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			recipe := string(text)
			for _, want := range []string{"\nUSER 2000:0\n", "HOME=/tmp", "org.opencontainers.image.title=\"kaito/" + image.Name + "\"", "kaito:x:2000:0:"} {
				if !strings.Contains(recipe, want) {
					t.Errorf("%s lacks %q", image.Dockerfile, want)
				}
			}
			if found := mirror.FindString(recipe); found != "" {
				t.Errorf("%s names a host: %q", image.Dockerfile, found)
			}
			if epoch := fmt.Sprintf("ARG SOURCE_DATE_EPOCH=%d\n", layer.Epoch); strings.Contains(recipe, "python3 -m") && !strings.Contains(recipe, epoch) {
				t.Errorf("%s compiles Python without %q", image.Dockerfile, epoch)
			}
		})
	}
}

func TestTheValuesFileServesEveryChart(t *testing.T) {
	t.Parallel()
	values := string(Values(map[string]Record{"operator": {Digest: "sha256:1"}, "gpu-provisioner": {Digest: "sha256:2"}}))
	for _, want := range []string{
		"images:\n  gpu-provisioner:\n    repository: registry.local:5000/kaito/gpu-provisioner\n    tag: dev\n    digest: sha256:2\n  operator:\n",
		"gpuProvisioner:\n  images:\n    gpu-provisioner:\n      repository: registry.local:5000/kaito/gpu-provisioner\n      tag: dev\n      digest: sha256:2\n",
	} {
		if !strings.Contains(values, want) {
			t.Errorf("there is no\n%s\nin\n%s", want, values)
		}
	}
	if strings.Contains(string(Values(map[string]Record{"operator": {}})), "gpuProvisioner") {
		t.Error("a provisioner that was not built is named")
	}
}
