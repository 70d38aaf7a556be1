package qcow2

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// FillOptions tune Fill.
type FillOptions struct {
	// Compress compresses every cluster that becomes smaller by it.
	Compress bool
	// Workers is how many pieces are under way at a time; 0 stands for twice
	// the number of processors.
	Workers int
	// TargetIsZero says that the image reads as zeroes, so that zeroes of the
	// source need not be written.
	TargetIsZero bool
	// Progress is told from time to time how many bytes of the source are
	// done. Calls do not overlap.
	Progress func(done, total int64)
}

// fillBytes is the size of the pieces that Fill works on, or the cluster size
// if that is more.
const fillBytes = 1 << 20

// Fill copies src, which is no larger than the disk, to the image. Reading,
// compressing and writing run in parallel; places are given out in the order of
// the disk, so the same source and options give the same file. Clusters of
// zeroes take no room. The image is not flushed at the end.
func Fill(ctx context.Context, img *Image, src block.Device, o FillOptions) error {
	if src.Size() > img.Size() {
		return fmt.Errorf("qcow2: %d bytes do not fit on a disk of %d: %w", src.Size(), img.Size(), diskerr.ErrOutOfRange)
	}
	if err := img.enterWrite(0, 0); err != nil {
		return err
	}
	defer img.gate.Leave()
	if o.Workers <= 0 {
		o.Workers = 2 * runtime.GOMAXPROCS(0)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.Workers)
	f := &filler{ctx: ctx, img: img, src: src, o: o}
	turn := make(chan struct{})
	close(turn)
	err := f.walk(func(off, n int64, zero bool) error {
		mine, next := turn, make(chan struct{})
		turn = next
		group.Go(func() error {
			pass := sync.OnceFunc(func() { close(next) })
			defer pass()
			return f.piece(off, n, zero, mine, pass)
		})
		return ctx.Err()
	})
	if werr := group.Wait(); werr != nil {
		return werr
	}
	if err == nil && img.opts.Mode == WriteThrough {
		err = img.push()
	}
	return err
}

// filler is one Fill under way.
type filler struct {
	ctx context.Context
	img *Image
	src block.Device
	o   FillOptions

	mu   sync.Mutex // held while Progress is called
	done int64
}

// walk calls do for pieces that cover the source in order. Zeroes that the
// source knows of make pieces of any length; the others begin and end at
// multiples of the piece size, so that their borders depend on nothing else.
func (f *filler) walk(do func(off, n int64, zero bool) error) error {
	size := max(fillBytes, f.img.geo.ClusterBytes())
	done := int64(0)
	for e, err := range block.Extents(f.src, 0, f.src.Size()) {
		if err != nil {
			return err
		}
		end := e.Off + e.Len
		if e.Flags&block.Zero != 0 {
			if end < f.src.Size() {
				end &^= size - 1 // the rest belongs to a piece with data
			}
			if end > done && done&(size-1) == 0 {
				if err := do(done, end-done, true); err != nil {
					return err
				}
				done = end
			}
			continue
		}
		for done < end {
			n := min(size-done&(size-1), f.src.Size()-done)
			if err := do(done, n, false); err != nil {
				return err
			}
			done += n
		}
	}
	return nil
}

// piece copies one piece. It takes its place in the image when wait is closed,
// and calls next when the one behind it may.
func (f *filler) piece(off, n int64, zero bool, wait <-chan struct{}, next func()) error {
	var pk *parcel
	if !zero {
		buf := getScratch(int(n))
		defer buf.Release()
		if err := block.ReadFull(f.src, buf.data, off); err != nil {
			return err
		}
		pk = f.img.pack(buf.data, off, f.o.Compress)
	}
	select {
	case <-wait:
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
	if f.img.maps.crowded() {
		if err := f.img.flush(); err != nil {
			return err
		}
	}
	err := f.zero(off, n, pk)
	if err == nil && pk != nil {
		err = f.img.place(pk)
	}
	next()
	if pk != nil {
		if derr := f.img.deliver(pk, err); err == nil {
			err = derr
		}
	}
	if err == nil {
		f.progress(n)
	}
	return err
}

// zero makes those clusters of a piece zeroes that pk does not write.
func (f *filler) zero(off, n int64, pk *parcel) error {
	if f.o.TargetIsZero {
		return nil
	}
	if pk == nil {
		return f.img.blank(off, n)
	}
	size := f.img.geo.ClusterBytes()
	for end := off + n; off < end; off += size {
		if !pk.writes(off) {
			if err := f.img.blank(off, min(size, end-off)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writes reports whether the parcel writes the cluster at off.
func (pk *parcel) writes(off int64) bool {
	for _, r := range pk.runs {
		if off >= r.off && off < r.off+r.n {
			return true
		}
	}
	for _, c := range pk.packed {
		if c.off == off {
			return true
		}
	}
	return false
}

func (f *filler) progress(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done += n
	if f.o.Progress != nil {
		f.o.Progress(f.done, f.src.Size())
	}
}
