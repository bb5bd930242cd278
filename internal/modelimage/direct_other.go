//go:build !linux

package modelimage

import (
	"fmt"
	"os"
)

// createLayer creates the file of a layer.
func createLayer(path string, _ int64) (*os.File, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create layer: %w", err)
	}
	return file, nil
}

// layerFile is the file of a layer; only Linux has more to do here.
type layerFile struct {
	*os.File
}

func newBuffer(size int) []byte { return make([]byte, size) }
