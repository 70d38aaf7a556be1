package blocktest

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
)

// broken is a device on memory with one fault. The zero broken has none.
type broken struct {
	*mem.Device
	readAt   func(d *mem.Device, p []byte, off int64) (int, error)
	cached   func(d *mem.Device, p []byte, off int64) (int, error)
	writeAt  func(d *mem.Device, p []byte, off int64) (int, error)
	zero     func(d *mem.Device, off, n int64, f block.ZeroFlags) error
	segments func(d *mem.Device, dst []block.Segment, off, n int64) ([]block.Segment, error)
	extents  func(d *mem.Device, dst []block.Extent, off, n int64) ([]block.Extent, error)
	limits   func(l block.Limits) block.Limits
	close    func(d *mem.Device) error
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if b.readAt != nil {
		return b.readAt(b.Device, p, off)
	}
	return b.Device.ReadAt(p, off)
}

func (b broken) ReadAtCached(p []byte, off int64) (int, error) {
	if b.cached != nil {
		return b.cached(b.Device, p, off)
	}
	return b.Device.ReadAt(p, off)
}

func (b broken) WriteAt(p []byte, off int64) (int, error) {
	if b.writeAt != nil {
		return b.writeAt(b.Device, p, off)
	}
	return b.Device.WriteAt(p, off)
}

func (b broken) WriteAtFUA(p []byte, off int64) (int, error) { return b.WriteAt(p, off) }

func (b broken) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	if b.zero != nil {
		return b.zero(b.Device, off, n, f)
	}
	return b.Device.WriteZeroes(off, n, f)
}

func (b broken) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if b.segments != nil {
		return b.segments(b.Device, dst, off, n)
	}
	return b.Device.AppendSegments(dst, off, n)
}

func (b broken) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if b.extents != nil {
		return b.extents(b.Device, dst, off, n)
	}
	return b.Device.AppendExtents(dst, off, n)
}

func (b broken) Limits() block.Limits {
	if b.limits != nil {
		return b.limits(b.Device.Limits())
	}
	return b.Device.Limits()
}

func (b broken) Close() error {
	if b.close != nil {
		return b.close(b.Device)
	}
	return b.Device.Close()
}

// faults lists one fault each, and the checks that must notice it.
var faults = []struct {
	name    string
	noticed string // names of checks, space-separated
	device  broken
	o       Options
}{
	{"reads exactly to the end give EOF", "ReadBounds", broken{
		readAt: func(d *mem.Device, p []byte, off int64) (int, error) {
			n, err := d.ReadAt(p, off)
			if err == nil && n > 0 && off+int64(n) == d.Size() {
				err = io.EOF
			}
			return n, err
		}}, Options{}},
	{"reads past the end give zeroes", "ReadBounds", broken{
		readAt: func(d *mem.Device, p []byte, off int64) (int, error) {
			_, err := d.ReadAt(p, off)
			if err == io.EOF {
				return len(p), nil
			}
			return len(p), err
		}}, Options{}},
	{"cached reads are stale", "ReadsAgree", broken{
		cached: func(d *mem.Device, p []byte, off int64) (int, error) {
			n, err := d.ReadAt(p, off)
			clear(p[:n/2])
			return n, err
		}}, Options{}},
	{"writes past the end are cut short", "WriteBounds", broken{
		writeAt: func(d *mem.Device, p []byte, off int64) (int, error) {
			if off >= 0 && off < d.Size() && off+int64(len(p)) > d.Size() {
				p = p[:d.Size()-off]
			}
			return d.WriteAt(p, off)
		}}, Options{}},
	{"writes spill", "RandomOperations", broken{
		writeAt: func(d *mem.Device, p []byte, off int64) (int, error) {
			n, err := d.WriteAt(p, off)
			if off > 0 && n%4096 != 0 && n > 100 {
				_, _ = d.WriteAt([]byte{0}, off-1)
			}
			return n, err
		}}, Options{}},
	{"zeroing misses an odd head", "ZeroFlags RandomOperations", broken{
		zero: func(d *mem.Device, off, n int64, f block.ZeroFlags) error {
			if err := block.CheckRange(off, n, d.Size()); err != nil {
				return err
			}
			head := min(n, (512-off%512)%512)
			return d.WriteZeroes(off+head, n-head, f)
		}}, Options{}},
	{"writes lose those of others nearby", "ConcurrentWrites", broken{
		writeAt: func(d *mem.Device, p []byte, off int64) (int, error) {
			if err := block.CheckRange(off, int64(len(p)), d.Size()); err != nil {
				return 0, err
			}
			start := off &^ (1<<17 - 1)
			all := make([]byte, min(1<<18, d.Size()-start))
			_, _ = d.ReadAt(all, start)
			time.Sleep(100 * time.Microsecond)
			copy(all[off-start:], p)
			_, err := d.WriteAt(all, start)
			return len(p), err
		}}, Options{}},
	{"a refused FastOnly has zeroed", "ZeroFlags", broken{
		zero: func(d *mem.Device, off, n int64, f block.ZeroFlags) error {
			err := d.WriteZeroes(off, n, f)
			if err == nil && f&block.FastOnly != 0 {
				err = fmt.Errorf("slow: %w", unsupported)
			}
			return err
		}}, Options{}},
	{"segments lose their last byte", "ReadsAgree SegmentsCover", broken{
		segments: func(d *mem.Device, dst []block.Segment, off, n int64) ([]block.Segment, error) {
			return d.AppendSegments(dst, off, max(n-1, 0))
		}}, Options{}},
	{"segments replace what was there", "SegmentsCover", broken{
		segments: func(d *mem.Device, dst []block.Segment, off, n int64) ([]block.Segment, error) {
			return d.AppendSegments(dst[:0], off, n)
		}}, Options{}},
	{"segments of nothing", "SegmentsCover", broken{
		segments: func(d *mem.Device, dst []block.Segment, off, n int64) ([]block.Segment, error) {
			dst, err := d.AppendSegments(dst, off, n)
			if n == 0 && err == nil {
				dst = append(dst, block.ZeroSegment(0))
			}
			return dst, err
		}}, Options{}},
	{"segments past the end", "RangesPastTheEnd", broken{
		segments: func(d *mem.Device, dst []block.Segment, off, n int64) ([]block.Segment, error) {
			if off >= 0 && off < d.Size() && n > d.Size()-off {
				n = d.Size() - off
			}
			return d.AppendSegments(dst, off, n)
		}}, Options{}},
	{"everything is a zero extent", "ExtentsCover", broken{
		extents: func(d *mem.Device, dst []block.Extent, off, n int64) ([]block.Extent, error) {
			if err := block.CheckRange(off, n, d.Size()); err != nil || n == 0 {
				return dst, err
			}
			return append(dst, block.Extent{Off: off, Len: n, Flags: block.Zero}), nil
		}}, Options{}},
	{"extents go too far", "ExtentsCover", broken{
		extents: func(d *mem.Device, dst []block.Extent, off, n int64) ([]block.Extent, error) {
			dst, err := d.AppendExtents(dst, off, n)
			if err == nil && n > 0 {
				dst[len(dst)-1].Len++
			}
			return dst, err
		}}, Options{}},
	{"limits that are no power of two", "Limits", broken{
		limits: func(l block.Limits) block.Limits { l.PreferredBlock = 1000; return l }}, Options{}},
	{"does not say that it is read-only", "Limits ReadOnly", broken{}, Options{ReadOnly: true}},
	{"works after Close", "Closed CloseWhileBusy", broken{
		close: func(d *mem.Device) error { return nil }}, Options{}},
}

var unsupported = error(&diskerr.FeatureError{Format: "test"})

// Every check that should notice a fault does.
func TestFaultsAreNoticed(t *testing.T) {
	for _, f := range faults {
		for _, name := range strings.Fields(f.noticed) {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				if err := runOne(t, name, f.device, f.o); err == nil {
					t.Error("not noticed")
				} else {
					t.Log(err)
				}
			})
		}
	}
}

// A device without a fault passes every check, so it is the faults that are
// noticed above.
func TestNoFaultPasses(t *testing.T) {
	Run(t, func(testing.TB) block.Device { return broken{Device: mem.New(2 << 20)} }, Options{})
}

func init() { stopWithin = time.Second } // a fault waits for this

func runOne(t *testing.T, name string, b broken, o Options) error {
	for _, c := range checks {
		if c.name == name {
			b.Device = mem.New(2 << 20)
			defer b.Device.Close() // ends the callers of a check that gave up
			return c.once(b, t, o)
		}
	}
	t.Fatalf("there is no check %s", name)
	return nil
}
