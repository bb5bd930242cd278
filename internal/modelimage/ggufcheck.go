package modelimage

import (
	"bufio"
	"io"
	"math/bits"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"
)

// ggufTensor is where one tensor says it is.
type ggufTensor struct {
	name   string
	offset uint64
	bytes  uint64
}

// checkGGUF walks the whole header of a GGUF file of the given size and refuses
// one that is cut off, lies about its counts, or has tensors outside of the
// file. It allocates no more than a header of honest size needs.
func checkGGUF(in io.Reader, size int64) error {
	r := &ggufReader{in: bufio.NewReaderSize(in, 1<<16), size: size}
	tensors, keys, err := r.header()
	if err != nil {
		return err
	}
	alignment, err := r.metadata(keys)
	if err != nil {
		return err
	}
	seen := map[string]struct{}{}
	infos := make([]ggufTensor, 0, tensors)
	for range tensors {
		t, err := r.tensor(seen, alignment)
		if err != nil {
			return err
		}
		infos = append(infos, t)
	}
	start := (uint64(r.at) + alignment - 1) / alignment * alignment
	for _, t := range infos {
		// Both are at most the file's size each after tensor(), so the sum cannot wrap.
		if end := start + t.offset + t.bytes; end > uint64(size) {
			return r.wrong("tensor %q ends at byte %d, but the file has %d: it is cut off", t.name, end, size)
		}
	}
	return nil
}

// metadata passes over all pairs and returns the alignment that they set.
func (r *ggufReader) metadata(keys uint64) (uint64, error) {
	alignment := uint64(32)
	seen := make(map[string]struct{}, keys)
	for range keys {
		key, number, err := r.pair(seen)
		if err != nil {
			return 0, err
		}
		// The library allocates by this count.
		if strings.HasSuffix(key, "block_count") && number > maxGGUFLayers {
			return 0, r.wrong("%s is %d, at most %d makes sense", key, number, maxGGUFLayers)
		}
		if key != "general.alignment" {
			continue
		}
		if number == 0 || number > maxGGUFAlignment || number&(number-1) != 0 {
			return 0, r.wrong("general.alignment is %d, not a power of two up to %d", number, maxGGUFAlignment)
		}
		alignment = number
	}
	return alignment, nil
}

// header reads magic, version and the two counts.
func (r *ggufReader) header() (tensors, keys uint64, err error) {
	if err := r.version(); err != nil {
		return 0, 0, err
	}
	if tensors, err = r.u64("the tensor count"); err != nil {
		return 0, 0, err
	}
	if tensors == 0 || tensors > maxGGUFTensors {
		return 0, 0, r.wrong("the header claims %d tensors", tensors)
	}
	if keys, err = r.u64("the key count"); err != nil {
		return 0, 0, err
	}
	if keys == 0 || keys > maxGGUFKeys {
		return 0, 0, r.wrong("the header claims %d metadata keys", keys)
	}
	// The smallest pair is an empty key with a one-byte value, the smallest tensor has one dimension.
	return tensors, keys, r.need(keys*13+tensors*32, "the header")
}

// version reads the magic and the version.
func (r *ggufReader) version() error {
	magic, err := r.fixed(4, "the magic")
	if err != nil {
		return err
	}
	if string(magic) != "GGUF" {
		r.at = 0
		return r.wrong("the file begins with %q, a GGUF file begins with \"GGUF\"", magic)
	}
	version, err := r.u32("the version")
	switch {
	case err != nil:
		return err
	case version == bits.ReverseBytes32(2) || version == bits.ReverseBytes32(3):
		return r.wrong("the file is big-endian, which llama.cpp reads only on big-endian machines")
	case version != 2 && version != 3:
		return r.wrong("GGUF version %d is not one of 2 and 3", version)
	default:
		return nil
	}
}

// pair reads one metadata key with its value.
func (r *ggufReader) pair(seen map[string]struct{}) (string, uint64, error) {
	key, err := r.text(maxGGUFKey, "a metadata key")
	if err != nil {
		return "", 0, err
	}
	if key == "" {
		return "", 0, r.wrong("a metadata key is empty")
	}
	if _, twice := seen[key]; twice {
		return "", 0, r.wrong("metadata key %q appears twice", key)
	}
	seen[key] = struct{}{}
	kind, number, err := r.value(key)
	if err != nil {
		return "", 0, err
	}
	if want, ok := ggufKind(key); ok && kind != want {
		return "", 0, r.wrong("metadata key %q has type %s, it must be %s", key, kind, want)
	}
	return key, number, nil
}

// ggufKind is the type that a key must have, for the keys that every reader relies on.
func ggufKind(key string) (gguf.GGUFMetadataValueType, bool) {
	switch key {
	case "general.architecture", "general.name", "general.type", "general.license", "tokenizer.chat_template", "tokenizer.ggml.model":
		return gguf.GGUFMetadataValueTypeString, true
	case "general.alignment", "general.file_type":
		return gguf.GGUFMetadataValueTypeUint32, true
	case "tokenizer.ggml.tokens":
		return gguf.GGUFMetadataValueTypeArray, true
	default:
		return 0, false
	}
}

// tensor reads one tensor's description and works out how many bytes it has.
func (r *ggufReader) tensor(seen map[string]struct{}, alignment uint64) (ggufTensor, error) {
	name, err := r.text(maxGGUFKey, "a tensor's name")
	if err != nil {
		return ggufTensor{}, err
	}
	if _, twice := seen[name]; twice {
		return ggufTensor{}, r.wrong("tensor %q appears twice", name)
	}
	seen[name] = struct{}{}
	dims, err := r.dimensions(name)
	if err != nil {
		return ggufTensor{}, err
	}
	kind, err := r.u32("the type of tensor " + name)
	if err != nil {
		return ggufTensor{}, err
	}
	total, err := r.tensorBytes(name, gguf.GGMLType(kind), dims)
	if err != nil {
		return ggufTensor{}, err
	}
	offset, err := r.u64("the offset of tensor " + name)
	if err != nil {
		return ggufTensor{}, err
	}
	switch {
	case offset%alignment != 0:
		return ggufTensor{}, r.wrong("tensor %q starts at %d, which is not a multiple of %d", name, offset, alignment)
	case offset > uint64(r.size) || total > uint64(r.size):
		return ggufTensor{}, r.wrong("tensor %q has %d bytes at offset %d, but the file has %d: it is cut off", name, total, offset, r.size)
	}
	return ggufTensor{name: name, offset: offset, bytes: total}, nil
}

func (r *ggufReader) dimensions(name string) ([]uint64, error) {
	n, err := r.u32("the dimensions of tensor " + name)
	if err != nil {
		return nil, err
	}
	if n == 0 || n > maxGGUFDims {
		return nil, r.wrong("tensor %q claims %d dimensions, 1 to %d make sense", name, n, maxGGUFDims)
	}
	dims := make([]uint64, n)
	for i := range dims {
		if dims[i], err = r.u64("a dimension of tensor " + name); err != nil {
			return nil, err
		}
		if dims[i] == 0 || dims[i] > 1<<40 {
			return nil, r.wrong("tensor %q has a dimension of %d", name, dims[i])
		}
	}
	return dims, nil
}

// tensorBytes is rows × bytes a row; rows are made of whole blocks of the type.
func (r *ggufReader) tensorBytes(name string, kind gguf.GGMLType, dims []uint64) (uint64, error) {
	trait, ok := kind.Trait()
	if !ok || trait.BlockSize == 0 || trait.TypeSize == 0 {
		return 0, r.wrong("tensor %q has the unknown type %d", name, uint32(kind))
	}
	if dims[0]%trait.BlockSize != 0 {
		return 0, r.wrong("tensor %q of type %s has rows of %d values, not a multiple of %d", name, kind, dims[0], trait.BlockSize)
	}
	total := dims[0] / trait.BlockSize * trait.TypeSize
	for _, d := range dims[1:] {
		hi, lo := bits.Mul64(total, d)
		if hi != 0 {
			return 0, r.wrong("tensor %q is larger than any file", name)
		}
		total = lo
	}
	return total, nil
}
