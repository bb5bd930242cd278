package modelimage

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// maxSafetensorsHeader is the limit of the reference implementation.
const maxSafetensorsHeader = 100 << 20

// dtypeBits is the width of each type that the format knows.
func dtypeBits(dtype string) (uint64, bool) {
	switch dtype {
	case "F64", "I64", "U64", "C64":
		return 64, true
	case "F32", "I32", "U32":
		return 32, true
	case "F16", "BF16", "I16", "U16":
		return 16, true
	case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ":
		return 8, true
	case "F6_E2M3", "F6_E3M2":
		return 6, true
	case "F4":
		return 4, true
	default:
		return 0, false
	}
}

// shard is what the header of one safetensors file says.
type shard struct {
	// tensors are the names, sorted.
	tensors []string
	// parameters counts the values, bytes their size, byType the bytes of each type.
	parameters uint64
	bytes      uint64
	byType     map[string]uint64
}

// tensorEntry is one entry of the header.
type tensorEntry struct {
	Dtype   string   `json:"dtype"`
	Shape   []uint64 `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
}

// span is where one tensor lies in the data.
type span struct {
	name       string
	begin, end uint64
}

// checkSafetensors reads the header of a safetensors file of the given size and
// refuses one whose tensors do not fill the rest of the file exactly.
func checkSafetensors(in io.Reader, size int64) (shard, error) {
	var prefix [8]byte
	if size < 8 {
		return shard{}, fmt.Errorf("the file has %d bytes, a safetensors file has at least 8", size)
	}
	if _, err := io.ReadFull(in, prefix[:]); err != nil {
		return shard{}, fmt.Errorf("read the header's length: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case length > maxSafetensorsHeader:
		return shard{}, fmt.Errorf("the header claims %d bytes, at most %d make sense", length, maxSafetensorsHeader)
	case length > uint64(size-8):
		return shard{}, fmt.Errorf("the header claims %d bytes, but the file ends after %d more: it is cut off", length, size-8)
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(in, raw); err != nil {
		return shard{}, fmt.Errorf("read the header: %w", err)
	}
	return parseSafetensors(raw, uint64(size)-8-length)
}

// parseSafetensors checks a header against the number of data bytes behind it.
func parseSafetensors(raw []byte, data uint64) (shard, error) {
	s := shard{byType: map[string]uint64{}}
	var spans []span
	err := eachEntry(raw, func(name string, e tensorEntry) error {
		values, size, err := e.size()
		if err != nil {
			return fmt.Errorf("tensor %q %w", name, err)
		}
		begin, end := e.Offsets[0], e.Offsets[1]
		switch {
		case begin > end || end-begin != size:
			return fmt.Errorf("tensor %q has %d bytes, but its offsets are %d to %d", name, size, begin, end)
		case end > data:
			return fmt.Errorf("tensor %q ends at data byte %d, but only %d follow the header: the file is cut off", name, end, data)
		}
		s.parameters += values
		s.byType[e.Dtype] += size
		spans = append(spans, span{name, begin, end})
		return nil
	})
	if err != nil {
		return shard{}, err
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.begin != b.begin {
			return compare(a.begin, b.begin)
		}
		return compare(a.end, b.end)
	})
	for _, x := range spans {
		if x.begin != s.bytes {
			return shard{}, fmt.Errorf("tensor %q starts at data byte %d, the one before ends at %d", x.name, x.begin, s.bytes)
		}
		s.bytes = x.end
		s.tensors = append(s.tensors, x.name)
	}
	if s.bytes != data {
		return shard{}, fmt.Errorf("the tensors fill %d data bytes, but %d follow the header", s.bytes, data)
	}
	slices.Sort(s.tensors)
	return s, nil
}

func compare(a, b uint64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// eachEntry calls visit for each tensor. It reads token by token, because
// json.Unmarshal would hide a tensor that is named twice.
func eachEntry(raw []byte, visit func(string, tensorEntry) error) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("the header is not a JSON object")
	}
	seen := map[string]struct{}{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return fmt.Errorf("the header is not JSON at byte %d: %w", d.InputOffset(), err)
		}
		name, _ := token.(string)
		if _, twice := seen[name]; twice {
			return fmt.Errorf("tensor %q appears twice", name)
		}
		seen[name] = struct{}{}
		if name == "__metadata__" {
			var notes map[string]string
			if err := d.Decode(&notes); err != nil {
				return fmt.Errorf("the header's notes are not text: %w", err)
			}
			continue
		}
		var e tensorEntry
		if err := d.Decode(&e); err != nil {
			return fmt.Errorf("tensor %q is described wrongly: %w", name, err)
		}
		if err := visit(name, e); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the header is not JSON at byte %d: %w", d.InputOffset(), err)
	}
	if rest := bytes.Trim(raw[d.InputOffset():], " \n\r\t\x00"); len(rest) > 0 {
		return fmt.Errorf("the header has %d bytes behind its JSON", len(rest))
	}
	return nil
}

// size is how many values and bytes the shape and type ask for.
func (e tensorEntry) size() (values, size uint64, err error) {
	width, ok := dtypeBits(e.Dtype)
	if !ok {
		return 0, 0, fmt.Errorf("has the unknown type %q", e.Dtype)
	}
	if len(e.Offsets) != 2 {
		return 0, 0, fmt.Errorf("has %d data offsets instead of 2", len(e.Offsets))
	}
	values = 1
	for _, d := range e.Shape {
		hi, lo := bits.Mul64(values, d)
		if hi != 0 || lo > 1<<56 {
			return 0, 0, fmt.Errorf("has the absurd shape %v", e.Shape)
		}
		values = lo
	}
	// values is at most 2^56 and width at most 64, so this cannot wrap.
	if values*width%8 != 0 {
		return 0, 0, fmt.Errorf("does not end at a whole byte")
	}
	return values, values * width / 8, nil
}
