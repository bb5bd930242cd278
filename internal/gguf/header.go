package gguf

import (
	"bufio"
	"io"
	"math/bits"
	"strings"

	lib "github.com/gpustack/gguf-parser-go"
)

// read walks the whole header of a GGUF file of the given size and refuses one that is cut
// off, lies about its counts, or has tensors outside of the file. It allocates no more than
// a header of honest size needs.
func read(in io.Reader, size int64) (*lib.GGUFFile, error) {
	r := &reader{in: bufio.NewReaderSize(in, 1<<16), size: size}
	tensors, keys, err := r.header()
	if err != nil {
		return nil, err
	}
	f := &lib.GGUFFile{Size: lib.GGUFBytesScalar(size)}
	f.Header.TensorCount, f.Header.MetadataKVCount = tensors, keys
	alignment, err := r.metadata(f, keys)
	if err != nil {
		return nil, err
	}
	seen := map[string]struct{}{}
	var sizes []uint64
	for range tensors {
		t, size, err := r.tensor(seen, alignment)
		if err != nil {
			return nil, err
		}
		f.TensorInfos, sizes = append(f.TensorInfos, t), append(sizes, size)
	}
	start := (uint64(r.at) + alignment - 1) / alignment * alignment
	for i, t := range f.TensorInfos {
		// Both are at most the file's size each after tensor(), so the sum cannot wrap.
		if end := start + t.Offset + sizes[i]; end > uint64(size) {
			return nil, r.wrong("tensor %q ends at byte %d, but the file has %d: it is cut off", t.Name, end, size)
		}
	}
	f.TensorDataStartOffset = int64(start)
	f.ModelSize = lib.GGUFBytesScalar(size - int64(start))
	return f, nil
}

// metadata reads all pairs and returns the alignment that they set.
func (r *reader) metadata(f *lib.GGUFFile, keys uint64) (uint64, error) {
	alignment := uint64(32)
	seen := map[string]struct{}{}
	for range keys {
		kv, err := r.pair(seen)
		if err != nil {
			return 0, err
		}
		f.Header.MetadataKV = append(f.Header.MetadataKV, kv)
		count, isWhole := whole(kv.Value)
		// The library allocates by this count.
		if isWhole && strings.HasSuffix(kv.Key, "block_count") && count > maxLayers {
			return 0, r.wrong("%s is %d, at most %d makes sense", kv.Key, count, maxLayers)
		}
		if kv.Key != "general.alignment" {
			continue
		}
		if count == 0 || count > maxAlignment || count&(count-1) != 0 {
			return 0, r.wrong("general.alignment is %d, not a power of two up to %d", count, maxAlignment)
		}
		alignment = count
	}
	return alignment, nil
}

// whole is a value as a count, where it is an integer; a negative one is larger than any.
func whole(value any) (uint64, bool) {
	switch x := value.(type) {
	case uint8:
		return uint64(x), true
	case int8:
		return uint64(x), true
	case uint16:
		return uint64(x), true
	case int16:
		return uint64(x), true
	case uint32:
		return uint64(x), true
	case int32:
		return uint64(x), true
	case uint64:
		return x, true
	case int64:
		return uint64(x), true
	}
	return 0, false
}

// header reads magic, version and the two counts.
func (r *reader) header() (tensors, keys uint64, err error) {
	if err := r.version(); err != nil {
		return 0, 0, err
	}
	if tensors, err = r.u64("the tensor count"); err != nil {
		return 0, 0, err
	}
	if tensors == 0 || tensors > maxTensors {
		return 0, 0, r.wrong("the header claims %d tensors", tensors)
	}
	if keys, err = r.u64("the key count"); err != nil {
		return 0, 0, err
	}
	if keys == 0 || keys > maxKeys {
		return 0, 0, r.wrong("the header claims %d metadata keys", keys)
	}
	// The smallest pair is an empty key with a one-byte value, the smallest tensor has one dimension.
	return tensors, keys, r.need(keys*13+tensors*32, "the header")
}

// version reads the magic and the version.
func (r *reader) version() error {
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
func (r *reader) pair(seen map[string]struct{}) (kv lib.GGUFMetadataKV, err error) {
	if kv.Key, err = r.text(maxKey, "a metadata key"); err != nil {
		return kv, err
	}
	if kv.Key == "" {
		return kv, r.wrong("a metadata key is empty")
	}
	if _, twice := seen[kv.Key]; twice {
		return kv, r.wrong("metadata key %q appears twice", kv.Key)
	}
	seen[kv.Key] = struct{}{}
	if kv.ValueType, kv.Value, err = r.value(kv.Key); err != nil {
		return kv, err
	}
	if want, ok := kindOf(kv.Key); ok && kv.ValueType != want {
		return kv, r.wrong("metadata key %q has type %s, it must be %s", kv.Key, kv.ValueType, want)
	}
	return kv, nil
}

// kindOf is the type that a key must have, for the keys that every reader relies on.
func kindOf(key string) (lib.GGUFMetadataValueType, bool) {
	switch key {
	case "general.architecture", "general.name", "general.type", "general.license", "tokenizer.chat_template", "tokenizer.ggml.model":
		return lib.GGUFMetadataValueTypeString, true
	case "general.alignment", "general.file_type":
		return lib.GGUFMetadataValueTypeUint32, true
	case "tokenizer.ggml.tokens":
		return lib.GGUFMetadataValueTypeArray, true
	default:
		return 0, false
	}
}

// tensor reads one tensor's description and works out how many bytes it has.
func (r *reader) tensor(seen map[string]struct{}, alignment uint64) (t lib.GGUFTensorInfo, size uint64, err error) {
	if t.Name, err = r.text(maxKey, "a tensor's name"); err != nil {
		return t, 0, err
	}
	if _, twice := seen[t.Name]; twice {
		return t, 0, r.wrong("tensor %q appears twice", t.Name)
	}
	seen[t.Name] = struct{}{}
	if t.Dimensions, err = r.dimensions(t.Name); err != nil {
		return t, 0, err
	}
	t.NDimensions = uint32(len(t.Dimensions))
	kind, err := r.u32("the type of tensor " + t.Name)
	if err != nil {
		return t, 0, err
	}
	t.Type = lib.GGMLType(kind)
	if size, err = r.tensorBytes(t.Name, t.Type, t.Dimensions); err != nil {
		return t, 0, err
	}
	if t.Offset, err = r.u64("the offset of tensor " + t.Name); err != nil {
		return t, 0, err
	}
	switch {
	case t.Offset%alignment != 0:
		return t, 0, r.wrong("tensor %q starts at %d, which is not a multiple of %d", t.Name, t.Offset, alignment)
	case t.Offset > uint64(r.size) || size > uint64(r.size):
		return t, 0, r.wrong("tensor %q has %d bytes at offset %d, but the file has %d: it is cut off", t.Name, size, t.Offset, r.size)
	}
	return t, size, nil
}

func (r *reader) dimensions(name string) ([]uint64, error) {
	n, err := r.u32("the dimensions of tensor " + name)
	if err != nil {
		return nil, err
	}
	if n == 0 || n > maxDims {
		return nil, r.wrong("tensor %q claims %d dimensions, 1 to %d make sense", name, n, maxDims)
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
func (r *reader) tensorBytes(name string, kind lib.GGMLType, dims []uint64) (uint64, error) {
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
