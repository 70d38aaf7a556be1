package guest

import (
	"bytes"
	"fmt"
)

// archive builds a cpio archive in the "newc" format that a Linux kernel
// takes as its first file system (Documentation/driver-api/early-userspace/
// buffer-format.rst of the kernel). Archives may follow one another.
type archive struct {
	buf bytes.Buffer
	ino int
}

// Modes of entries, as in stat(2).
const (
	modeDir  = 0o040755
	modeFile = 0o100755
	modeChar = 0o020600
)

// add appends an entry; major and minor are those of a device.
func (a *archive) add(name string, mode int, data []byte, major, minor int) {
	a.ino++
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	a.buf.WriteString(name + "\x00")
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

// bytes ends the archive.
func (a *archive) bytes() []byte {
	a.add("TRAILER!!!", 0, nil, 0, 0)
	return a.buf.Bytes()
}
