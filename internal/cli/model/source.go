package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/hub"
	"kaito.sh/kaito/internal/hub/facts"
	"kaito.sh/kaito/internal/licence"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfacts"
	"kaito.sh/kaito/internal/modelfiles"
)

// found is a model that was read somewhere.
type found struct {
	model model.Model
	// source says where each fact is from.
	source        string
	absent, notes []string
	chatTemplate  bool
	// pickles is true of a folder whose weights are pickles.
	pickles bool
}

// hubID is owner/name.
var hubID = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)

// read reads the model that an argument means: what stands on this disk comes first.
func (f importFlags) read(ctx context.Context, sh shell.Shell, where string) (found, error) {
	info, err := os.Stat(where)
	switch {
	case err == nil && info.IsDir():
		return f.readFolder(ctx, where)
	case err == nil:
		return f.readFile(ctx, where)
	case !errors.Is(err, fs.ErrNotExist):
		return found{}, fmt.Errorf("look at %q: %w", where, err)
	case hubID.MatchString(where):
		return f.readHub(ctx, sh, where)
	}
	return found{}, fmt.Errorf("%q is no file or folder, and not owner/name of a hub", where)
}

// readFile reads one GGUF file.
func (f importFlags) readFile(ctx context.Context, name string) (found, error) {
	if !modelfiles.IsGGUF(name) {
		return found{}, fmt.Errorf("%q is no GGUF file; give the folder that holds it and its config.json", name)
	}
	f.file = filepath.Base(name)
	return f.readFolder(ctx, filepath.Dir(name))
}

// readFolder reads a folder, every link of which must lead to a file within.
func (f importFlags) readFolder(ctx context.Context, dir string) (found, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return found{}, fmt.Errorf("open the folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	all, err := listFolder(root)
	if err != nil {
		return found{}, err
	}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return found{}, fmt.Errorf("find the folder: %w", err)
	}
	name := filepath.Base(whole)
	got, err := modelfacts.Read(ctx, modelfacts.Options{Origin: fmt.Sprintf("the folder %q", dir), All: all, Files: folder{root}, File: f.file, AllowPickles: f.pickles})
	if err != nil {
		return found{}, configless(err, all)
	}
	m := got.Model
	source := fmt.Sprintf("Every fact is from the files of the folder %s: configuration and headers of the weights.", name)
	if w, ok := m.Forms[model.FormGGUF]; ok {
		name, source = w.File, fmt.Sprintf("Every fact is from the header of %s.", w.File)
	}
	m.ID = model.IDOf(name)
	if err := licenceText(ctx, root, all, &m); err != nil {
		return found{}, err
	}
	return found{
		model: m, source: source, absent: got.Absent, notes: got.Notes, chatTemplate: got.ChatTemplate,
		pickles: slices.ContainsFunc(got.Files, func(f modelfiles.File) bool { return modelfiles.IsPickle(f.Path) }),
	}, nil
}

// configless adds to the refusal of weights without a configuration where one is found.
func configless(err error, all []modelfiles.File) error {
	var refused *modelfiles.Refusal
	_, hf := modelfiles.Find(all, "config.json")
	_, mistral := modelfiles.Find(all, "params.json")
	if hf || mistral || !errors.As(err, &refused) || refused.Reason != modelfiles.Broken || !slices.ContainsFunc(all, func(f modelfiles.File) bool { return modelfiles.IsSafetensors(f.Path) }) {
		return err
	}
	return fmt.Errorf("%w; put the config.json beside them that the model's source has, or that transformers writes with save_pretrained", err)
}

// licenceText names the licence by its own text, where nothing else did.
func licenceText(ctx context.Context, root *os.Root, all []modelfiles.File, m *model.Model) error {
	if m.Licence != "" {
		return nil
	}
	for _, f := range all {
		if upper := strings.ToUpper(f.Path); !strings.HasPrefix(upper, "LICENSE") && !strings.HasPrefix(upper, "LICENCE") {
			continue
		}
		const most = 1 << 16
		raw, err := folder{root}.Range(ctx, f.Path, 0, most)
		if err != nil {
			return err
		}
		m.Licence = licence.OfText(raw)
		m.Redistributable = licence.Redistributable(m.Licence)
		return nil
	}
	return nil
}

// mostFiles is more than any folder of a model has.
const mostFiles = 10_000

// listFolder lists what is in a folder and in those below it; what begins with a dot is no
// part of a model.
func listFolder(root *os.Root) ([]modelfiles.File, error) {
	var all []modelfiles.File
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.HasPrefix(path.Base(name), "."), d.IsDir() && strings.Count(name, "/") > 0:
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		info, err := root.Stat(name)
		if err != nil {
			return fmt.Errorf("%q is a link that leads nowhere or out of the folder; copy the model with its links resolved: cp -rL FROM TO", name)
		}
		if info.Mode().IsRegular() {
			all = append(all, modelfiles.File{Path: name, Size: info.Size()})
		}
		if len(all) > mostFiles {
			return fmt.Errorf("it has more than %d files", mostFiles)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", root.Name(), err)
	}
	return all, nil
}

// folder reads the files of a folder.
type folder struct{ root *os.Root }

// Range reads a piece of a file.
func (f folder) Range(_ context.Context, name string, from, n int64) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(io.NewSectionReader(file, from, n))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	return raw, nil
}

const (
	// attempts is how often a hub is asked that does not answer, or asks for patience.
	attempts = 3
	// pause is between them, unless the hub says more; longest is the most that it may say.
	pause, longest = 2 * time.Second, time.Minute
)

// readHub reads a model of a hub, without fetching it.
func (f importFlags) readHub(ctx context.Context, sh shell.Shell, repository string) (found, error) {
	token, err := f.token(sh)
	if err != nil {
		return found{}, err
	}
	endpoint := f.endpoint
	if endpoint == "" {
		endpoint = sh.HubEndpoint
	}
	o := facts.Options{
		Endpoints: []facts.Endpoint{{URL: endpoint, Token: token}}, Repository: repository, Revision: f.revision, File: f.file, AllowPickles: f.pickles,
		TokenPlace: "into a file that --token-file names, or into $HF_TOKEN", Transport: sh.Transport, Agent: "kaito/" + buildinfo.Version(),
	}
	got, err := patiently(ctx, sh, o)
	if err != nil {
		return found{}, err
	}
	return found{
		model: got.Model, absent: got.Absent, notes: got.Notes, chatTemplate: got.ChatTemplate,
		source: fmt.Sprintf("Every fact is from the files of %s at commit %s of %s: configuration, list of files and headers of the weights.",
			repository, got.Commit, strings.TrimSuffix(got.Endpoint, "/")),
	}, nil
}

// patiently asks again what may go well later.
func patiently(ctx context.Context, sh shell.Shell, o facts.Options) (facts.Answer, error) {
	for try := 1; ; try++ {
		got, err := facts.Read(ctx, o)
		var of *hub.Error
		if err == nil || !errors.As(err, &of) || !of.Passes() || try == attempts {
			return got, err
		}
		wait := min(max(of.Wait, pause), longest)
		_, _ = fmt.Fprintf(sh.Err, "%v; trying again in %s\n", err, shell.Duration(wait))
		if err := sh.Sleep(ctx, wait); err != nil {
			return got, err
		}
	}
}

// token is that of the file, or of the environment.
func (f importFlags) token(sh shell.Shell) (string, error) {
	if f.tokenFile == "" {
		return sh.HubToken, nil
	}
	raw, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("the file %q holds no token: one word is", f.tokenFile)
	}
	return token, nil
}
