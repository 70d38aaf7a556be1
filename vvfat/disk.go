package vvfat

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// DiskOptions tune a [Disk].
type DiskOptions struct {
	// MaxOpenFiles bounds the files kept open for the next read; 0 means 256.
	// Segments that are not released yet come on top.
	MaxOpenFiles int
	// Consistent turns zero-copy off: file contents are copied, and checked
	// afterwards, so no reply carries bytes that a host program writes in that
	// very moment.
	Consistent bool
	// Locate, which may be nil, finds files that are moved while the disk is
	// in use. Files that are open stay open.
	Locate Locator
	// Event is told of the first failure of each file. It must not block.
	Event func(Event)
}

// Event says that a file of the host cannot be served any more.
type Event struct {
	Path string // slash-separated, as the disk shows it
	Err  error  // matches diskerr.ErrChanged if the file is not what was scanned
}

// Disk is the disk of a layout, a read-only block.Device.
//
// A file of the host is compared with what was scanned (size, time of change,
// inode): before its range is passed on for zero-copy, and after its bytes were
// copied. One that changed fails with diskerr.ErrChanged. One that was replaced
// by renaming goes on from its old inode for as long as that is open here.
//
// Reads allocate nothing once the files and directories they touch are open
// and rendered.
type Disk struct {
	l     *Layout
	o     DiskOptions
	files openFiles
	dirs  dirCache

	// life is held for reading by every call and for writing by Close.
	life   sync.RWMutex
	closed bool
}

var (
	_ block.Device       = (*Disk)(nil)
	_ block.Segmenter    = (*Disk)(nil)
	_ block.Extenter     = (*Disk)(nil)
	_ block.CachedReader = (*Disk)(nil)
	_ block.Limiter      = (*Disk)(nil)
)

const defaultOpenFiles = 256

// NewDisk returns the disk of a layout. The tree of the layout must stay open
// until the disk is closed and its segments are released.
func NewDisk(l *Layout, o DiskOptions) *Disk {
	if o.MaxOpenFiles <= 0 {
		o.MaxOpenFiles = defaultOpenFiles
	}
	d := &Disk{l: l, o: o}
	d.files.init(l.tree, &d.o)
	d.dirs.init(l)
	return d
}

// Layout returns the layout of the disk.
func (d *Disk) Layout() *Layout { return d.l }

// Size implements block.Device.
func (d *Disk) Size() int64 { return d.l.id.SizeBytes }

// Limits implements block.Limiter.
func (d *Disk) Limits() block.Limits {
	return block.Limits{ReadOnly: true, MinBlock: 1, PreferredBlock: 4096, Extents: true}
}

// enter refuses calls on a closed disk. The caller calls d.life.RUnlock if
// there is no error.
func (d *Disk) enter() error {
	d.life.RLock()
	if d.closed {
		d.life.RUnlock()
		return fs.ErrClosed
	}
	return nil
}

// WriteAt implements block.Device: it refuses.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.life.RUnlock()
	return 0, diskerr.ErrReadOnly
}

// Flush implements block.Device: there is nothing to flush.
func (d *Disk) Flush() error {
	if err := d.enter(); err != nil {
		return err
	}
	d.life.RUnlock()
	return nil
}

// Close implements block.Device. Files that segments pin are closed when these
// are released.
func (d *Disk) Close() error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return fs.ErrClosed
	}
	d.closed = true
	d.files.closeAll()
	d.dirs.drop()
	return nil
}

// ReadAt implements block.Device.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.life.RUnlock()
	size := d.Size()
	if off < 0 {
		return 0, diskerr.ErrOutOfRange
	}
	if off > size || off == size && len(p) > 0 {
		return 0, io.EOF
	}
	var eof error
	if int64(len(p)) > size-off {
		p, eof = p[:size-off], io.EOF
	}
	if n, err := d.fill(p, off, false); err != nil {
		return n, err
	}
	return len(p), eof
}

// ReadAtCached implements block.CachedReader.
func (d *Disk) ReadAtCached(p []byte, off int64) (int, error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.life.RUnlock()
	if block.CheckRange(off, int64(len(p)), d.Size()) != nil {
		return 0, block.ErrWouldBlock // ReadAt finds the right error
	}
	if _, err := d.fill(p, off, true); err != nil {
		return 0, err
	}
	return len(p), nil
}

// fill reads all of p, which lies on the disk, and returns how much of it is
// there. With cached set it returns block.ErrWouldBlock rather than wait.
func (d *Disk) fill(p []byte, off int64, cached bool) (int, error) {
	done := 0
	for done < len(p) {
		r := d.l.runAt(off + int64(done))
		q := p[done:]
		if int64(len(q)) > r.n {
			q = q[:r.n]
		}
		var err error
		switch r.kind {
		case runZero:
			clear(q)
		case runBytes:
			copy(q, r.data)
		case runFAT:
			renderFAT(d.l, q, r.off)
		case runDir:
			err = d.dirs.read(q, r.id, r.off, cached)
		case runFile:
			err = d.readFile(q, r.id, r.off, cached)
		}
		if err != nil {
			return done, err
		}
		done += len(q)
	}
	return done, nil
}

// entryScratch is what fatfmt needs to render entries in batches.
var entryScratch = sync.Pool{New: func() any { return new([512]uint32) }}

// renderFAT sets p to the bytes of a FAT from off on.
func renderFAT(l *Layout, p []byte, off int64) {
	s := entryScratch.Get().(*[512]uint32)
	l.geo.Type.RenderEntries(p, off, s[:], l)
	entryScratch.Put(s)
}

// readFile reads bytes of a file, all of them within its size, and makes sure
// that they are those of the file that was scanned. Looking afterwards is
// enough: it compares with the scan, so whatever changed before or during the
// read shows, and a look beforehand, two fifths of the cost of a small read,
// would find nothing more.
func (d *Disk) readFile(p []byte, id NodeID, off int64, cached bool) error {
	f, err := d.files.acquire(id, cached)
	if err != nil {
		return err
	}
	defer f.Release()
	if cached {
		_, err = f.content.ReadAtCached(p, off)
		if errors.Is(err, hostfs.ErrWouldWait) {
			return block.ErrWouldBlock
		}
	} else if n, e := f.content.ReadAt(p, off); n < len(p) {
		err = e
	}
	if changed := d.files.check(f); changed != nil {
		return changed
	}
	if err != nil {
		return d.files.fail(id, err)
	}
	return nil
}

// AppendExtents implements block.Extenter. All clusters in use are data, also
// the slack behind the end of files; the free ones and unused FAT are holes.
func (d *Disk) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := d.enter(); err != nil {
		return dst, err
	}
	defer d.life.RUnlock()
	if err := block.CheckRange(off, n, d.Size()); err != nil {
		return dst, err
	}
	start := len(dst)
	for n > 0 {
		hole, length := d.l.holeAt(off)
		length = min(length, n)
		e := block.Extent{Off: off, Len: length}
		if hole {
			e.Flags = block.Hole | block.Zero
		}
		if last := len(dst) - 1; last >= start && dst[last].Flags == e.Flags {
			dst[last].Len += length
		} else {
			dst = append(dst, e)
		}
		off, n = off+length, n-length
	}
	return dst, nil
}
