package contract

// Found is what `kaito-runner facts` leaves as its termination message: what a model of a
// hub is, read with a token that the operator does not see.
type Found struct {
	// Reason is always Done.
	Reason string `json:"reason"`
	// Commit is what the revision stood for.
	Commit string `json:"commit"`
	// Model is the model as a file of the catalog.
	Model string `json:"model"`
}
