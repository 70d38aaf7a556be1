// Package overlay is temporary copy-on-write: a device that shows another one,
// the base, and keeps what is written in a store, so that the base never
// changes.
//
// The device is cut into blocks, 4 KiB unless the base has larger ones. Two
// bits in memory say where each block's bytes are:
//
//	state  read from  written in part                 written whole  discarded, zeroed
//	base   the base   copied up from the base: data   data           zero
//	data   the store  data                            data           zero
//	zero   nowhere    filled up with zeroes: data     data           zero
//
// A block is in the store at the offset that it has on the device, so the store
// is as large as the base and as sparse as what was written; a temporary file
// (file.CreateTemp) or memory (mem.New) will do, whatever it contains.
//
// The states are nowhere else: when the device is closed, everything written is
// lost. Flush and FUA therefore succeed without doing anything. For an overlay
// that survives, use a qcow2 image with a backing file.
//
// Reads take no locks. A block's bytes are in the store before its state says
// so.
package overlay

import (
	"errors"
	"fmt"
	"sync"

	"github.com/fatkit/fatkit/block"
)

const (
	minBlockBytes = 4096
	maxBlockBytes = 1 << 20
	// minRegionBytes is the grain of locking, or more where the blocks are so
	// large that they would not fill a word of states.
	minRegionBytes = 1 << 20
	locks          = 64
)

// Device is a copy-on-write view. Its methods may be called concurrently.
type Device struct {
	gate       block.Gate
	base       block.Device
	store      block.Device
	opts       Options
	size       int64
	blockBytes int64
	states     states

	regionBytes int64 // a power of two; its blocks fill whole words of states

	// locks[i] guards the states of regions whose number is i modulo locks:
	// held for writing to change them, for reading to write to blocks that
	// stay as they are. Loading a state needs no lock.
	locks [locks]sync.RWMutex
	zeros []byte // a block of zeroes, never written
	bufs  sync.Pool
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

// Options tune New.
type Options struct {
	// CloseBase makes Close close the base too.
	CloseBase bool
}

// New returns a view of base whose changes go to store, which belongs to the
// overlay from then on. The store must be at least as large as the base, take
// writes of any size at any offset, and be used for nothing else.
func New(base, store block.Device, o Options) (*Device, error) {
	size, l := base.Size(), block.LimitsOf(base)
	if store.Size() < size {
		return nil, fmt.Errorf("a store of %d bytes is too small for an overlay on %d bytes", store.Size(), size)
	}
	if sl := block.LimitsOf(store); sl.ReadOnly || sl.MinBlock > 1 || sl.MaxTransfer > 0 {
		return nil, errors.New("the store of an overlay must take writes of any size at any offset")
	}
	d := &Device{base: base, store: store, opts: o, size: size, blockBytes: max(minBlockBytes, int64(l.MinBlock))}
	d.regionBytes = max(minRegionBytes, d.blockBytes*statesPerWord)
	if d.blockBytes > maxBlockBytes {
		return nil, fmt.Errorf("blocks of %d bytes are too large for an overlay", d.blockBytes)
	}
	if m := int64(l.MaxTransfer); m > 0 && m < d.blockBytes {
		return nil, fmt.Errorf("transfers of %d bytes are too small for an overlay", m)
	}
	d.states.init((size + d.blockBytes - 1) / d.blockBytes)
	d.zeros = make([]byte, d.blockBytes)
	d.bufs.New = func() any { p := make([]byte, d.blockBytes); return &p }
	return d, nil
}

// Size returns the size of the base in bytes.
func (d *Device) Size() int64 { return d.size }

// Limits returns those of the base, but for what the overlay does itself.
func (d *Device) Limits() block.Limits {
	l := block.LimitsOf(d.base)
	l.ReadOnly = false
	l.PreferredBlock = max(l.PreferredBlock, int(d.blockBytes))
	l.Discard, l.Zero, l.FastZero, l.FUA, l.Extents = true, true, true, true, true
	return l
}

// Used returns how many bytes of the store hold data.
func (d *Device) Used() int64 { return d.states.data.Load() * d.blockBytes }

// Flush does nothing: what is here does not outlive Close.
func (d *Device) Flush() error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	d.gate.Leave()
	return nil
}

// Close closes the store, and the base if Options.CloseBase was set.
func (d *Device) Close() error {
	if err := d.gate.Close(); err != nil {
		return err
	}
	err := d.store.Close()
	if d.opts.CloseBase {
		err = errors.Join(err, d.base.Close())
	}
	return err
}

// enter begins a call on [off, off+n). After nil the caller leaves the gate.
func (d *Device) enter(off, n int64) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	err := block.CheckRange(off, n, d.size)
	if err != nil {
		d.gate.Leave()
	}
	return err
}
