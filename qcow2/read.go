package qcow2

import (
	"fmt"
	"io"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// ReadAt reads from the virtual disk. Reads of clusters whose tables are
// cached wait for no other call.
func (img *Image) ReadAt(p []byte, off int64) (int, error) {
	if err := img.gate.Enter(); err != nil {
		return 0, err
	}
	defer img.gate.Leave()
	p, eof := block.ClipRead(p, off, img.Size())
	if len(p) == 0 {
		return 0, eof
	}
	e := img.maps.enter()
	defer e.Release()
	if n, err := img.read(p, off); err != nil {
		return n, err
	}
	return len(p), eof
}

// read fills p from off, all of which lies within the tables.
func (img *Image) read(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		r, err := img.maps.find(off+int64(done), int64(len(p)-done))
		if err != nil {
			return done, err
		}
		if err := img.readRun(p[done:done+int(r.n)], r, int64(len(p))); err != nil {
			return done, err
		}
		done += int(r.n)
	}
	return len(p), nil
}

// readRun fills p, which is as long as r, as a part of a read of n bytes.
func (img *Image) readRun(p []byte, r run, n int64) error {
	switch r.state {
	case stored:
		return img.file.readData(p, r.host)
	case compressed:
		return img.readCompressed(p, r, n)
	case unallocated:
		return img.readBacking(p, r.off)
	}
	clear(p)
	return nil
}

// readCompressed fills p with a piece of a compressed cluster, for a read of n
// bytes.
func (img *Image) readCompressed(p []byte, r run, n int64) error {
	if int64(len(p)) == img.geo.ClusterBytes() && img.passesBy(r, n) {
		return img.decompress(p, r.entry)
	}
	data, err := img.decompressed(r.entry)
	if err != nil {
		return err
	}
	copy(p, data[r.off&(img.geo.ClusterBytes()-1):])
	return nil
}

// scanBytes is the length from which on a read is taken for a part of going
// through the disk from one end to the other, as copies do. It would fill the
// cache of decompressed clusters with what nobody asks for again.
const scanBytes = 128 << 10

// passesBy reports whether a run of a read of n bytes, a compressed cluster or a
// piece of one, is to leave the cache alone.
func (img *Image) passesBy(r run, n int64) bool {
	if img.clusters == nil {
		return true
	}
	if n < scanBytes || r.n < img.geo.ClusterBytes() {
		return false
	}
	_, cached := img.clusters.peek(r.entry)
	return !cached
}

// readBacking fills p from the backing file, and with zeroes past its end.
func (img *Image) readBacking(p []byte, off int64) error {
	n := int64(0)
	if img.backing != nil {
		n = min(max(img.backing.Size()-off, 0), int64(len(p)))
	}
	clear(p[n:])
	if n == 0 {
		return nil
	}
	if err := block.ReadFull(img.backing, p[:n], off); err != nil {
		return fmt.Errorf("backing file: %w", err)
	}
	return nil
}

// decompressed returns the contents of a compressed cluster, which nobody may
// change.
func (img *Image) decompressed(e qcow2fmt.L2Entry) ([]byte, error) {
	decode := func() ([]byte, error) {
		dst := make([]byte, img.geo.ClusterBytes())
		return dst, img.decompress(dst, e)
	}
	if img.clusters == nil {
		return decode()
	}
	return img.clusters.get(e, decode)
}

// decompress reads a cluster and decompresses it into dst, which is as large.
func (img *Image) decompress(dst []byte, e qcow2fmt.L2Entry) error {
	off, n := img.geo.CompressedRange(e)
	size := img.file.size()
	if off < img.geo.ClusterBytes() || off >= min(size, qcow2fmt.MaxOffset) {
		return img.compressedError(e, off, "the data lies outside the file")
	}
	src := getScratch(int(min(n, size-off)))
	defer src.Release()
	if err := block.ReadFull(img.file.dev, src.data, off); err != nil {
		return err
	}
	if err := decompress(dst, src.data, img.compression); err != nil {
		return img.compressedError(e, off, err.Error())
	}
	return nil
}

func (img *Image) compressedError(e qcow2fmt.L2Entry, off int64, reason string) error {
	return &diskerr.FormatError{
		Format: formatName, Structure: "compressed cluster", Offset: off,
		Value: fmt.Sprintf("%#x", uint64(e)), Reason: reason,
	}
}

// ReadAtCached reads what needs no waiting: zeroes, decompressed clusters, and
// data that the file and the backing file can give in the same way.
func (img *Image) ReadAtCached(p []byte, off int64) (int, error) {
	if err := img.gate.Enter(); err != nil {
		return 0, err
	}
	defer img.gate.Leave()
	p, eof := block.ClipRead(p, off, img.Size())
	e := img.maps.enter()
	defer e.Release()
	for done := 0; done < len(p); {
		r, missing, err := img.maps.findCached(off+int64(done), int64(len(p)-done))
		if err == nil && missing != 0 {
			err = block.ErrWouldBlock
		}
		if err == nil {
			err = img.readRunCached(p[done:done+int(r.n)], r)
		}
		if err != nil {
			return 0, err
		}
		done += int(r.n)
	}
	return len(p), eof
}

func (img *Image) readRunCached(p []byte, r run) error {
	src, at, size := img.file.dev, r.host, img.file.size()
	switch r.state {
	case zeroed:
		clear(p)
		return nil
	case compressed:
		if img.clusters == nil {
			return block.ErrWouldBlock
		}
		data, ok := img.clusters.peek(r.entry)
		if !ok {
			return block.ErrWouldBlock
		}
		copy(p, data[r.off&(img.geo.ClusterBytes()-1):])
		return nil
	case unallocated:
		if src, at, size = img.backing, r.off, 0; src != nil {
			size = src.Size()
		}
	}
	have := min(max(size-at, 0), int64(len(p)))
	clear(p[have:])
	if have == 0 {
		return nil
	}
	_, err := block.ReadAtCached(src, p[:have], at)
	if err == io.EOF {
		err = nil
	}
	return err
}
