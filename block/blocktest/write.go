package blocktest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// noise fills p with bytes that are no zeroes.
func (e *env) noise(p []byte) {
	const odd = 0x0101_0101_0101_0101
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, e.rng.Uint64()|odd)
		p = p[8:]
	}
	for i := range p {
		p[i] = byte(e.rng.Uint32()) | 1
	}
}

// write writes p and wants no less.
func (e *env) write(p []byte, off int64) error {
	if n, err := e.dev.WriteAt(p, off); n != len(p) || err != nil {
		return fmt.Errorf("WriteAt of %d bytes at %d: %d, %v", len(p), off, n, err)
	}
	return nil
}

// scribble puts data, zeroes and holes on the device.
func (e *env) scribble() error {
	for i, s := range e.spans(40) {
		p := make([]byte, s.n)
		e.noise(p)
		if err := e.write(p, s.off); err != nil {
			return err
		}
		if i%3 == 0 {
			cut := e.spanIn(s.off, s.off+s.n)
			if err := block.WriteZeroes(e.dev, cut.off, cut.n, 0); err != nil {
				return fmt.Errorf("WriteZeroes %v: %w", cut, err)
			}
		}
	}
	return nil
}

// change is one way to change a device.
type change struct {
	name string
	do   func(off, n int64) error
}

func (e *env) changes() []change {
	return []change{
		{"WriteAt", func(off, n int64) error {
			return refused(n)(e.dev.WriteAt(make([]byte, max(n, 0)), off))
		}},
		{"WriteAtFUA", func(off, n int64) error {
			return refused(n)(block.WriteAtFUA(e.dev, make([]byte, max(n, 0)), off))
		}},
		{"WriteZeroes", func(off, n int64) error { return block.WriteZeroes(e.dev, off, n, 0) }},
		{"WriteZeroes NoHole", func(off, n int64) error { return block.WriteZeroes(e.dev, off, n, block.NoHole) }},
		{"Discard", func(off, n int64) error { return block.Discard(e.dev, off, n) }},
	}
}

// refused turns the results of a write of n bytes, which is refused whole if it
// is, into one error.
func refused(n int64) func(int, error) error {
	return func(done int, err error) error {
		if err != nil && done != 0 || err == nil && int64(done) != n {
			return fmt.Errorf("%d of %d bytes written, error %v", done, n, err)
		}
		return err
	}
}

// checkWriteBounds changes the device past its end, which must do nothing.
func checkWriteBounds(e *env) error {
	size, u := e.dev.Size(), e.unit()
	last := make([]byte, u)
	e.noise(last)
	if err := e.write(last, size-u); err != nil {
		return err
	}
	for _, c := range e.changes() {
		for _, s := range []span{{0, 0}, {size, 0}} {
			if err := c.do(s.off, s.n); err != nil {
				return fmt.Errorf("%s of nothing at %d: %w", c.name, s.off, err)
			}
		}
		for _, s := range []span{{size - u, 2 * u}, {size, u}, {size + u, 0}, {-u, u}, {math.MaxInt64/u*u - u, 2 * u}} {
			if err := c.do(s.off, s.n); !errors.Is(err, diskerr.ErrOutOfRange) {
				return fmt.Errorf("%s of %d bytes at %d of %d: %v, want %v", c.name, s.n, s.off, size, err, diskerr.ErrOutOfRange)
			}
		}
		if got, err := e.read(span{size - u, u}); err != nil || !bytes.Equal(got, last) {
			return fmt.Errorf("%s past the end changed what is before it (%v)", c.name, err)
		}
	}
	for _, c := range e.changes()[2:] { // those whose length can be negative
		if err := c.do(0, -u); !errors.Is(err, diskerr.ErrOutOfRange) {
			return fmt.Errorf("%s of %d bytes: %v, want %v", c.name, -u, err, diskerr.ErrOutOfRange)
		}
	}
	if e.dev.Size() != size {
		return fmt.Errorf("Size was %d and is %d", size, e.dev.Size())
	}
	return nil
}

// checkReadOnly tries every change.
func checkReadOnly(e *env) error {
	s := e.spans(0)[0]
	want, err := e.read(s)
	if err != nil {
		return err
	}
	for _, c := range e.changes() {
		err := c.do(s.off, s.n)
		// To drop a Discard is within its contract.
		if !errors.Is(err, diskerr.ErrReadOnly) && !(c.name == "Discard" && err == nil) {
			return fmt.Errorf("%s on a read-only device: %v, want %v", c.name, err, diskerr.ErrReadOnly)
		}
	}
	if err := e.dev.Flush(); err != nil {
		return fmt.Errorf("Flush of a read-only device: %w", err)
	}
	got, err := e.read(s)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("the contents changed: %s", diff(got, want))
	}
	return err
}

// checkZeroFlags checks that a refused FastOnly changes nothing, that the rest
// zeroes just the range, and that NoHole keeps it allocated.
func checkZeroFlags(e *env) error {
	u := e.unit()
	for _, f := range []block.ZeroFlags{0, block.NoHole, block.FastOnly, block.NoHole | block.FastOnly} {
		for _, s := range e.spans(10) {
			before := make([]byte, s.n)
			e.noise(before)
			if err := e.write(before, s.off); err != nil {
				return err
			}
			cut := e.spanIn(s.off, s.off+s.n)
			err := block.WriteZeroes(e.dev, cut.off, cut.n, f)
			switch {
			case err == nil:
				clear(before[cut.off-s.off:][:cut.n])
			case f&block.FastOnly == 0 || !errors.Is(err, errors.ErrUnsupported):
				return fmt.Errorf("WriteZeroes %v, flags %d: %w", cut, f, err)
			}
			got, rerr := e.read(s)
			if rerr != nil {
				return rerr
			}
			if !bytes.Equal(got, before) {
				return fmt.Errorf("WriteZeroes %v within %v, flags %d, %v: %s", cut, s, f, err, diff(got, before))
			}
		}
	}
	if l := block.LimitsOf(e.dev); l.FastZero {
		size := e.dev.Size()
		n := min(size, max(1<<20/u*u, u)) // large and aligned: no excuse
		if err := block.WriteZeroes(e.dev, 0, n, block.FastOnly); err != nil {
			return fmt.Errorf("Limits.FastZero, but WriteZeroes of %d bytes with FastOnly: %w", n, err)
		}
	}
	return nil
}

// checkWriteFile writes ranges of a host file, and one that is too short.
func checkWriteFile(e *env) error {
	path := filepath.Join(e.t.TempDir(), "source")
	src := make([]byte, e.most()/e.unit()*e.unit())
	e.noise(src)
	if err := os.WriteFile(path, src, 0o600); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, s := range e.spans(20) {
		at := e.rng.Int64N(int64(len(src)) - s.n + 1)
		if err := block.WriteFile(e.dev, s.off, f, at, s.n); err != nil {
			return fmt.Errorf("WriteFile %v: %w", s, err)
		}
		got, err := e.read(s)
		if err != nil {
			return err
		}
		if want := src[at:][:s.n]; !bytes.Equal(got, want) {
			return fmt.Errorf("WriteFile %v: %s", s, diff(got, want))
		}
	}
	if err := block.WriteFile(e.dev, 0, f, int64(len(src)), e.unit()); err == nil {
		return errors.New("WriteFile past the end of the source succeeded")
	}
	if err := block.WriteFile(e.dev, e.dev.Size(), f, 0, e.unit()); !errors.Is(err, diskerr.ErrOutOfRange) {
		return fmt.Errorf("WriteFile past the end of the device: %v, want %v", err, diskerr.ErrOutOfRange)
	}
	return nil
}

// checkConcurrentWrites lets goroutines write, zero, flush and read back
// ranges of their own, which interleave, while others read across all of them.
func checkConcurrentWrites(e *env) error {
	const writers, rounds = 4, 12
	size, u := e.dev.Size(), e.unit()
	stripe := max(u, min(size/writers/4, 40<<10, e.most())/u*u)
	if 4*writers*stripe > size { // four stripes for each
		return fmt.Errorf("a device of %d bytes is too small for the suite", size)
	}
	errs := make([]error, writers+1)
	var wg, readers sync.WaitGroup
	stop := make(chan struct{})
	readers.Add(1)
	go func() {
		defer readers.Done()
		p := make([]byte, min(4*writers*stripe, e.most()/u*u))
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := e.dev.ReadAt(p, 0); err != nil {
				errs[writers] = fmt.Errorf("reading while others write: %w", err)
				return
			}
		}
	}()
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for r := range rounds {
				off := int64((r%4)*writers+w) * stripe
				if err := writeAndCheck(e.dev, off, stripe, byte(1+r*writers+w), r); err != nil {
					errs[w] = fmt.Errorf("writer %d, round %d: %w", w, r, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	return errors.Join(errs...)
}

// writeAndCheck fills a range that nobody else touches with mark, zeroes its
// second half, and reads it back.
func writeAndCheck(d block.Device, off, n int64, mark byte, round int) error {
	p := bytes.Repeat([]byte{mark}, int(n))
	write := d.WriteAt
	if round%3 == 1 {
		write = func(p []byte, off int64) (int, error) { return block.WriteAtFUA(d, p, off) }
	}
	if _, err := write(p, off); err != nil {
		return err
	}
	u := max(1, int64(block.LimitsOf(d).MinBlock))
	half := n / 2 / u * u
	if err := block.WriteZeroes(d, off+half, n-half, 0); err != nil {
		return err
	}
	clear(p[half:])
	if round%4 == 3 {
		if err := d.Flush(); err != nil {
			return err
		}
	}
	got := make([]byte, n)
	if _, err := d.ReadAt(got, off); err != nil {
		return err
	}
	if !bytes.Equal(got, p) {
		return fmt.Errorf("%v: %s", span{off, n}, diff(got, p))
	}
	return nil
}
