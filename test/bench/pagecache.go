package main

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/fatkit/fatkit/block"
)

// pageCache is a disk as a kernel uses one: what is written stays in memory for a
// while, and goes to the disk in the order of its places, in pieces as long as
// it lies together.
type pageCache struct {
	disk block.Device
	mu   sync.Mutex
	// dirty are the pages that the disk has not.
	dirty map[int64][]byte
}

const (
	pageBytes = 4 << 10
	// maxDirtyPages is when everything is written back, maxPiecePages the longest
	// write, as Linux has it for a disk of virtio.
	maxDirtyPages = 64 << 20 / pageBytes
	maxPiecePages = 1 << 20 / pageBytes
)

var _ block.Device = (*pageCache)(nil)

func newPageCache(disk block.Device) *pageCache {
	return &pageCache{disk: disk, dirty: map[int64][]byte{}}
}

func (c *pageCache) Size() int64 { return c.disk.Size() }

// ReadAt implements io.ReaderAt.
func (c *pageCache) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.disk.ReadAt(p, off)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := off / pageBytes; i*pageBytes < off+int64(n); i++ {
		if page := c.dirty[i]; page != nil {
			from := max(off, i*pageBytes)
			copy(p[from-off:n], page[from-i*pageBytes:])
		}
	}
	return n, err
}

// WriteAt implements io.WriterAt.
func (c *pageCache) WriteAt(p []byte, off int64) (int, error) {
	if err := block.CheckRange(off, int64(len(p)), c.Size()); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for done := 0; done < len(p); {
		i := (off + int64(done)) / pageBytes
		in := int(off + int64(done) - i*pageBytes)
		n := min(len(p)-done, pageBytes-in)
		page := c.dirty[i]
		if page == nil {
			page = make([]byte, min(pageBytes, c.Size()-i*pageBytes))
			if n < len(page) {
				if err := block.ReadFull(c.disk, page, i*pageBytes); err != nil {
					return done, err
				}
			}
			c.dirty[i] = page
		}
		done += copy(page[in:], p[done:done+n])
	}
	if len(c.dirty) > maxDirtyPages {
		return len(p), c.writeBack()
	}
	return len(p), nil
}

// writeBack writes everything. The caller holds mu.
func (c *pageCache) writeBack() error {
	pages := slices.Sorted(maps.Keys(c.dirty))
	var piece bytes.Buffer
	for len(pages) > 0 {
		piece.Reset()
		n := 0
		for n < len(pages) && n < maxPiecePages && pages[n] == pages[0]+int64(n) {
			piece.Write(c.dirty[pages[n]])
			n++
		}
		if _, err := c.disk.WriteAt(piece.Bytes(), pages[0]*pageBytes); err != nil {
			return err
		}
		pages = pages[n:]
	}
	clear(c.dirty)
	return nil
}

// Flush implements block.Device.
func (c *pageCache) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writeBack(); err != nil {
		return err
	}
	return c.disk.Flush()
}

// Close writes everything back and closes the disk.
func (c *pageCache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.writeBack()
	if closeErr := c.disk.Close(); err == nil {
		err = closeErr
	}
	return err
}
