package model

// Adapter is a LoRA adapter that is served beside a model: it comes from Image, else from
// a volume of the user's.
type Adapter struct {
	// Name is the model id under which it answers.
	Name string
	// Image is its reference; Digest, sha256:<hex>, pins it where that is known.
	Image, Digest string
	// Secrets are the names of Secrets of type kubernetes.io/dockerconfigjson that open the
	// image's registry, beside those of the whole server. Only the container that pulls sees
	// them. One that is missing is passed over.
	Secrets []string
	// PlainHTTP lets the runner use a registry that does not speak HTTPS.
	PlainHTTP bool
	// Strength is a decimal number that scales it; empty is 1.
	Strength string
	// Default is true of the one that answers where a request names no model.
	Default bool
	// Rank is its rank, or 0 where it is not known.
	Rank int
}
