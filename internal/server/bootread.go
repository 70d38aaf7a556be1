package server

import (
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/block"
)

// bootQuiet is how long a disk must have been left alone before a read of its
// first sector counts as that of a firmware after a reset. A firmware spends
// longer than this on memory and buses; a system that probes the partitions
// of a running machine reads on without a pause.
const bootQuiet = 100 * time.Millisecond

// firstSectors is the part of a disk, in bytes, that a firmware reads to find
// out what the disk is. It covers LBA 0 and 1 at every sector size up to 4096.
const firstSectors = 8192

// bootRead recognises a guest that was reset: a read of LBA 0 after the disk
// has been read beyond it. What a firmware reads before that first sector does
// not exist, so a generation that begins with the answer to that read is one
// that the guest has seen nothing else of.
//
// With always, every such read counts that follows bootQuiet without a read,
// so that a partition scan of the running guest does not. Otherwise somebody
// asked for the next reset, and the next read of LBA 0 is taken for it.
type bootRead struct {
	always bool
	clock  func() time.Duration // time since some fixed moment
	reset  func()               // makes the new generation; returns when it can be read

	beyond   atomic.Bool  // read beyond the first sectors since the last reset
	lastRead atomic.Int64 // nanoseconds on clock
}

// before is told of every read before it is answered.
func (b *bootRead) before(off int64, cached bool) error {
	now := int64(b.clock())
	if off != 0 {
		if off >= firstSectors {
			b.beyond.Store(true)
		}
		b.lastRead.Store(now)
		return nil
	}
	quiet := time.Duration(now - b.lastRead.Load())
	if b.always && (!b.beyond.Load() || quiet < bootQuiet) {
		b.lastRead.Store(now)
		return nil
	}
	if cached {
		return block.ErrWouldBlock
	}
	b.beyond.Store(false)
	b.reset()
	b.lastRead.Store(int64(b.clock()))
	return nil
}
