package contract

import (
	"fmt"
	"net/url"
	"path"
	"strings"
)

// Where the operator mounts what the runner needs to fetch a model.
const (
	// ModelDir is the folder with the files of the model: of the image volume that
	// is mounted at WeightsDir, or of the volume into which the runner fetches.
	ModelDir = WeightsDir + "/model"
	// PullSecretsDir holds a folder for each pull Secret, with its PullSecretKey.
	PullSecretsDir = "/etc/kaito-secrets/pull" //nolint:gosec // a place, no secret
	// PullSecretKey is the key of a Secret of type kubernetes.io/dockerconfigjson.
	PullSecretKey = ".dockerconfigjson" //nolint:gosec // a name, no secret
	// HubTokenFile holds the token for the hub, when there is one.
	HubTokenFile = "/etc/kaito-secrets/hub/HF_TOKEN" //nolint:gosec // a place, no secret
)

// PullSecretFile is where the credentials of a pull Secret are mounted.
func PullSecretFile(secret string) string {
	return path.Join(PullSecretsDir, secret, PullSecretKey)
}

// Weights says where the files of the model come from: exactly one of Image and Hub.
type Weights struct {
	// Dir is the folder that receives the files; it may hold them already.
	Dir string `json:"dir"`
	// Bytes is the size that is expected, for progress and the check of free space.
	Bytes int64 `json:"bytes,omitempty"`
	// Image is a model image in a registry.
	Image *WeightsImage `json:"image,omitempty"`
	// Hub is a repository of a hub that speaks the protocol of Hugging Face.
	Hub *WeightsHub `json:"hub,omitempty"`
}

// WeightsImage is a model image: one layer a file, all below /model.
type WeightsImage struct {
	// Reference names the image by tag or digest.
	Reference string `json:"reference"`
	// Credentials are .dockerconfigjson files; absent ones are skipped.
	Credentials []string `json:"credentials,omitempty"`
	// PlainHTTP allows a registry that does not speak HTTPS.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// Files are patterns of the files to fetch; none fetches all.
	Files []string `json:"files,omitempty"`
}

// WeightsHub is one revision of a repository.
type WeightsHub struct {
	// Endpoint is https://huggingface.co or a mirror of it.
	Endpoint string `json:"endpoint"`
	// Repository is the repository's id, owner/name.
	Repository string `json:"repository"`
	// Revision is a commit, a tag or a branch.
	Revision string `json:"revision"`
	// Files are patterns of the files to fetch; none fetches all that an engine loads.
	Files []string `json:"files,omitempty"`
	// TokenFile holds the token for the hub; an absent file is no token.
	TokenFile string `json:"tokenFile,omitempty"`
}

// wrongWeights names the values that are there and cannot be meant.
func wrongWeights(w *Weights) []string {
	if w == nil {
		return nil
	}
	var out []string
	if (w.Image == nil) == (w.Hub == nil) {
		out = append(out, "weights has not exactly one of image and hub")
	}
	if w.Dir != "" && (!path.IsAbs(w.Dir) || path.Clean(w.Dir) != w.Dir || w.Dir == "/") {
		out = append(out, fmt.Sprintf("weights.dir %q is not the absolute path of a folder", w.Dir))
	}
	if w.Image != nil {
		out = append(out, wrongPatterns("weights.image.files", w.Image.Files)...)
	}
	if w.Hub != nil {
		out = append(out, wrongHub(*w.Hub)...)
	}
	return out
}

// wrongPatterns names the patterns at place that match nothing because they are none.
func wrongPatterns(place string, patterns []string) []string {
	var out []string
	for i, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			out = append(out, fmt.Sprintf("%s[%d] %q is not a pattern", place, i, p))
		}
	}
	return out
}

// wrongHub checks what becomes part of addresses.
func wrongHub(h WeightsHub) []string {
	var out []string
	if h.Endpoint != "" && !validEndpoint(h.Endpoint) {
		out = append(out, fmt.Sprintf("weights.hub.endpoint %q is not of the form https://host", h.Endpoint))
	}
	if h.Repository != "" && !validRepository(h.Repository) {
		out = append(out, fmt.Sprintf("weights.hub.repository %q is not of the form owner/name", h.Repository))
	}
	return append(out, wrongPatterns("weights.hub.files", h.Files)...)
}

// validEndpoint says whether a hub can be reached at u, a folder of a host at most.
func validEndpoint(u string) bool {
	parsed, err := url.Parse(u)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != "" &&
		parsed.User == nil && parsed.RawQuery == "" && parsed.Fragment == ""
}

// validRepository says whether id can stand in an address; the oldest
// repositories of the hub have no owner.
func validRepository(id string) bool {
	parts := strings.Split(id, "/")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || strings.ContainsFunc(p, outsideName) {
			return false
		}
	}
	return len(parts) <= 2
}

// outsideName says whether r is no letter of a repository's id.
func outsideName(r rune) bool {
	alpha := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alpha && r != '-' && r != '_' && r != '.'
}
