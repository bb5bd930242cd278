package images

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// recipe is raised when the way of building changes, so that what was built before
// is built again.
const recipe = "1"

// Step is what the plan says about one image.
type Step struct {
	Image Image
	// Key is the hash of what the image is made from; Lock is that of its lock file.
	Key, Lock string
	// Base is the name of the last FROM: the tree that the image adds to.
	Base string
	// Build is false when the last build had the same key and its layers are there.
	Build bool
	// Why says why it is built.
	Why string
	// Fresh forbids reusing layers of an earlier build.
	Fresh bool
}

// Request is what the plan is made for.
type Request struct {
	// Source is the checkout.
	Source string
	// Base is the key of the base tree.
	Base string
	// Records are the earlier builds by image name; only those whose layers are there.
	Records map[string]Record
	// UpdateLocks builds with today's packages.
	UpdateLocks bool
}

// Plan decides for each image whether it must be built.
func Plan(request Request, chosen []Image) ([]Step, error) {
	var steps []Step
	for _, image := range chosen {
		step, err := plan(request, image)
		if err != nil {
			return nil, fmt.Errorf("plan image %q: %w", image.Name, err)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func plan(request Request, image Image) (Step, error) {
	step := Step{Image: image}
	recipeText, err := os.ReadFile(filepath.Join(request.Source, image.Dockerfile))
	if err != nil {
		return step, err
	}
	if step.Base, err = finalBase(string(recipeText)); err != nil {
		return step, fmt.Errorf("%s: %w", image.Dockerfile, err)
	}
	if step.Key, err = key(request, image); err != nil {
		return step, err
	}
	if step.Lock, err = lockSum(request.Source, image); err != nil {
		return step, err
	}
	last, known := request.Records[image.Name]
	switch {
	case request.UpdateLocks && image.Lock != "":
		step.Build, step.Why, step.Fresh = true, "its packages are renewed", true
	case !known:
		step.Build, step.Why = true, "it was not built here before"
	case last.Key != step.Key:
		step.Build, step.Why = true, "its input has changed"
	case last.Lock != step.Lock:
		// Layers of the earlier build hold the packages of the earlier lock.
		step.Build, step.Why, step.Fresh = true, "its lock has changed", true
	}
	return step, nil
}

// finalBase is the image that the last stage of a Dockerfile starts from.
func finalBase(dockerfile string) (string, error) {
	base := ""
	for line := range strings.Lines(dockerfile) {
		words := strings.Fields(line)
		if len(words) > 1 && strings.EqualFold(words[0], "FROM") {
			base = words[1]
		}
	}
	if base == "" {
		return "", errors.New("there is no FROM line")
	}
	return base, nil
}

// key hashes what an image is made from: the recipe, what it copies, its smoke test,
// the base and the way of building.
func key(request Request, image Image) (string, error) {
	h := sha256.New()
	_, _ = fmt.Fprintln(h, recipe, request.Base, image.SmokeCommand)
	files := append([]string{image.Dockerfile}, image.Inputs...)
	for _, made := range image.Made {
		if _, err := os.Stat(filepath.Join(request.Source, made)); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s is not there: run `make build` first", made)
		}
		files = append(files, made)
	}
	if image.SmokeScript != "" {
		files = append(files, image.SmokeScript)
	}
	for _, file := range files {
		if err := hashTree(h, request.Source, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lockSum is the hash of the lock file; an image without one has none.
func lockSum(source string, image Image) (string, error) {
	if image.Lock == "" {
		return "", nil
	}
	text, err := os.ReadFile(filepath.Join(source, image.Lock))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// hashTree adds names, modes and contents of a file or a folder. Python's own
// caches are no input.
func hashTree(h io.Writer, root, name string) error {
	return filepath.WalkDir(filepath.Join(root, name), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "__pycache__" || strings.HasSuffix(d.Name(), ".egg-info") {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(h, rel, info.Mode().Perm()&0o111 != 0, info.Size())
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		_, err = io.Copy(h, f)
		return errors.Join(err, f.Close())
	})
}
