package vvfat

import (
	"os"

	"github.com/fatkit/fatkit/block"
)

const (
	// minSparse is the size of a file, in bytes, from which on its holes are
	// looked for.
	minSparse = 1 << 20
	// minHole is the shortest hole that is told apart from data.
	minHole = 64 << 10
)

// sparseSegments appends the bytes of [off, off+n) of a host file: its holes as
// zeroes, so that who copies the disk need not read and store them, and the rest
// as ranges of the file. It takes over one use of f, whose file that is.
//
// Where holes are is asked each time. A file that changes meanwhile fails its
// next check, as it does without holes.
func sparseSegments(dst []block.Segment, f *openFile, file *os.File, off, n int64) []block.Segment {
	end, from := off+n, off // [from, off) is data that is not appended yet
	for off < end {
		data, hole := nextData(file, off, end)
		if data-off >= minHole {
			if from < off {
				f.retain()
				dst = append(dst, block.FileSegment(file, from, off-from, f))
			}
			dst = append(dst, block.ZeroSegment(data-off))
			from = data
		}
		off = hole
	}
	if from == end {
		f.Release()
		return dst
	}
	return append(dst, block.FileSegment(file, from, end-from, f))
}

// retain adds a use of a file that is in use.
func (f *openFile) retain() {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	f.pins++
}
