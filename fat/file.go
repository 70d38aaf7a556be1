package fat

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/vfs"
)

// file is an open file or directory.
type file struct {
	v     *Volume
	n     *node
	name  string
	flags vfs.Flags

	life   sync.RWMutex // held for reading during a call, for writing by Close
	closed bool

	mu   sync.Mutex // guards what follows
	pos  int64
	list []fs.DirEntry // what ReadDir has still to return; valid once listed
	read bool
}

var (
	_ vfs.File       = (*file)(nil)
	_ vfs.Reserver   = (*file)(nil)
	_ vfs.FileWriter = (*file)(nil)
	_ fs.ReadDirFile = (*file)(nil)
)

// Open implements fs.FS.
func (v *Volume) Open(name string) (fs.File, error) {
	f, err := v.openExisting(name, vfs.Flags{Read: true})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFile implements vfs.FS. A file that is created is read-only if perm lacks
// the owner's write bit; this handle may write to it nevertheless.
func (v *Volume) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	flags, err := vfs.ParseFlags(flag)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	var f *file
	if !flags.Write && !flags.Create {
		f, err = v.openExisting(name, flags)
	} else {
		f, err = v.openForChange(name, flags, perm)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openExisting opens what is there, for reading.
func (v *Volume) openExisting(name string, flags vfs.Flags) (*file, error) {
	f := &file{v: v, name: name, flags: flags}
	err := v.find("open", name, func(n *node) error {
		f.n = v.ref(n)
		return nil
	})
	return f, err
}

// openForChange opens a file for writing, or creates it.
func (v *Volume) openForChange(name string, flags vfs.Flags, perm fs.FileMode) (*file, error) {
	f := &file{v: v, name: name, flags: flags}
	if !fs.ValidPath(name) {
		return nil, pathError("open", name, fs.ErrInvalid)
	}
	err := v.change(func() error {
		if name == "." {
			return ErrIsDir
		}
		return v.in(name, func(dir *node, d *directory, last string) error {
			if at, ok := d.lookup(last); ok {
				n := v.node(dir, d, at)
				if err := v.mayOpen(n, flags); err != nil {
					return errors.Join(err, v.unref(n))
				}
				f.n = n
				return nil
			}
			if !flags.Create {
				return fs.ErrNotExist
			}
			attr := fatfmt.AttrArchive
			if perm&0o200 == 0 {
				attr |= fatfmt.AttrReadOnly
			}
			n, err := v.create(dir, d, last, attr, nil)
			f.n = n
			return err
		})
	})
	if err != nil {
		return nil, pathError("open", name, err)
	}
	if flags.Truncate {
		if err := f.Truncate(0); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// mayOpen says why an existing file cannot be opened for a change.
func (v *Volume) mayOpen(n *node, flags vfs.Flags) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	switch {
	case flags.Exclusive:
		return fs.ErrExist
	case n.isDir && (flags.Write || flags.Create):
		return ErrIsDir
	case flags.Write && n.entry.Attr&fatfmt.AttrReadOnly != 0:
		return fs.ErrPermission
	}
	return nil
}

// enter begins a call on the file; leave ends it if it returns nil.
func (f *file) enter(op string) error {
	f.life.RLock()
	err := fs.ErrClosed
	if !f.closed {
		err = f.v.enter()
	}
	if err != nil {
		f.life.RUnlock()
		return pathError(op, f.name, err)
	}
	return nil
}

func (f *file) leave() {
	f.v.gate.Leave()
	f.life.RUnlock()
}

// Close implements fs.File. What was written is durable after Sync, or when
// the volume commits.
func (f *file) Close() error {
	f.life.Lock()
	defer f.life.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	if f.v.enter() != nil {
		return nil // the volume is closed, and freed all it had to
	}
	defer f.v.gate.Leave()
	return pathError("close", f.name, f.v.unref(f.n))
}

// Stat implements fs.File.
func (f *file) Stat() (fs.FileInfo, error) {
	if err := f.enter("stat"); err != nil {
		return nil, err
	}
	defer f.leave()
	f.v.treeMu.RLock()
	defer f.v.treeMu.RUnlock()
	i, err := f.v.info(f.n)
	if err != nil {
		return nil, pathError("stat", f.name, err)
	}
	return i, nil
}

// ReadDir implements fs.ReadDirFile, in the order of the medium. What the
// directory holds at the first call is what all calls return.
func (f *file) ReadDir(count int) ([]fs.DirEntry, error) {
	if err := f.enter("readdir"); err != nil {
		return nil, err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.read {
		f.v.treeMu.RLock()
		list, err := f.v.list(f.n)
		f.v.treeMu.RUnlock()
		if err != nil {
			return nil, pathError("readdir", f.name, err)
		}
		f.list, f.read = list, true
	}
	if count <= 0 {
		out := f.list
		f.list = nil
		return out, nil
	}
	if len(f.list) == 0 {
		return nil, io.EOF
	}
	count = min(count, len(f.list))
	out := f.list[:count:count]
	f.list = f.list[count:]
	return out, nil
}

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) {
	if err := f.enter("read"); err != nil {
		return 0, err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.readAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter("read"); err != nil {
		return 0, err
	}
	defer f.leave()
	if off < 0 {
		return 0, pathError("read", f.name, diskerr.ErrOutOfRange)
	}
	return f.readAt(p, off)
}

func (f *file) readAt(p []byte, off int64) (int, error) {
	switch {
	case f.n.isDir:
		return 0, pathError("read", f.name, ErrIsDir)
	case !f.flags.Read:
		return 0, pathError("read", f.name, fs.ErrPermission)
	}
	n, err := f.v.readAt(f.n, p, off)
	if err != nil && err != io.EOF {
		err = pathError("read", f.name, err)
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *file) Seek(off int64, whence int) (int64, error) {
	if err := f.enter("seek"); err != nil {
		return 0, err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		off += f.pos
	case io.SeekEnd:
		f.n.mu.RLock()
		off += int64(f.n.size)
		f.n.mu.RUnlock()
	default:
		return 0, pathError("seek", f.name, fs.ErrInvalid)
	}
	if off < 0 {
		return 0, pathError("seek", f.name, fs.ErrInvalid)
	}
	f.pos = off
	if f.n.isDir && off == 0 {
		f.list, f.read = nil, false
	}
	return off, nil
}

// Sync implements vfs.File: it commits the whole volume.
func (f *file) Sync() error {
	if err := f.enter("sync"); err != nil {
		return err
	}
	defer f.leave()
	if f.v.readOnly {
		return nil
	}
	return pathError("sync", f.name, f.v.commit())
}

// readAt reads from the content of n.
func (v *Volume) readAt(n *node, p []byte, off int64) (int, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	size := int64(n.size)
	if off >= size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	var eof error
	if int64(len(p)) > size-off {
		p, eof = p[:size-off], io.EOF
	}
	done := 0
	for done < len(p) {
		at, length, err := v.mapRead(n, off+int64(done))
		if err != nil {
			return done, err
		}
		m := int(min(length, int64(len(p)-done)))
		if err := v.disk.read(p[done:done+m], at); err != nil {
			return done, err
		}
		done += m
	}
	return done, eof
}

// mapRead returns where the byte at off of n lies on the device, and how many
// bytes follow it there. The caller holds n.mu for reading; mapRead gives it
// up for a while when it has to walk the chain.
func (v *Volume) mapRead(n *node, off int64) (at, length int64, err error) {
	cb := int64(v.geo.ClusterBytes())
	index := uint32(off / cb)
	if index >= n.chain.known {
		n.mu.RUnlock()
		n.mu.Lock()
		// As far as the file goes: a chain that is too long is none of ours.
		err = n.chain.walk(v.table, max(uint32(v.geo.ClustersFor(int64(n.size))), index+1))
		n.mu.Unlock()
		n.mu.RLock()
		if index >= n.chain.known {
			if err == nil {
				err = v.shortChain(n, index)
			}
			return 0, 0, err
		}
	}
	cluster, run, err := n.chain.locate(v.table, index)
	if err != nil {
		return 0, 0, err
	}
	return v.geo.ClusterOffset(cluster) + off%cb, int64(run)*cb - off%cb, nil
}

// shortChain says that the chain of n ends before its size, or that the file
// was truncated meanwhile.
func (v *Volume) shortChain(n *node, index uint32) error {
	if int64(n.size) <= int64(index)*int64(v.geo.ClusterBytes()) {
		return io.EOF
	}
	return &diskerr.FormatError{Format: v.geo.Type.String(), Structure: "directory entry", Field: "DIR_FileSize",
		Offset: -1, Value: n.size, Reason: "the chain of clusters ends before it"}
}
