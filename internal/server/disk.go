package server

import (
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/stack"
)

// disk is the device behind an export: it answers from the current generation
// and can be given another one while it is read.
//
// A call is answered by one generation from its beginning to its end. The one
// that was exchanged is closed when the last call on it has returned; what
// the segments of such a call pin stays pinned, as block.Device.Close says.
type disk struct {
	current atomic.Pointer[held]
	size    int64
	limits  block.Limits
	onClose func(error)              // told of an old generation's Close; may be nil
	watch   atomic.Pointer[bootRead] // nil unless somebody waits for a reset guest
}

// held counts the users of one generation's device: 1 for being current, and
// 1 for each call under way.
type held struct {
	device block.Device
	close  func() error
	users  atomic.Int64
	closed chan struct{}
	err    error // of Close; read after closed
}

var (
	_ block.Device       = (*disk)(nil)
	_ block.Zeroer       = (*disk)(nil)
	_ block.Discarder    = (*disk)(nil)
	_ block.FUAWriter    = (*disk)(nil)
	_ block.FileWriter   = (*disk)(nil)
	_ block.Extenter     = (*disk)(nil)
	_ block.Segmenter    = (*disk)(nil)
	_ block.CachedReader = (*disk)(nil)
	_ block.Limiter      = (*disk)(nil)
)

// newDisk returns a disk that answers from g. Size and limits are g's from
// then on, whatever generation follows. The disk owns g.
func newDisk(g *stack.Generation, onClose func(error)) *disk {
	d := &disk{size: g.Device.Size(), limits: block.LimitsOf(g.Device), onClose: onClose}
	d.current.Store(hold(g))
	return d
}

func hold(g *stack.Generation) *held {
	h := &held{device: g.Device, close: g.Close, closed: make(chan struct{})}
	h.users.Store(1)
	return h
}

// enter counts a call on h, unless h has ended.
func (h *held) enter() bool {
	for {
		n := h.users.Load()
		if n == 0 {
			return false
		}
		if h.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave ends a call; the last one out closes the device.
func (d *disk) leave(h *held) {
	if h.users.Add(-1) > 0 {
		return
	}
	h.err = h.close()
	close(h.closed)
	if d.onClose != nil {
		d.onClose(h.err)
	}
}

// enter returns the current generation with a call counted on it.
func (d *disk) enter() (*held, error) {
	for {
		h := d.current.Load()
		if h == nil {
			return nil, fs.ErrClosed
		}
		if h.enter() {
			return h, nil
		}
	}
}

// exchange makes d answer from next, whose size is that of d, and which d
// owns from now on. It returns false, and next is the caller's, if d is closed.
func (d *disk) exchange(next *stack.Generation) bool {
	if next.Device.Size() != d.size {
		panic("server: a generation changed the size of its disk")
	}
	h := hold(next)
	for {
		old := d.current.Load()
		if old == nil {
			return false
		}
		if d.current.CompareAndSwap(old, h) {
			d.leave(old)
			return true
		}
	}
}

// before looks at a read that is about to be answered: one that tells of a
// reset guest makes a new generation first. cached says that the caller may
// not wait; it gets block.ErrWouldBlock then.
func (d *disk) before(off int64, cached bool) error {
	if w := d.watch.Load(); w != nil {
		return w.before(off, cached)
	}
	return nil
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if err := d.before(off, false); err != nil {
		return 0, err
	}
	h, err := d.enter()
	if err != nil {
		return 0, err
	}
	defer d.leave(h)
	return h.device.ReadAt(p, off)
}

func (d *disk) ReadAtCached(p []byte, off int64) (int, error) {
	if err := d.before(off, true); err != nil {
		return 0, err
	}
	h, err := d.enter()
	if err != nil {
		return 0, err
	}
	defer d.leave(h)
	return block.ReadAtCached(h.device, p, off)
}

func (d *disk) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := d.before(off, false); err != nil {
		return dst, err
	}
	h, err := d.enter()
	if err != nil {
		return dst, err
	}
	defer d.leave(h)
	return block.AppendSegments(h.device, dst, off, n)
}

func (d *disk) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	h, err := d.enter()
	if err != nil {
		return dst, err
	}
	defer d.leave(h)
	return block.AppendExtents(h.device, dst, off, n)
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	h, err := d.enter()
	if err != nil {
		return 0, err
	}
	defer d.leave(h)
	return h.device.WriteAt(p, off)
}

func (d *disk) WriteAtFUA(p []byte, off int64) (int, error) {
	h, err := d.enter()
	if err != nil {
		return 0, err
	}
	defer d.leave(h)
	return block.WriteAtFUA(h.device, p, off)
}

func (d *disk) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	h, err := d.enter()
	if err != nil {
		return err
	}
	defer d.leave(h)
	return block.WriteFile(h.device, off, f, srcOff, n)
}

func (d *disk) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	h, err := d.enter()
	if err != nil {
		return err
	}
	defer d.leave(h)
	return block.WriteZeroes(h.device, off, n, f)
}

func (d *disk) Discard(off, n int64) error {
	h, err := d.enter()
	if err != nil {
		return err
	}
	defer d.leave(h)
	return block.Discard(h.device, off, n)
}

func (d *disk) Flush() error {
	h, err := d.enter()
	if err != nil {
		return err
	}
	defer d.leave(h)
	return h.device.Flush()
}

func (d *disk) Size() int64          { return d.size }
func (d *disk) Limits() block.Limits { return d.limits }

// Close refuses new calls, waits for those under way and closes the current
// generation.
func (d *disk) Close() error {
	h := d.current.Swap(nil)
	if h == nil {
		return fs.ErrClosed
	}
	d.leave(h)
	<-h.closed
	return h.err
}
