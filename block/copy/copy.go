// Package copy copies one device to another: sparsely, in parallel, and
// without passing the bytes through memory where the devices allow.
//
// Ranges that the source knows to be zeroes are not read. Ranges of host files
// go to the target as such (block.WriteFile), which for a file target is a
// copy inside the kernel or a sharing of blocks. Everything small, such as the
// many files of a directory tree, is gathered into writes of a mebibyte.
//
// The source must not change meanwhile. The copy is not flushed. After an error
// the target holds any mixture of old and new.
package copy

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

const (
	// taskBytes is the most data that a worker takes at once, and the
	// alignment of what it takes.
	taskBytes = 4 << 20
	// zeroTaskBytes is the most zeroes that a worker takes at once.
	zeroTaskBytes = 1 << 30
	// minZeroes is the shortest run of zeroes that is worth an operation of
	// its own instead of being written along with its neighbours.
	minZeroes = 32 << 10
	// alignBytes is what runs of zeroes are cut to, so that what is written
	// around them begins and ends on pages. A target's blocks may be larger.
	alignBytes = 4096
	// maxWorkers is the most workers that are used by default.
	maxWorkers = 8
)

// Options tune Copy.
type Options struct {
	// Workers is how many goroutines copy; 0 means one for each processor, at
	// least 2 and at most 8.
	Workers int
	// Progress is told how many bytes of the source are dealt with, zeroes
	// included, and how many there are. It is called by one goroutine at a
	// time, with rising done, and ends with done == total on success.
	Progress func(done, total int64)
	// TargetIsZero promises that the target reads as zeroes everywhere, such
	// as a new file, so that zeroes need not be written.
	TargetIsZero bool
	// NoHole keeps zeroes allocated in the target.
	NoHole bool
	// SparseBytes looks for zeroes in what the source calls data, in aligned
	// blocks of this many bytes, and treats runs of them as zeroes. It makes
	// every byte pass through memory. 0 means not to look.
	SparseBytes int
}

// Error is an error of the source or of the target.
type Error struct {
	Op  string // "read", "write", or "copy" where the two are one
	Off int64  // bytes from the start of the device
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%s at offset %d: %v", e.Op, e.Off, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Copy copies src to dst, which may be larger; what lies beyond stays as it is.
// A smaller dst is a diskerr.NoSpaceError. A dst of blocks that src's size is no
// multiple of is an error. It returns the first error of a device as *Error, or
// ctx's.
func Copy(ctx context.Context, dst, src block.Device, o Options) error {
	total := src.Size()
	if have := dst.Size(); have < total {
		return &diskerr.NoSpaceError{What: "target", Needed: total, Available: have}
	}
	minBlock := int64(max(1, block.LimitsOf(dst).MinBlock))
	if total%minBlock != 0 {
		return fmt.Errorf("%d bytes do not fill whole blocks of %d bytes of the target", total, minBlock)
	}
	if o.SparseBytes > 0 {
		o.SparseBytes = (o.SparseBytes + int(minBlock) - 1) / int(minBlock) * int(minBlock)
	}
	workers := o.Workers
	if workers <= 0 {
		workers = min(max(runtime.GOMAXPROCS(0), 2), maxWorkers)
	}
	c := &copier{dst: dst, src: src, o: o, total: total, minBlock: minBlock, align: max(alignBytes, minBlock)}
	g, ctx := errgroup.WithContext(ctx)
	tasks := make(chan task, workers)
	g.Go(func() error {
		defer close(tasks)
		return c.plan(ctx, tasks)
	})
	for range workers {
		g.Go(func() error {
			w := newWorker(c)
			for t := range tasks {
				if err := w.run(ctx, t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// copier is one copy under way.
type copier struct {
	dst, src block.Device
	o        Options
	total    int64
	minBlock int64 // of the target
	align    int64 // of runs of zeroes

	mu   sync.Mutex
	done int64
}

// advance reports n more bytes.
func (c *copier) advance(n int64) {
	if c.o.Progress == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += n
	c.o.Progress(c.done, c.total)
}

// task is a range for one worker.
type task struct {
	off, n int64
	zero   bool
}

// plan cuts the source into tasks: long runs of zeroes, and everything else.
func (c *copier) plan(ctx context.Context, tasks chan<- task) error {
	var data task // data found and not sent yet
	for e, err := range block.Extents(c.src, 0, c.total) {
		if err != nil {
			return &Error{"read", data.off + data.n, err}
		}
		zero := c.inner(e)
		data.n += zero.off - e.Off
		if zero.n > 0 || data.n >= 2*taskBytes {
			// Of data that may go on, keep what fills no task.
			full := data.n
			if zero.n == 0 {
				full = (data.off+data.n)/taskBytes*taskBytes - data.off
			}
			if err := send(ctx, tasks, task{off: data.off, n: full}, taskBytes); err != nil {
				return err
			}
			data.off, data.n = data.off+full, data.n-full
		}
		if zero.n == 0 {
			continue
		}
		if err := send(ctx, tasks, zero, zeroTaskBytes); err != nil {
			return err
		}
		data = task{off: zero.off + zero.n, n: e.Off + e.Len - zero.off - zero.n}
	}
	return send(ctx, tasks, data, taskBytes)
}

// inner returns the aligned part of a zero extent if that is long enough, else
// an empty task at the end of e.
func (c *copier) inner(e block.Extent) task {
	end := e.Off + e.Len
	if e.Flags&block.Zero != 0 {
		off, n := c.alignedPart(e.Off, e.Len)
		if n >= minZeroes {
			return task{off, n, true}
		}
	}
	return task{off: end}
}

// alignedPart returns the part of [off, off+n) between aligned offsets; the end
// of the device counts as one. It may be empty or negative.
func (c *copier) alignedPart(off, n int64) (int64, int64) {
	from, to := (off+c.align-1)/c.align*c.align, off+n
	if to < c.total {
		to = to / c.align * c.align
	}
	return from, to - from
}

// send sends t in pieces of at most step bytes, cut at multiples of it.
func send(ctx context.Context, tasks chan<- task, t task, step int64) error {
	for t.n > 0 {
		one := t
		one.n = min(t.n, step-t.off%step)
		select {
		case tasks <- one:
		case <-ctx.Done():
			return ctx.Err()
		}
		t.off, t.n = t.off+one.n, t.n-one.n
	}
	return nil
}
