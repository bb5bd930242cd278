package model

// Bounds that no real model reaches: products of facts stay far below what an int64 holds.
// Readers of files of strangers refuse what is above.
const (
	// MostParameters is 35 million million.
	MostParameters = 1 << 45
	// MostContext is in tokens.
	MostContext = 1 << 24
	// MostSmall is of layers, heads and their width.
	MostSmall = 1 << 11
	// MostHidden is of the widths of a model, and of experts.
	MostHidden = 1 << 17
	// MostVocabulary is in tokens.
	MostVocabulary = 1 << 24
	// MostBytes is of weights, 256 TiB.
	MostBytes = 1 << 48
	// MostState is in bytes, what one request keeps in layers that do not attend.
	MostState = 1 << 36
)
