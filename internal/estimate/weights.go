package estimate

import "kaito.sh/kaito/internal/model"

// ArchitectureWeights is the size of a dense model's weights by its architecture alone, at 16
// bits a number, or what facts are missing to compute it. It is: the matrices by which words
// come in and go out (one where they are tied), and in each block the linear layers of
// attention and of the gated feed-forward network and two norms, and a norm at the end
// (Llama 2, arXiv 2307.09288, section 2.2; the same blocks in Phi-3, Mistral and Qwen2, whose
// biases, less than a thousandth, are left out).
func ArchitectureWeights(m model.Model) (model.Bytes, []string) {
	var missing []string
	for _, fact := range []struct {
		name  string
		value int
	}{
		{"layers", m.Layers},
		{"hidden", m.Hidden},
		{"heads", m.Heads},
		{"kvHeads", m.KVHeads},
		{"headDim", m.HeadDim},
		{"mlp", m.MLP},
		{"vocabulary", m.Vocabulary},
	} {
		if fact.value == 0 {
			missing = append(missing, fact.name)
		}
	}
	if len(missing) > 0 {
		return 0, missing
	}
	const bytesPerNumber, normsPerBlock = 2, 2
	linears := m.Linears()
	block := normsPerBlock * int64(m.Hidden)
	for _, name := range []string{"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} {
		block += int64(linears[name].In) * int64(linears[name].Out)
	}
	embeddings := int64(m.Vocabulary) * int64(m.Hidden)
	if !m.TiedEmbeddings {
		embeddings *= 2
	}
	return model.Bytes(bytesPerNumber * (embeddings + int64(m.Layers)*block + int64(m.Hidden))), nil
}
