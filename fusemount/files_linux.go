package fusemount

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/vfs"
)

// handle is an open file.
type handle struct {
	f     vfs.File
	node  *node
	write bool
}

// handles are the open files and directories by the numbers that the kernel has
// for them.
type handles struct {
	mu   sync.RWMutex
	byID map[uint64]any // *handle or *listing
	last uint64
}

// add gives something a number.
func (h *handles) add(x any) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.byID[h.last] = x
	return h.last
}

// file returns the open file with a number, or nil.
func (h *handles) file(id uint64) *handle {
	h.mu.RLock()
	defer h.mu.RUnlock()
	f, _ := h.byID[id].(*handle)
	return f
}

// listing returns the open directory with a number, or nil.
func (h *handles) listing(id uint64) *listing {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l, _ := h.byID[id].(*listing)
	return l
}

// take returns what has a number, and takes that back.
func (h *handles) take(id uint64) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.byID[id]
	delete(h.byID, id)
	return x
}

// takeAll is take for everything.
func (h *handles) takeAll() []any {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []any
	for _, x := range h.byID {
		all = append(all, x)
	}
	clear(h.byID)
	return all
}

// accessOf returns what of the flags of an open file the tree needs to know. The
// kernel appends by itself, since it knows the size.
func accessOf(flags uint32) int { return int(flags) & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) }

// openFlags are the kernel's hints for an open file. What changes through the
// mount alone stays in the page cache.
func (t *tree) openFlags() uint32 {
	if t.o.Timeout == 0 {
		return fuse.FOPEN_KEEP_CACHE
	}
	return 0
}

// keep makes f an open file of n.
func (t *tree) keep(f vfs.File, n *node, flags int, out *fuse.OpenOut) {
	h := &handle{f: f, node: n, write: flags != os.O_RDONLY}
	t.nodes.opened(n, h)
	out.Fh, out.OpenFlags = t.handles.add(h), t.openFlags()
}

// Flush implements fuse.RawFileSystem: nothing is kept back that closing a file
// would have to write. The kernel does not ask again.
func (t *tree) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Open implements fuse.RawFileSystem. Where nothing changes the kernel is told to
// do without: it reads from nodes then.
func (t *tree) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if t.frozen() {
		return fuse.ENOSYS
	}
	t.names.RLock()
	defer t.names.RUnlock()
	n, name, status := t.at(in.NodeId)
	if status != fuse.OK {
		return status
	}
	flags := accessOf(in.Flags)
	f, err := t.fsys.OpenFile(name, flags, 0)
	if err != nil {
		return errnoOf(err)
	}
	t.keep(f, n, flags, out)
	return fuse.OK
}

// Create implements fuse.RawFileSystem.
func (t *tree) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	flags := accessOf(in.Flags)
	var f vfs.File
	status := t.create(in.NodeId, name, &out.EntryOut, func(full string) (err error) {
		how := flags | os.O_CREATE | int(in.Flags)&(unix.O_EXCL|unix.O_TRUNC)
		if flags == os.O_RDONLY {
			how &^= os.O_TRUNC // the file is new, or the kernel will empty it
		}
		f, err = t.fsys.OpenFile(full, how, fs.FileMode(in.Mode&0o777))
		return err
	})
	if status != fuse.OK {
		if f != nil {
			t.tell("close", t.nodes.root, f.Close())
		}
		return status
	}
	t.keep(f, t.nodes.get(out.NodeId), flags, &out.OpenOut)
	return fuse.OK
}

// Release implements fuse.RawFileSystem.
func (t *tree) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h, ok := t.handles.take(in.Fh).(*handle)
	if !ok {
		return
	}
	t.tell("close", h.node, h.f.Close())
	t.nodes.closed(h.node, h)
}

// Read implements fuse.RawFileSystem.
func (t *tree) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if t.frozen() {
		return t.readNode(in, buf)
	}
	h := t.handles.file(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	n, err := h.f.ReadAt(buf[:in.Size], int64(in.Offset))
	if err != nil && err != io.EOF {
		return nil, errnoOf(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (t *tree) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := t.handles.file(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	defer t.changes.Add(1)
	n, err := h.f.WriteAt(data, int64(in.Offset))
	if err != nil && n == 0 {
		return 0, errnoOf(err)
	}
	return uint32(n), fuse.OK
}

// Fsync implements fuse.RawFileSystem. The kernel has written the pages that
// were mapped before.
func (t *tree) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := t.handles.file(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return errnoOf(h.f.Sync())
}

// zeroer is a file that can zero ranges better than by writing zeroes.
type zeroer interface {
	WriteZeroes(off, n int64) error
}

// Fallocate implements fuse.RawFileSystem: room for what is to come, and holes in
// a device.
func (t *tree) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := t.handles.file(in.Fh)
	off, n := int64(in.Offset), int64(in.Length)
	switch {
	case h == nil:
		return fuse.EBADF
	case off < 0 || n <= 0 || off+n < off:
		return fuse.EINVAL
	}
	defer t.changes.Add(1)
	switch in.Mode {
	case 0:
		fi, err := h.f.Stat()
		if err == nil && fi.Size() < off+n {
			err = h.f.Truncate(off + n)
		}
		return errnoOf(err)
	case unix.FALLOC_FL_KEEP_SIZE:
		return errnoOf(vfs.Reserve(h.f, off+n))
	case unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE:
		if z, ok := h.f.(zeroer); ok {
			return errnoOf(z.WriteZeroes(off, n))
		}
	}
	return fuse.Status(syscall.EOPNOTSUPP)
}

// seeker is a file that knows where its data is. whence is unix.SEEK_DATA or
// unix.SEEK_HOLE; past the last data the error matches syscall.ENXIO.
type seeker interface {
	SeekData(off int64, whence int) (int64, error)
}

// Lseek implements fuse.RawFileSystem. The kernel does without once it is told
// that there is no such thing.
func (t *tree) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	h := t.handles.file(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	s, ok := h.f.(seeker)
	if !ok {
		return fuse.ENOSYS
	}
	at, err := s.SeekData(int64(in.Offset), int(in.Whence))
	out.Offset = uint64(at)
	return errnoOf(err)
}
