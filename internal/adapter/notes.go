package adapter

import (
	"maps"
	"strconv"
)

// Annotations of an adapter image's manifest.
const (
	// AnnotationModel is the base model's id in the catalog; the reference system has it too.
	AnnotationModel = "sh.kaito.model.name"
	// AnnotationRun is the id of the run that the adapter came from.
	AnnotationRun = "sh.kaito.adapter.run-id"

	annotationBase     = "sh.kaito.adapter.base"
	annotationRevision = "sh.kaito.adapter.base-revision"
	annotationMethod   = "sh.kaito.adapter.method"
	annotationDigest   = "sh.kaito.adapter.digest"
	annotationRank     = "sh.kaito.adapter.rank"
	annotationWeights  = "sh.kaito.adapter.parameters"
	annotationDataset  = "sh.kaito.adapter.dataset-digest"
	annotationRows     = "sh.kaito.adapter.dataset-rows"
	annotationLength   = "sh.kaito.adapter.dataset-tokens"
	annotationSteps    = "sh.kaito.adapter.training-steps"
	annotationEpochs   = "sh.kaito.adapter.training-epochs"
	annotationFirst    = "sh.kaito.adapter.training-first-loss"
	annotationLast     = "sh.kaito.adapter.training-last-loss"
)

// Notes are what an adapter image says in its manifest about where it came from. All of
// it is the same for every pod of a run: nothing depends on a clock or on the machine's
// speed, so that the same run gives the same digest.
type Notes struct {
	// Model is the base model's id in the catalog, Base its name at the hub, Revision that of its weights.
	Model, Base, Revision string
	// Run is the run's id, Method lora or qlora.
	Run, Method string
	// Dataset is the digest of the data, Rows and Tokens are those that were used.
	Dataset      string
	Rows, Tokens int64
	// Steps and Epochs are how long it was trained.
	Steps  int
	Epochs float64
	// FirstLoss and LastLoss are the ends of the loss curve.
	FirstLoss, LastLoss float64
}

// annotations renders what is known of an adapter; zero and empty is not known.
func (n Notes) annotations(f Facts) map[string]string {
	whole := func(x int64) string { return strconv.FormatInt(x, 10) }
	float := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	out := map[string]string{
		AnnotationModel: n.Model, AnnotationRun: n.Run,
		annotationBase: n.Base, annotationRevision: n.Revision, annotationMethod: n.Method,
		annotationDigest: f.Digest, annotationRank: whole(int64(f.Rank)), annotationWeights: whole(f.Parameters),
		annotationDataset: n.Dataset, annotationRows: whole(n.Rows), annotationLength: whole(n.Tokens),
		annotationSteps: whole(int64(n.Steps)), annotationEpochs: float(n.Epochs),
		annotationFirst: float(n.FirstLoss), annotationLast: float(n.LastLoss),
	}
	maps.DeleteFunc(out, func(_, text string) bool { return text == "" || text == "0" })
	return out
}
