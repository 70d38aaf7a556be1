package fat

import (
	"io/fs"
	"os"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

const (
	// padBytes is the largest write whose end is padded to a whole sector in
	// memory, so that it is one write to the device.
	padBytes = 64 << 10
	// maxReserveBytes bounds what is set aside for a file that grows in small
	// steps.
	maxReserveBytes = 8 << 20
)

// Write implements io.Writer.
func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	off := f.pos
	if f.flags.Append {
		off = atEnd
	}
	end, n, err := f.write(p, off)
	if err == nil {
		f.pos = end
	}
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if f.flags.Append {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	if off < 0 {
		return 0, pathError("write", f.name, diskerr.ErrOutOfRange)
	}
	_, n, err := f.write(p, off)
	return n, err
}

// atEnd as an offset means the end of the file.
const atEnd = -1

// write writes p at off, completely or not at all, and returns where it ends.
func (f *file) write(p []byte, off int64) (end int64, n int, err error) {
	if err := f.enter("write"); err != nil {
		return 0, 0, err
	}
	defer f.leave()
	if !f.flags.Write {
		return 0, 0, pathError("write", f.name, fs.ErrPermission)
	}
	if err := f.v.writable(); err != nil {
		return 0, 0, pathError("write", f.name, err)
	}
	if len(p) == 0 {
		return max(off, 0), 0, nil
	}
	err = f.v.retry(func() error {
		f.n.writeMu.Lock()
		defer f.n.writeMu.Unlock()
		end, err = f.v.writeAt(f.n, p, off)
		return err
	})
	if err != nil {
		return 0, 0, pathError("write", f.name, err)
	}
	return end, len(p), nil
}

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	if err := f.enter("truncate"); err != nil {
		return err
	}
	defer f.leave()
	var err error
	switch {
	case f.n.isDir:
		err = ErrIsDir
	case !f.flags.Write:
		err = fs.ErrPermission
	case size < 0:
		err = fs.ErrInvalid
	case size > fatfmt.MaxFileBytes:
		err = ErrTooLarge
	default:
		err = f.v.writable()
	}
	if err == nil {
		err = f.v.retry(func() error {
			f.n.writeMu.Lock()
			defer f.n.writeMu.Unlock()
			return f.v.resize(f.n, size)
		})
	}
	return pathError("truncate", f.name, err)
}

// Reserve implements vfs.Reserver.
func (f *file) Reserve(size int64) error {
	if err := f.enter("reserve"); err != nil {
		return err
	}
	defer f.leave()
	if !f.flags.Write {
		return pathError("reserve", f.name, fs.ErrPermission)
	}
	if size > fatfmt.MaxFileBytes {
		return pathError("reserve", f.name, ErrTooLarge)
	}
	return pathError("reserve", f.name, f.v.retry(func() error {
		f.n.writeMu.Lock()
		defer f.n.writeMu.Unlock()
		return f.v.reserve(f.n, size)
	}))
}

// writeAt writes p at off of n. The caller holds n.writeMu.
func (v *Volume) writeAt(n *node, p []byte, off int64) (end int64, err error) {
	if off == atEnd {
		off = int64(n.size) // only who holds writeMu changes it
	}
	end, err = v.prepare(n, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	// Whoever is the first to use a sector leaves nothing of its past in it.
	size := int64(n.size)
	if tail := end % sectorBytes; end > size && tail != 0 {
		if len(p) <= padBytes {
			padded := make([]byte, len(p)+int(sectorBytes-tail))
			copy(padded, p)
			p = padded
		} else if err := v.zeroFill(n, end, end+sectorBytes-tail); err != nil {
			return 0, err
		}
	}
	if err := v.writeRuns(n, p, off); err != nil {
		return 0, err
	}
	v.finish(n, max(end, size))
	return end, nil
}

// prepare makes room for length bytes at off of n, with zeroes up to there, and
// returns where they end. The caller holds n.writeMu.
func (v *Volume) prepare(n *node, off, length int64) (end int64, err error) {
	size := int64(n.size)
	end = off + length
	if end > fatfmt.MaxFileBytes || end < off {
		return 0, ErrTooLarge
	}
	if err := v.grow(n, max(end, size)); err != nil {
		return 0, err
	}
	if off > size {
		return end, v.zeroFill(n, size, off)
	}
	return end, nil
}

// WriteFile implements vfs.FileWriter: the bytes go from file to device inside
// the kernel, where the device can do that.
func (f *file) WriteFile(off int64, src *os.File, srcOff, length int64) error {
	if err := f.enter("write"); err != nil {
		return err
	}
	defer f.leave()
	v, n := f.v, f.n
	switch {
	case !f.flags.Write || f.flags.Append:
		return pathError("write", f.name, fs.ErrPermission)
	case off < 0 || length < 0:
		return pathError("write", f.name, diskerr.ErrOutOfRange)
	}
	if err := v.writable(); err != nil {
		return pathError("write", f.name, err)
	}
	return pathError("write", f.name, v.retry(func() error {
		n.writeMu.Lock()
		defer n.writeMu.Unlock()
		size := int64(n.size)
		end, err := v.prepare(n, off, length)
		if err != nil {
			return err
		}
		if tail := end % sectorBytes; end > size && tail != 0 {
			if err := v.zeroFill(n, end, end+sectorBytes-tail); err != nil {
				return err
			}
		}
		from := srcOff
		err = v.eachRun(n, off, length, func(at, m int64) error {
			err := v.disk.writeFile(at, src, from, m)
			from += m
			return err
		})
		if err == nil {
			v.finish(n, max(end, size))
		}
		return err
	}))
}

// grow gives n clusters for size bytes. They are not part of the file until
// finish. The caller holds n.writeMu.
func (v *Volume) grow(n *node, size int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	need := uint32(v.geo.ClustersFor(size))
	if err := n.chain.walk(v.table, need); err != nil {
		return err
	}
	if n.chain.known >= need {
		return nil
	}
	if err := n.chain.walkAll(v.table); err != nil {
		return err
	}
	if have := n.chain.known; have < uint32(v.geo.ClustersFor(int64(n.size))) {
		return v.shortChain(n, have)
	}
	// A file that grows in steps gets as much again set aside.
	extra := min(n.chain.known, uint32(maxReserveBytes/v.geo.ClusterBytes()))
	return v.extend(n, need-n.chain.known, extra)
}

// finish makes size the size of n, and its time of change now. The caller
// holds n.writeMu.
func (v *Volume) finish(n *node, size int64) {
	now := v.opt.stamp(v.opt.Now())
	n.mu.Lock()
	n.size = uint32(size)
	now.modified(&n.entry)
	now.accessed(&n.entry)
	n.entry.Attr |= fatfmt.AttrArchive
	n.mu.Unlock()
	v.touch(n)
}

// writeRuns writes p to the clusters of n. The caller holds n.writeMu.
func (v *Volume) writeRuns(n *node, p []byte, off int64) error {
	return v.eachRun(n, off, int64(len(p)), func(at, length int64) error {
		err := v.disk.write(p[:length], at)
		p = p[length:]
		return err
	})
}

// zeroFill zeroes bytes [from, to) of n. The caller holds n.writeMu.
func (v *Volume) zeroFill(n *node, from, to int64) error {
	return v.eachRun(n, from, to-from, v.disk.zero)
}

// eachRun calls fn for the places on the device of length bytes of n from off
// on. The caller holds n.writeMu, so that the chain stays as it is.
func (v *Volume) eachRun(n *node, off, length int64, fn func(at, length int64) error) error {
	for length > 0 {
		n.mu.RLock()
		at, m, err := v.mapRead(n, off)
		n.mu.RUnlock()
		if err != nil {
			return err
		}
		m = min(m, length)
		if err := fn(at, m); err != nil {
			return err
		}
		off, length = off+m, length-m
	}
	return nil
}

// resize sets the size of n. The caller holds n.writeMu.
func (v *Volume) resize(n *node, size int64) error {
	old := int64(n.size)
	if size > old {
		if err := v.grow(n, size); err != nil {
			return err
		}
		if err := v.zeroFill(n, old, size+(sectorBytes-size%sectorBytes)%sectorBytes); err != nil {
			return err
		}
		v.finish(n, size)
		return nil
	}
	n.mu.Lock()
	err := v.shrink(n, uint32(v.geo.ClustersFor(size)))
	n.mu.Unlock()
	if err != nil {
		return err
	}
	v.finish(n, size)
	return nil
}

// reserve sets clusters aside, so that n can grow to size bytes. The caller
// holds n.writeMu.
func (v *Volume) reserve(n *node, size int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.chain.walkAll(v.table); err != nil {
		return err
	}
	need := uint32(v.geo.ClustersFor(size))
	if need <= n.chain.known {
		return nil
	}
	need -= n.chain.known
	goal := uint32(0)
	if n.chain.known > 0 {
		goal = n.chain.last() + 1
	}
	v.space.unreserve(n)
	if ok, err := v.space.hasRoom(need); err != nil {
		return err
	} else if !ok {
		return &diskerr.NoSpaceError{What: "volume", Needed: size, Available: -1}
	}
	v.space.mu.Lock()
	defer v.space.mu.Unlock()
	r, err := v.space.allocate(goal, need)
	if err == nil {
		v.space.hold(n, r)
	}
	return err
}
