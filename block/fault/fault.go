// Package fault is a device that fails on purpose.
//
// It passes every call on to another device and counts it; a [Rule] picks
// calls that fail, do half of their work, or take long. A test runs a sequence
// once to count its operations, then once more for every k with a rule that
// lets the k-th fail:
//
//	f := fault.New(d)
//	run(f)
//	for k := 1; k <= f.Count(fault.Any); k++ {
//		f := fault.New(fresh(), fault.Rule{Ops: fault.Any, At: k})
//		...
//	}
//
// As a device has to, it refuses every write and flush after a failed flush.
package fault

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"github.com/fatkit/fatkit/block"
)

// ErrInjected is the error of a rule that names none.
var ErrInjected = errors.New("injected fault")

// Op is a set of kinds of operations.
type Op uint16

// The kinds of operations.
const (
	Read     Op = 1 << iota // ReadAt
	Cached                  // ReadAtCached
	Segments                // AppendSegments
	Extents                 // AppendExtents
	Write                   // WriteAt
	FUA                     // WriteAtFUA
	File                    // WriteFile
	Zero                    // WriteZeroes
	Discard                 // Discard
	Flush                   // Flush
	Close                   // Close; it closes all the same

	Reads   = Read | Cached | Segments
	Changes = Write | FUA | File | Zero | Discard
	Any     = Reads | Extents | Changes | Flush | Close
)

const opKinds = 11

// Rule picks operations and says what happens to them.
type Rule struct {
	Ops    Op  // which kinds
	At     int // the first one that is hit, counted from 1 among those of Ops
	Sticky bool
	// Err is what the operation returns; nil means ErrInjected. With NoError
	// it succeeds, after the delay.
	Err     error
	NoError bool
	// Partial is how many bytes are carried out before the failure. A flush is
	// carried out if it is more than 0.
	Partial int64
	// Delay is how long the operation takes beforehand.
	Delay time.Duration
}

// armed is a rule and how many operations it has seen.
type armed struct {
	Rule
	seen int
}

// Device is the device that fails. Its methods may be called concurrently.
type Device struct {
	dev block.Device

	mu     sync.Mutex
	rules  []*armed
	counts [opKinds]int
	broken error // of the first flush that failed
}

var (
	_ block.Device       = (*Device)(nil)
	_ block.Zeroer       = (*Device)(nil)
	_ block.Discarder    = (*Device)(nil)
	_ block.FUAWriter    = (*Device)(nil)
	_ block.Extenter     = (*Device)(nil)
	_ block.Segmenter    = (*Device)(nil)
	_ block.FileWriter   = (*Device)(nil)
	_ block.CachedReader = (*Device)(nil)
	_ block.Limiter      = (*Device)(nil)
)

// New returns a device that passes on to d and fails by rules.
func New(d block.Device, rules ...Rule) *Device {
	f := &Device{dev: d}
	for _, r := range rules {
		f.Add(r)
	}
	return f
}

// Add adds a rule, which counts from now on.
func (d *Device) Add(r Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = append(d.rules, &armed{Rule: r})
}

// Clear removes all rules and forgets a failed flush.
func (d *Device) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules, d.broken = nil, nil
}

// Count returns how many operations of the given kinds there were.
func (d *Device) Count(ops Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for i, c := range d.counts {
		if ops&(1<<i) != 0 {
			n += c
		}
	}
	return n
}

// verdict is what happens to one operation.
type verdict struct {
	err     error // nil: nothing
	partial int64
}

// part returns how many of n bytes are carried out.
func (v verdict) part(n int64) int64 { return max(0, min(v.partial, n)) }

// judge counts an operation of one kind and decides about it.
func (d *Device) judge(op Op) verdict {
	v, delay := d.decide(op)
	if delay > 0 {
		time.Sleep(delay)
	}
	return v
}

func (d *Device) decide(op Op) (v verdict, delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[bits.TrailingZeros16(uint16(op))]++
	for _, r := range d.rules {
		if r.Ops&op == 0 {
			continue
		}
		r.seen++
		if r.seen != r.At && !(r.Sticky && r.seen > r.At) {
			continue
		}
		delay += r.Delay
		if v.err == nil && !r.NoError {
			v = verdict{r.Err, r.Partial}
			if v.err == nil {
				v.err = ErrInjected
			}
		}
	}
	if d.broken != nil && op&(Changes|Flush) != 0 {
		return verdict{err: d.broken}, delay
	}
	if op == Flush && v.err != nil {
		d.broken = fmt.Errorf("a flush failed before: %w", v.err)
	}
	return v, delay
}
