package modelimage

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// directFrom is the size from which a file is written past the page cache. The
// kernel's copy into fresh pages costs several times what hashing costs, and
// nobody reads the bytes again before they were pushed. Measured in design/0004.
const directFrom = 8 << 20

// createLayer creates the file of a layer.
func createLayer(path string, size int64) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if size >= directFrom {
		file, err := os.OpenFile(path, flags|syscall.O_DIRECT, 0o644)
		if err == nil {
			return file, nil
		}
		// Some file systems know no direct writes; every one knows the others.
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create layer: %w", err)
	}
	return file, nil
}

// layerFile writes whole buffers directly and leaves the rest, which is not a
// whole number of blocks, to the page cache.
type layerFile struct {
	*os.File
}

// Write expects aligned buffers, as newBuffer makes them.
func (f layerFile) Write(b []byte) (int, error) {
	if len(b)%blockSize != 0 {
		if err := f.setFlags(); err != nil {
			return 0, err
		}
	}
	return f.File.Write(b) //nolint:wrapcheck // os.File names the path
}

// setFlags ends direct writing: the only flags that F_SETFL changes are those.
func (f layerFile) setFlags() error {
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) { _, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFL, 0) })
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	return nil
}

// newBuffer is a buffer at an address that direct writes accept.
func newBuffer(size int) []byte {
	b := make([]byte, size+blockSize)
	skew := int(uintptr(unsafe.Pointer(&b[0])) % blockSize) //nolint:gosec // only the address is looked at
	return b[blockSize-skew:][:size:size]
}
