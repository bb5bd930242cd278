package gguftest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Llama is a whole model that llama.cpp loads, and that talks nonsense: two layers of random
// numbers, a vocabulary of single bytes, a licence, and a chat template. The same seed gives
// the same bytes, 442 kB of them.
func Llama(seed uint64) []byte {
	const (
		layers, heads, kvHeads, width, mlp, context = 2, 4, 2, 64, 128, 512
		keys                                        = width / heads * kvHeads
		alignment                                   = 32
	)
	tokens, scores, kinds := byteVocabulary()
	f := File{
		Magic: "GGUF", Version: 3,
		Keys: []Key{
			{"general.architecture", 8, "llama"},
			{"general.name", 8, "a tiny random Llama"},
			{"general.license", 8, "mit"},
			{"general.file_type", 4, uint32(0)},
			{"llama.context_length", 4, uint32(context)},
			{"llama.embedding_length", 4, uint32(width)},
			{"llama.block_count", 4, uint32(layers)},
			{"llama.feed_forward_length", 4, uint32(mlp)},
			{"llama.rope.dimension_count", 4, uint32(width / heads)},
			{"llama.attention.head_count", 4, uint32(heads)},
			{"llama.attention.head_count_kv", 4, uint32(kvHeads)},
			{"llama.attention.layer_norm_rms_epsilon", 6, float32(1e-5)},
			{"llama.vocab_size", 4, uint32(len(tokens))},
			{"tokenizer.ggml.model", 8, "llama"},
			{"tokenizer.ggml.tokens", 9, tokens},
			{"tokenizer.ggml.scores", 9, scores},
			{"tokenizer.ggml.token_type", 9, kinds},
			{"tokenizer.ggml.bos_token_id", 4, uint32(1)},
			{"tokenizer.ggml.eos_token_id", 4, uint32(2)},
			{"tokenizer.ggml.unknown_token_id", 4, uint32(0)},
			{"tokenizer.chat_template", 8, "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant: "},
		},
	}
	vocabulary := uint64(len(tokens))
	add := func(name string, dims ...uint64) { f.Tensors = append(f.Tensors, Tensor{Name: name, Dims: dims}) }
	add("token_embd.weight", width, vocabulary)
	for i := range layers {
		of := func(name string) string { return fmt.Sprintf("blk.%d.%s.weight", i, name) }
		add(of("attn_norm"), width)
		add(of("attn_q"), width, width)
		add(of("attn_k"), width, keys)
		add(of("attn_v"), width, keys)
		add(of("attn_output"), width, width)
		add(of("ffn_norm"), width)
		add(of("ffn_gate"), width, mlp)
		add(of("ffn_up"), width, mlp)
		add(of("ffn_down"), mlp, width)
	}
	add("output_norm.weight", width)
	add("output.weight", width, vocabulary)
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // a model of a test, the same each time
	var data bytes.Buffer
	for i, t := range f.Tensors {
		f.Tensors[i].Offset = uint64(data.Len())
		n := uint64(1)
		for _, d := range t.Dims {
			n *= d
		}
		for range n {
			value := float32(random.NormFloat64()) / 8
			if len(t.Dims) == 1 {
				value = 1 // of norms
			}
			_ = binary.Write(&data, binary.LittleEndian, value)
		}
		data.Write(make([]byte, (alignment-data.Len()%alignment)%alignment))
	}
	return append(f.Bytes(), data.Bytes()...)
}

// byteVocabulary has a token for each byte, after those that every vocabulary has, in the
// form of SentencePiece: texts, scores and kinds (2 unknown, 3 control, 6 a byte, 1 a text).
func byteVocabulary() (tokens []string, scores []float32, kinds []int32) {
	add := func(token string, kind int32) {
		tokens, scores, kinds = append(tokens, token), append(scores, float32(-len(tokens))), append(kinds, kind)
	}
	add("<unk>", 2)
	add("<s>", 3)
	add("</s>", 3)
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), 6)
	}
	for _, text := range []string{"▁", "a", "e", "i", "n", "o", "s", "t", "▁a", "▁t"} {
		add(text, 1)
	}
	return tokens, scores, kinds
}
