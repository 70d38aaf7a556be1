// Package blocktest is the conformance suite that every block.Device passes.
//
// It checks the contract of package block: what happens at and past the end,
// that every capability tells the same bytes as ReadAt, that segments and
// extents cover a range exactly, that writes of all kinds do what they say and
// nothing else, that a read-only device changes nothing, that calls may overlap
// (run it with -race), and what Close means. It says nothing about durability
// beyond a clean close; power cuts are the business of block/crash.
//
// The suite writes all over a writable device. On a large one it looks at both
// ends and at random places between.
package blocktest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fatkit/fatkit/block"
)

// Options tune Run.
type Options struct {
	// ReadOnly says that the device must refuse changes. Its contents are what
	// ReadAt says and do not change while the suite runs.
	ReadOnly bool
	// Reopen opens the storage of the last device that the suite closed once
	// more. Nil leaves out the test that it holds what was written.
	Reopen func(t testing.TB) block.Device
	// Seed changes the random sequences.
	Seed uint64
	// Ops is the length of the random sequence of operations; 0 means 400.
	Ops int
}

// Run tests the devices that open returns, one for each subtest. The suite
// closes them.
func Run(t *testing.T, open func(t testing.TB) block.Device, o Options) {
	t.Helper()
	for _, c := range checks {
		if c.skip(o) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if err := c.once(open(t), t, o); err != nil {
				t.Error(err)
			}
		})
	}
}

// check is one rule of the contract. It gets a fresh device and returns how the
// device breaks the rule.
type check struct {
	name string
	run  func(e *env) error
	kind kind
}

type kind uint8

const (
	always kind = iota
	writableOnly
	readOnlyOnly
	reopening
)

var checks = []check{
	{"Limits", checkLimits, always},
	{"ReadBounds", checkReadBounds, always},
	{"ReadsAgree", checkReadsAgree, always},
	{"SegmentsCover", checkSegmentsCover, always},
	{"SegmentsOutliveClose", checkSegmentsOutliveClose, always},
	{"ExtentsCover", checkExtentsCover, always},
	{"RangesPastTheEnd", checkPastTheEnd, always},
	{"ConcurrentReads", checkConcurrentReads, always},
	{"Closed", checkClosed, always},
	{"CloseWhileBusy", checkCloseWhileBusy, always},
	{"ReadOnly", checkReadOnly, readOnlyOnly},
	{"WriteBounds", checkWriteBounds, writableOnly},
	{"ZeroFlags", checkZeroFlags, writableOnly},
	{"WriteFile", checkWriteFile, writableOnly},
	{"RandomOperations", checkRandomOperations, writableOnly},
	{"ConcurrentWrites", checkConcurrentWrites, writableOnly},
	{"Reopen", checkReopen, reopening},
}

func (c check) skip(o Options) bool {
	switch c.kind {
	case writableOnly:
		return o.ReadOnly
	case readOnlyOnly:
		return !o.ReadOnly
	case reopening:
		return o.ReadOnly || o.Reopen == nil
	}
	return false
}

// once runs the check on d and closes what it left open.
func (c check) once(d block.Device, t testing.TB, o Options) error {
	e := &env{dev: d, o: o, t: t, rng: rand.New(rand.NewPCG(o.Seed, uint64(len(c.name))))}
	err := c.run(e)
	if !e.closed {
		if cerr := e.dev.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("Close: %w", cerr))
		}
	}
	return err
}

// env is what a check works with.
type env struct {
	dev    block.Device
	o      Options
	t      testing.TB // for Reopen and temporary files only
	rng    *rand.Rand
	closed bool
}

func (e *env) close() error {
	e.closed = true
	return e.dev.Close()
}

// unit is the size in bytes that offsets and lengths have to be multiples of.
func (e *env) unit() int64 { return max(1, int64(block.LimitsOf(e.dev).MinBlock)) }

// most is the most bytes to move in one call.
func (e *env) most() int64 {
	m := int64(300 << 10)
	if l := int64(block.LimitsOf(e.dev).MaxTransfer); l > 0 {
		m = min(m, l)
	}
	return m
}

// span is a range of the device.
type span struct{ off, n int64 }

func (s span) String() string { return fmt.Sprintf("[%d, %d)", s.off, s.off+s.n) }

// spanIn returns a random range within [lo, hi): short ones, long ones, ones
// that touch an edge, and now and then one that lies on 4 KiB.
func (e *env) spanIn(lo, hi int64) span {
	u := e.unit()
	total := (hi - lo) / u
	n := e.rng.Int64N(min(total, e.most()/u)) + 1
	if e.rng.IntN(2) == 0 {
		n = min(n, e.rng.Int64N(16)+1)
	}
	at := e.rng.Int64N(total - n + 1)
	switch e.rng.IntN(8) {
	case 0:
		at = 0
	case 1:
		at = total - n
	case 2:
		if a := (at * u &^ 4095) / u; a+n <= total {
			at = a
		}
	}
	return span{lo + at*u, n * u}
}

// spans returns ranges to look at: the whole of a small device, else the two
// ends and random places.
func (e *env) spans(count int) []span {
	size, u := e.dev.Size(), e.unit()
	most := e.most() / u * u
	out := []span{{0, min(size, most)}, {max(0, size-most), min(size, most)}, {0, u}, {size - u, u}}
	for range count {
		out = append(out, e.spanIn(0, size))
	}
	return out
}

// read returns the bytes of s by ReadAt.
func (e *env) read(s span) ([]byte, error) {
	p := bytes.Repeat([]byte{0xA5}, int(s.n)) // what is not read must not look like zeroes
	n, err := e.dev.ReadAt(p, s.off)
	if err != nil || n != len(p) {
		return nil, fmt.Errorf("ReadAt %v: %d, %v", s, n, err)
	}
	return p, nil
}
