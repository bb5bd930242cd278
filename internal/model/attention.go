package model

// AttentionKind is what the layers of a model keep of the tokens they have seen.
type AttentionKind string

const (
	// AttentionFull keeps a key and a value of every KV head for every token: multi-head,
	// grouped-query and multi-query attention, which differ in KVHeads only
	// (Ainslie et al., arXiv 2305.13245).
	AttentionFull AttentionKind = ""
	// AttentionLatent keeps one compressed vector and one rotary key for all heads together:
	// multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).
	AttentionLatent AttentionKind = "mla"
	// AttentionSliding keeps as AttentionFull does, but some layers keep the last tokens only
	// (Mistral 7B, arXiv 2310.06825, section 2; Gemma 3, arXiv 2503.19786, section 2).
	AttentionSliding AttentionKind = "sliding"
	// AttentionHybrid keeps as AttentionFull does in some layers; the others keep a state that
	// does not grow (Nemotron-H, arXiv 2504.03624, section 2).
	AttentionHybrid AttentionKind = "hybrid"
)

// Attention says what the layers of a model keep. Zero is not known, or not of this kind.
type Attention struct {
	// Kind is what the layers keep.
	Kind AttentionKind
	// Latent and Rope are the widths, in numbers, of what an AttentionLatent layer keeps of a token.
	Latent, Rope int
	// Window is how many tokens a windowed layer keeps, WindowLayers how many layers have one.
	Window, WindowLayers int
	// Layers is how many layers of an AttentionHybrid model attend; the others keep a state.
	Layers int
	// State is what one request keeps in all those others, however long it is.
	State Bytes
	// Indexed is true where each layer keeps an index of tokens besides, by which it chooses
	// those it attends to (DeepSeek-V3.2, DeepSeek sparse attention).
	Indexed bool
	// IndexBytes is what that index takes of one token in one layer; 0 is not known.
	IndexBytes int
}

// KVNumbers is how many numbers one layer that attends keeps of one token: a key and a value
// of each KV head, or a latent vector and a rotary key once for all heads.
func (m Model) KVNumbers() int {
	const keyAndValue = 2
	if m.Attention.Kind == AttentionLatent {
		return m.Attention.Latent + m.Attention.Rope
	}
	return keyAndValue * m.KVHeads * m.HeadDim
}

// KVLayers is how many layers keep something of each token, those with a window included.
func (m Model) KVLayers() int {
	if m.Attention.Kind == AttentionHybrid && m.Attention.Layers > 0 {
		return m.Attention.Layers
	}
	return m.Layers
}

// KVBytesPerToken is the memory that one token of context takes at 16 bits, before windows
// let any of it go. It is 0 where a fact is not known.
func (m Model) KVBytesPerToken() Bytes {
	const bytesPerNumber = 2
	return Bytes(m.KVLayers()) * Bytes(bytesPerNumber*m.KVNumbers()+m.Attention.IndexBytes)
}
