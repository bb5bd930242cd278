package sizing

import (
	"slices"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/model"
)

// allowed is the value of an annotation that allows what is refused otherwise.
const allowed = "true"

// AllowsPickles says whether weights that can run code when they are loaded may be fetched.
func AllowsPickles(ws *v1beta1.Workspace) bool {
	return ws.Annotations[v1beta1.AnnotationAllowPickle] == allowed
}

// TrustsCode says whether vLLM may run code that comes with the model.
func TrustsCode(ws *v1beta1.Workspace) bool {
	return ws.Annotations[v1beta1.AnnotationTrustRemoteCode] == allowed
}

// ForeignCode refuses annotations about foreign code that mean nothing, and weights that
// would run code which nobody has allowed.
func ForeignCode(ws *v1beta1.Workspace, m model.Model) *Objection {
	for _, key := range []string{v1beta1.AnnotationAllowPickle, v1beta1.AnnotationTrustRemoteCode} {
		if value, there := ws.Annotations[key]; there && value != allowed && value != "false" {
			return object(v1beta1.InvalidAnnotation(key, value, `"true" or "false"`))
		}
	}
	if _, other := m.Forms[model.FormGGUF]; !other {
		if no := RemoteCode(m, vllm.Name, engine.Settings{RemoteCode: TrustsCode(ws)}); no != nil {
			return no
		}
	}
	for _, w := range m.Forms {
		if w.Hub != nil && !AllowsPickles(ws) && slices.ContainsFunc(w.Hub.Files, namesPickle) {
			return object(v1beta1.ModelUnusable("Files of " + w.Hub.Repository + " that the catalog names are pickles, which can run code when they are loaded: where you trust them, set the annotation " +
				v1beta1.AnnotationAllowPickle + ` to "true"`))
		}
	}
	return nil
}

// RemoteCode refuses a model that brings code of its own on an engine that would run it,
// unless the settings allow that.
func RemoteCode(m model.Model, engineName string, settings engine.Settings) *Objection {
	if !m.RemoteCode || engineName != vllm.Name || settings.RemoteCode {
		return nil
	}
	return object(v1beta1.RemoteCodeNotAllowed(m.ID))
}

// namesPickle says whether a pattern asks for files that can run code when they are loaded.
func namesPickle(pattern string) bool {
	return slices.ContainsFunc([]string{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".joblib", ".npy", ".npz"}, func(ending string) bool {
		return strings.HasSuffix(strings.ToLower(pattern), ending)
	})
}

// CodeSetting refuses settings that have vLLM run code which nobody has allowed.
func CodeSetting(ws *v1beta1.Workspace, settings engine.Settings) *Objection {
	if TrustsCode(ws) || !engine.AsksForCode(settings) {
		return nil
	}
	return refuse(v1beta1.ReasonInvalidSettings,
		"ConfigMap %q sets vllm.trust-remote-code, which has vLLM run Python that comes with the model: where you trust it, set the annotation %s of the Workspace to \"true\", and leave it out there",
		ws.Inference.Config, v1beta1.AnnotationTrustRemoteCode)
}
