package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/safetensors"
)

// file is a file of a header and so many bytes of data.
func file(header string, data int) string {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return string(b) + header + strings.Repeat("\x01", data)
}

func TestReadFindsEveryTensor(t *testing.T) {
	t.Parallel()
	const head = `{"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[1,13]}}`
	raw := file(head, 13)
	got, err := safetensors.Read(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	want := safetensors.Header{
		Tensors: []safetensors.Tensor{
			{Name: "a", Dtype: "BF16", Shape: []uint64{2, 3}, Begin: 1, End: 13},
			{Name: "b", Dtype: "U8", Shape: []uint64{}, Begin: 0, End: 1},
		},
		Data: uint64(8 + len(head)), Parameters: 7, Bytes: 13, ByType: map[string]uint64{"BF16": 12, "U8": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if found, ok := got.Tensor("a"); !ok || found.End != 13 {
		t.Errorf("found %+v, %v", found, ok)
	}
	if found, ok := got.Tensor("c"); ok {
		t.Errorf("found %+v", found)
	}
}

func TestHeadersAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header string
		data   uint64
		want   string
	}{
		"when tensors overlap":             {`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3, "the one before ends at 2"},
		"when there is a hole":             {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2, "starts at data byte 1"},
		"when bytes are left over":         {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 9, "but 9 follow"},
		"when offsets run backwards":       {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, 1, "its offsets are 1 to 0"},
		"when the size is not the shape's": {`{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,4]}}`, 4, "has 8 bytes"},
		"when the shape overflows":         {`{"a":{"dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}`, 0, "absurd shape"},
		"when a dimension is negative":     {`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}`, 0, "described wrongly"},
		"when the type is unknown":         {`{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,1]}}`, 1, `unknown type "Q9"`},
		"when an offset is missing":        {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}`, 1, "1 data offsets instead of 2"},
		"when a tensor appears twice":      {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1, "appears twice"},
		"when it is a list":                {`[]`, 0, "not a JSON object"},
		"when it is not closed":            {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`, 1, "not JSON"},
		"when something follows":           {`{} {}`, 0, "behind its JSON"},
		"when half a byte is left":         {`{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}`, 1, "whole byte"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := safetensors.Parse([]byte(tc.header), tc.data); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}`, 12),
		file(`{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[],"data_offsets":[1,2]}}`, 2),
		file(`{}`, 0), "\xff\xff\xff\xff\xff\xff\xff\x7f",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := safetensors.Read(bytes.NewReader(raw), int64(len(raw)))
		if err == nil && s.Bytes > uint64(len(raw)) {
			t.Errorf("%d bytes of tensors in %d bytes", s.Bytes, len(raw))
		}
	})
}
