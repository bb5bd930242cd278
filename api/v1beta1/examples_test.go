package v1beta1_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
)

// yamlBlock is a fenced block of a page.
var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")

// What we show to people is what the API server takes: every file of examples/ and
// every Workspace in a page of docs/ and in README.md.
func TestWhatWeShowIsAccepted(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	shown := map[string][]string{}
	collect(t, filepath.Join(root, "examples"), ".yaml", shown, func(text string) []string { return strings.Split(text, "\n---\n") })
	collect(t, filepath.Join(root, "docs"), ".md", shown, blocks)
	collect(t, filepath.Join(root, "README.md"), ".md", shown, blocks)
	c, namespace := client.NewDryRunClient(api.Client(t)), api.Namespace(t)
	seen := 0
	for file, texts := range shown {
		for _, text := range texts {
			var o unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if group, _, _ := strings.Cut(o.GetAPIVersion(), "/"); group != v1beta1.Group {
				continue
			}
			seen++
			o.SetNamespace(namespace)
			if err := client.WithFieldValidation(c, metav1.FieldValidationStrict).Create(t.Context(), &o); err != nil {
				t.Errorf("%s: %s %q is not accepted: %v", file, o.GetKind(), o.GetName(), err)
			}
		}
	}
	if seen == 0 {
		t.Error("found no Workspace to look at")
	}
}

func blocks(page string) []string {
	var found []string
	for _, m := range yamlBlock.FindAllStringSubmatch(page, -1) {
		found = append(found, strings.Split(m[1], "\n---\n")...)
	}
	return found
}

// collect reads the files below a folder that end in ext and cuts them into documents.
func collect(t *testing.T, folder, ext string, into map[string][]string, cut func(string) []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ext {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		into[path] = cut(string(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
