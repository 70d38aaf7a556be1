package fusemount

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/fatkit/fatkit/vfs"
)

// typeBits returns the system's bits for the type of a file.
func typeBits(m fs.FileMode) uint32 {
	switch m.Type() {
	case fs.ModeDir:
		return syscall.S_IFDIR
	case fs.ModeSymlink:
		return syscall.S_IFLNK
	case fs.ModeNamedPipe:
		return syscall.S_IFIFO
	case fs.ModeSocket:
		return syscall.S_IFSOCK
	case fs.ModeDevice:
		return syscall.S_IFBLK
	case fs.ModeDevice | fs.ModeCharDevice:
		return syscall.S_IFCHR
	}
	return syscall.S_IFREG
}

// blockBytes is the unit in which st_blocks counts.
const blockBytes = 512

// fillAttr writes the attributes of an object.
func (t *tree) fillAttr(n *node, fi fs.FileInfo, a *fuse.Attr) {
	mode := fi.Mode()
	*a = fuse.Attr{
		Ino: n.ino, Size: uint64(fi.Size()), Nlink: 1, Blksize: 128 << 10,
		Mode: typeBits(mode) | t.permissions(mode), Owner: fuse.Owner{Uid: t.o.UID, Gid: t.o.GID},
	}
	a.Blocks = (a.Size + blockBytes - 1) / blockBytes
	if s, ok := fi.Sys().(*syscall.Stat_t); ok {
		a.Blocks, a.Rdev = uint64(s.Blocks), uint32(s.Rdev)
		if t.o.KeepModes {
			a.Owner = fuse.Owner{Uid: s.Uid, Gid: s.Gid}
		}
	}
	times := vfs.TimesOf(fi)
	set := func(at time.Time, sec *uint64, nsec *uint32) {
		if at.IsZero() {
			at = times.Modified
		}
		if !at.IsZero() {
			*sec, *nsec = uint64(at.Unix()), uint32(at.Nanosecond())
		}
	}
	set(times.Modified, &a.Mtime, &a.Mtimensec)
	set(times.Modified, &a.Ctime, &a.Ctimensec)
	set(times.Accessed, &a.Atime, &a.Atimensec)
}

// permissions returns the permission bits that users see.
func (t *tree) permissions(mode fs.FileMode) uint32 {
	if mode&fs.ModeSymlink != 0 {
		return 0o777
	}
	if t.o.KeepModes {
		return uint32(mode.Perm())
	}
	bits := 0o777 &^ t.o.Umask.Perm()
	if _, device := t.fsys.(*deviceTree); device && mode.IsRegular() {
		bits &^= 0o111 // a disk is no program
	}
	if mode.Perm()&0o200 == 0 {
		bits &^= 0o222
	}
	return uint32(bits)
}

// GetAttr implements fuse.RawFileSystem.
func (t *tree) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	t.names.RLock()
	defer t.names.RUnlock()
	return t.attr(in.NodeId, out)
}

// attr answers with the attributes of an object. The caller holds names.
func (t *tree) attr(id uint64, out *fuse.AttrOut) fuse.Status {
	n, fi, status := t.stat(id)
	if status != fuse.OK {
		return status
	}
	out.SetTimeout(t.timeout)
	t.fillAttr(n, fi, &out.Attr)
	if n.gone {
		out.Nlink = 0
	}
	return fuse.OK
}

// stat looks at an object, through an open file if it has no name any more. The
// caller holds names.
func (t *tree) stat(id uint64) (*node, fs.FileInfo, fuse.Status) {
	n, name, status := t.at(id)
	var fi fs.FileInfo
	var err error
	switch {
	case status == fuse.OK:
		fi, err = vfs.Lstat(t.fsys, name)
	case n == nil:
		return nil, nil, status
	default:
		h := t.nodes.handleOf(n, false)
		if h == nil {
			return n, nil, status
		}
		fi, err = h.f.Stat()
	}
	return n, fi, errnoOf(err)
}

// SetAttr implements fuse.RawFileSystem.
func (t *tree) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	t.names.RLock()
	defer t.names.RUnlock()
	defer t.changes.Add(1)
	n, name, status := t.at(in.NodeId)
	if n == nil {
		return status
	}
	if status := t.mayOwn(n, name, in); status != fuse.OK {
		return status
	}
	if in.Valid&fuse.FATTR_SIZE != 0 {
		if err := t.truncate(n, name, in); err != nil {
			return errnoOf(err)
		}
	}
	if status == fuse.OK { // nobody sees modes and times of what has no name
		if err := t.setMode(name, in); err != nil {
			return errnoOf(err)
		}
		if err := t.setTimes(name, in); err != nil {
			return errnoOf(err)
		}
	}
	return t.attr(in.NodeId, out)
}

// keptBits are the mode bits that a tree may have; of others, such as set-user-ID,
// it is said that they cannot be.
const keptBits = 0o777 | syscall.S_IFMT

// mayOwn refuses owners and mode bits that the tree cannot keep.
func (t *tree) mayOwn(n *node, name string, in *fuse.SetAttrIn) fuse.Status {
	refused := in.Valid&fuse.FATTR_MODE != 0 && in.Mode&^uint32(keptBits) != 0
	if in.Valid&(fuse.FATTR_UID|fuse.FATTR_GID) != 0 {
		var a fuse.Attr
		_, fi, status := t.stat(n.id)
		if status != fuse.OK {
			return status
		}
		t.fillAttr(n, fi, &a)
		refused = refused || in.Valid&fuse.FATTR_UID != 0 && in.Uid != a.Uid || in.Valid&fuse.FATTR_GID != 0 && in.Gid != a.Gid
	}
	if refused && !t.o.Quiet {
		return fuse.EPERM
	}
	return fuse.OK
}

// truncate sets the size of a file.
func (t *tree) truncate(n *node, name string, in *fuse.SetAttrIn) error {
	size := int64(in.Size)
	if size < 0 {
		return vfs.ErrTooLarge
	}
	if fh, ok := in.GetFh(); ok {
		if h := t.handles.file(fh); h != nil && h.write {
			return h.f.Truncate(size)
		}
	}
	if h := t.nodes.handleOf(n, true); h != nil {
		return h.f.Truncate(size)
	}
	if name == "" {
		return fs.ErrNotExist
	}
	f, err := t.fsys.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// setMode sets permission bits. Without owners and permissions a file can be
// read-only or not: that is set if no bit for writing is left, or all are; any
// other change is ignored, as the kernel's vfat does it.
func (t *tree) setMode(name string, in *fuse.SetAttrIn) error {
	mode, ok := in.GetMode()
	if !ok {
		return nil
	}
	if !t.o.KeepModes {
		fi, err := vfs.Lstat(t.fsys, name)
		if err != nil {
			return err
		}
		writers := 0o222 &^ uint32(t.o.Umask.Perm())
		was := t.permissions(fi.Mode())
		if fi.IsDir() || mode&0o555 != was&0o555 || mode&0o222 != 0 && mode&0o222 != writers || mode&0o222 == was&0o222 {
			return nil
		}
		if mode&0o222 == 0 {
			return vfs.Chmod(t.fsys, name, 0o444)
		}
		return vfs.Chmod(t.fsys, name, 0o666)
	}
	return vfs.Chmod(t.fsys, name, fs.FileMode(mode&0o777))
}

// setTimes sets time stamps.
func (t *tree) setTimes(name string, in *fuse.SetAttrIn) error {
	var times vfs.Times
	if at, ok := in.GetMTime(); ok {
		times.Modified = at
	}
	if at, ok := in.GetATime(); ok {
		times.Accessed = at
	}
	if times == (vfs.Times{}) {
		return nil
	}
	return vfs.Chtimes(t.fsys, name, times)
}
