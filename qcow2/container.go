package qcow2

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// container is the file that holds an image. It grows when it is written past
// its end, in steps, and is cut to what was used when it is closed.
type container struct {
	dev     block.Device
	resizer block.Resizer // nil if the file cannot grow
	limit   int64         // the file grows no larger; 0 for no limit

	mu   sync.Mutex // held while the file grows
	used int64      // end of what was written or found; guarded by mu
}

// Growth of the file: an eighth of its size, within bounds.
const (
	minGrowBytes = 1 << 20
	maxGrowBytes = 64 << 20
)

func newContainer(dev block.Device) *container {
	c := &container{dev: dev, used: dev.Size()}
	c.resizer, _ = dev.(block.Resizer)
	return c
}

// size returns the size of the file in bytes.
func (c *container) size() int64 { return c.dev.Size() }

// reserve makes the file at least end bytes long.
func (c *container) reserve(end int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := c.dev.Size()
	if end <= size {
		c.used = max(c.used, end)
		return nil
	}
	room := int64(math.MaxInt64)
	if c.resizer == nil {
		room = size
	} else if c.limit > 0 {
		room = max(c.limit, size)
	}
	if end > room {
		return &diskerr.NoSpaceError{What: "qcow2 image", Needed: end, Available: room}
	}
	step := min(max(size/8, minGrowBytes), maxGrowBytes)
	err := c.resizer.Resize(max(end, min(size+step, room)))
	if errors.Is(err, errors.ErrUnsupported) {
		return &diskerr.NoSpaceError{What: "qcow2 image", Needed: end, Available: size}
	}
	if err == nil {
		c.used = max(c.used, end)
	}
	return err
}

// trim cuts what growing in steps added too much. Nobody may use the file any
// more.
func (c *container) trim() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resizer == nil || c.dev.Size() <= c.used {
		return nil
	}
	if err := c.resizer.Resize(c.used); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil // a block device
}

// readData reads data of the guest. What lies past the end of the file reads
// as zeroes: a cluster need not be written to its end.
func (c *container) readData(p []byte, off int64) error {
	have := min(max(c.size()-off, 0), int64(len(p)))
	clear(p[have:])
	if have == 0 {
		return nil
	}
	return block.ReadFull(c.dev, p[:have], off)
}

// readTable reads metadata, all of which must be in the file.
func (c *container) readTable(p []byte, off int64, what string) error {
	if err := block.CheckRange(off, int64(len(p)), c.size()); err != nil {
		return &diskerr.FormatError{
			Format: formatName, Structure: what, Offset: off, Value: len(p),
			Reason: fmt.Sprintf("reaches past the end of the file at %d", c.size()),
		}
	}
	return block.ReadFull(c.dev, p, off)
}

// writeAt writes p, lengthening the file as needed.
func (c *container) writeAt(p []byte, off int64) error {
	if err := c.reserve(off + int64(len(p))); err != nil {
		return err
	}
	_, err := c.dev.WriteAt(p, off)
	return err
}

// writeFile writes a range of a host file.
func (c *container) writeFile(off int64, f *os.File, srcOff, n int64) error {
	if err := c.reserve(off + n); err != nil {
		return err
	}
	return block.WriteFile(c.dev, off, f, srcOff, n)
}

// zeroes is what short ranges are zeroed from; nobody writes to it.
var zeroes [64 << 10]byte

// zero makes a range read as zeroes.
func (c *container) zero(off, n int64) error {
	if n <= int64(len(zeroes)) {
		return c.writeAt(zeroes[:n], off)
	}
	if err := c.reserve(off + n); err != nil {
		return err
	}
	return block.WriteZeroes(c.dev, off, n, 0)
}

// discard frees the space behind a range that nothing refers to.
func (c *container) discard(off, n int64) error {
	if n = min(n, c.size()-off); n <= 0 {
		return nil
	}
	return block.Discard(c.dev, off, n)
}

func (c *container) sync() error { return c.dev.Flush() }
