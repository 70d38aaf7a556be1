package blocktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

func checkLimits(e *env) error {
	l, size := block.LimitsOf(e.dev), e.dev.Size()
	for name, v := range map[string]int{"MinBlock": l.MinBlock, "PreferredBlock": l.PreferredBlock} {
		if v < 0 || v&(v-1) != 0 {
			return fmt.Errorf("Limits.%s is %d: not a power of two", name, v)
		}
	}
	switch {
	case size <= 0:
		return fmt.Errorf("Size is %d: the suite needs a device that is not empty", size)
	case l.MinBlock > 1 && size%int64(l.MinBlock) != 0:
		return fmt.Errorf("Size %d is no multiple of Limits.MinBlock %d", size, l.MinBlock)
	case l.MaxTransfer < 0 || l.MaxTransfer > 0 && l.MaxTransfer < l.MinBlock:
		return fmt.Errorf("Limits.MaxTransfer is %d with MinBlock %d", l.MaxTransfer, l.MinBlock)
	case l.ReadOnly != e.o.ReadOnly:
		return fmt.Errorf("Limits.ReadOnly is %v", l.ReadOnly)
	case l.FastZero && !l.Zero:
		return errors.New("Limits.FastZero without Zero")
	}
	return nil
}

// checkReadBounds reads at and around the end, by ReadAt and by ReadAtCached,
// which must tell the same unless it says that it would wait.
func checkReadBounds(e *env) error {
	size, u := e.dev.Size(), e.unit()
	cases := []struct {
		off, len int64
		n        int64
		err      error
	}{
		{0, 0, 0, nil},
		{size, 0, 0, nil},
		{size + u, 0, 0, io.EOF},
		{size, u, 0, io.EOF},
		{size + u, u, 0, io.EOF},
		{math.MaxInt64/u*u - u, u, 0, io.EOF},
		{size - u, u, u, nil},
		{size - u, 3 * u, u, io.EOF},
		{-u, u, 0, diskerr.ErrOutOfRange},
		{-u, 0, 0, diskerr.ErrOutOfRange},
		{math.MinInt64 / u * u, u, 0, diskerr.ErrOutOfRange},
	}
	for _, c := range cases {
		n, err := e.dev.ReadAt(make([]byte, c.len), c.off)
		if int64(n) != c.n || !errors.Is(err, c.err) {
			return fmt.Errorf("ReadAt of %d bytes at %d of %d: %d, %v; want %d, %v", c.len, c.off, size, n, err, c.n, c.err)
		}
		n, err = block.ReadAtCached(e.dev, make([]byte, c.len), c.off)
		if !errors.Is(err, block.ErrWouldBlock) && (int64(n) != c.n || !errors.Is(err, c.err)) {
			return fmt.Errorf("ReadAtCached of %d bytes at %d of %d: %d, %v; want %d, %v", c.len, c.off, size, n, err, c.n, c.err)
		}
	}
	return nil
}

// checkReadsAgree compares every way to read with ReadAt.
func checkReadsAgree(e *env) error {
	if !e.o.ReadOnly {
		if err := e.scribble(); err != nil {
			return err
		}
	}
	for _, s := range e.spans(60) {
		want, err := e.read(s)
		if err != nil {
			return err
		}
		if err := e.comparePieces(s, want); err != nil {
			return err
		}
		got := make([]byte, s.n)
		n, err := block.ReadAtCached(e.dev, got, s.off)
		if err == nil && (n != len(got) || !bytes.Equal(got, want)) {
			return fmt.Errorf("ReadAtCached %v: %d bytes, %s", s, n, diff(got, want))
		}
		if err != nil && !errors.Is(err, block.ErrWouldBlock) {
			return fmt.Errorf("ReadAtCached %v: %w", s, err)
		}
		got, err = e.bySegments(s)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("segments of %v: %s", s, diff(got, want))
		}
	}
	return nil
}

// comparePieces reads s in small pieces.
func (e *env) comparePieces(s span, want []byte) error {
	for off := int64(0); off < s.n; {
		m := min(s.n-off, (e.rng.Int64N(20000)/e.unit()+1)*e.unit())
		got, err := e.read(span{s.off + off, m})
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want[off:off+m]) {
			return fmt.Errorf("ReadAt of %d bytes at %d within %v: %s", m, s.off+off, s, diff(got, want[off:off+m]))
		}
		off += m
	}
	return nil
}

// bySegments reads s through its segments, after checking that they cover it.
func (e *env) bySegments(s span) ([]byte, error) {
	segs, err := block.AppendSegments(e.dev, nil, s.off, s.n)
	defer func() { block.ReleaseAll(segs) }()
	if err != nil {
		return nil, fmt.Errorf("AppendSegments %v: %w", s, err)
	}
	return gather(segs, s)
}

// gather reads segs, which must cover s exactly.
func gather(segs []block.Segment, s span) ([]byte, error) {
	out := make([]byte, 0, s.n)
	for i := range segs {
		g := &segs[i]
		if g.Len <= 0 || g.Len > s.n-int64(len(out)) {
			return nil, fmt.Errorf("segment %d of %v has %d bytes, %d are left", i, s, g.Len, s.n-int64(len(out)))
		}
		if g.Data != nil && (int64(len(g.Data)) != g.Len || g.File != nil) {
			return nil, fmt.Errorf("segment %d of %v has %d bytes of data for a length of %d, file %v", i, s, len(g.Data), g.Len, g.File)
		}
		p := make([]byte, g.Len+1)
		n, err := g.ReadAt(p, 0)
		if int64(n) != g.Len || err != io.EOF {
			return nil, fmt.Errorf("reading segment %d of %v: %d of %d bytes, %v", i, s, n, g.Len, err)
		}
		half := g.Len / 2
		tail := make([]byte, g.Len-half)
		if n, err := g.ReadAt(tail, half); n != len(tail) || err != nil {
			return nil, fmt.Errorf("reading the half of segment %d of %v: %d, %v", i, s, n, err)
		}
		if !bytes.Equal(tail, p[half:g.Len]) {
			return nil, fmt.Errorf("segment %d of %v reads differently in parts", i, s)
		}
		out = append(out, p[:n]...)
	}
	if int64(len(out)) != s.n {
		return nil, fmt.Errorf("segments of %v cover %d of %d bytes", s, len(out), s.n)
	}
	return out, nil
}

// checkSegmentsCover checks that AppendSegments appends: what dst held before
// stays.
func checkSegmentsCover(e *env) error {
	mark := block.DataSegment([]byte("mark"), nil)
	for _, s := range e.spans(30) {
		segs, err := block.AppendSegments(e.dev, []block.Segment{mark}, s.off, s.n)
		if err == nil && (len(segs) == 0 || string(segs[0].Data) != "mark") {
			err = errors.New("what dst held before is gone")
		}
		if err == nil {
			_, err = gather(segs[1:], s)
		}
		block.ReleaseAll(segs)
		if err != nil {
			return fmt.Errorf("AppendSegments %v: %w", s, err)
		}
	}
	if segs, err := block.AppendSegments(e.dev, nil, e.dev.Size(), 0); err != nil || len(segs) != 0 {
		return fmt.Errorf("AppendSegments of nothing: %d segments, %v", len(segs), err)
	}
	return nil
}

// checkSegmentsOutliveClose reads segments after the device was closed.
func checkSegmentsOutliveClose(e *env) error {
	s := e.spans(0)[0]
	want, err := e.read(s)
	if err != nil {
		return err
	}
	segs, err := block.AppendSegments(e.dev, nil, s.off, s.n)
	defer func() { block.ReleaseAll(segs) }()
	if err != nil {
		return fmt.Errorf("AppendSegments %v: %w", s, err)
	}
	if err := e.close(); err != nil {
		return fmt.Errorf("Close with segments held: %w", err)
	}
	got, err := gather(segs, s)
	if err != nil {
		return fmt.Errorf("after Close: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("segments changed by Close: %s", diff(got, want))
	}
	return nil
}

func checkExtentsCover(e *env) error {
	if !e.o.ReadOnly {
		if err := e.scribble(); err != nil {
			return err
		}
	}
	mark := block.Extent{Off: -7, Len: 7, Flags: 99}
	for _, s := range e.spans(60) {
		ext, err := block.AppendExtents(e.dev, []block.Extent{mark}, s.off, s.n)
		if err != nil {
			return fmt.Errorf("AppendExtents %v: %w", s, err)
		}
		if len(ext) == 0 || ext[0] != mark {
			return fmt.Errorf("AppendExtents %v: what dst held before is gone", s)
		}
		if err := e.compareExtents(ext[1:], s); err != nil {
			return fmt.Errorf("extents of %v: %w", s, err)
		}
	}
	if ext, err := block.AppendExtents(e.dev, nil, e.dev.Size(), 0); err != nil || len(ext) != 0 {
		return fmt.Errorf("AppendExtents of nothing: %v, %v", ext, err)
	}
	return nil
}

// compareExtents checks that ext covers s, and that what it calls zero is.
func (e *env) compareExtents(ext []block.Extent, s span) error {
	want, err := e.read(s)
	if err != nil {
		return err
	}
	at := s.off
	for i, x := range ext {
		if x.Off != at || x.Len <= 0 || x.Len > s.off+s.n-at {
			return fmt.Errorf("extent %d is %+v; %d is the next byte", i, x, at)
		}
		if x.Flags&^(block.Hole|block.Zero) != 0 {
			return fmt.Errorf("extent %d is %+v: unknown flags", i, x)
		}
		p := want[x.Off-s.off:][:x.Len]
		if x.Flags&block.Zero != 0 && len(bytes.TrimLeft(p, "\x00")) > 0 {
			return fmt.Errorf("extent %d is %+v but does not read as zeroes", i, x)
		}
		at += x.Len
	}
	if at != s.off+s.n {
		return fmt.Errorf("they end at %d", at)
	}
	return nil
}

// checkPastTheEnd asks for segments and extents where none are.
func checkPastTheEnd(e *env) error {
	size, u := e.dev.Size(), e.unit()
	for _, s := range []span{{size - u, 2 * u}, {size, u}, {size + u, 0}, {-u, u}, {0, -u}, {u, math.MaxInt64 / u * u}} {
		segs, err := block.AppendSegments(e.dev, nil, s.off, s.n)
		n := len(segs)
		block.ReleaseAll(segs)
		if n != 0 || !errors.Is(err, diskerr.ErrOutOfRange) {
			return fmt.Errorf("AppendSegments of %d bytes at %d: %d segments, %v; want %v", s.n, s.off, n, err, diskerr.ErrOutOfRange)
		}
		ext, err := block.AppendExtents(e.dev, nil, s.off, s.n)
		if len(ext) != 0 || !errors.Is(err, diskerr.ErrOutOfRange) {
			return fmt.Errorf("AppendExtents of %d bytes at %d: %v, %v; want %v", s.n, s.off, ext, err, diskerr.ErrOutOfRange)
		}
	}
	return nil
}

// checkConcurrentReads reads the same ranges from several goroutines, by
// different ways.
func checkConcurrentReads(e *env) error {
	spans := e.spans(20)
	want := make([][]byte, len(spans))
	for i, s := range spans {
		p, err := e.read(s)
		if err != nil {
			return err
		}
		want[i] = p
	}
	const readers = 4
	errs := make([]error, readers)
	var wg sync.WaitGroup
	for r := range readers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i, s := range spans {
				read := e.read
				if (i+r)%2 == 0 {
					read = e.bySegments
				}
				got, err := read(s)
				if err == nil && !bytes.Equal(got, want[i]) {
					err = fmt.Errorf("%v: %s", s, diff(got, want[i]))
				}
				if err != nil {
					errs[r] = fmt.Errorf("reader %d: %w", r, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// diff says where got differs from want.
func diff(got, want []byte) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("byte %d of %d is %#02x, want %#02x", i, len(want), got[i], want[i])
		}
	}
	return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
}
