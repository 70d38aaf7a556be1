// Package throttle is a device that moves data no faster than at a given rate.
//
// What is read and what is written counts together; zeroes that are known as
// such, discards and flushes are free. The rate holds over time: a single call
// is not slowed down within itself, the next one waits for it.
package throttle

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/fatkit/fatkit/block"
)

// Device passes on to another device. Its methods may be called concurrently.
type Device struct {
	dev  block.Device
	done <-chan struct{}
	rate float64 // bytes in a second

	mu   sync.Mutex
	free time.Time // when everything so far is paid for
}

var (
	_ block.Device       = (*Device)(nil)
	_ block.Zeroer       = (*Device)(nil)
	_ block.Discarder    = (*Device)(nil)
	_ block.FUAWriter    = (*Device)(nil)
	_ block.FileWriter   = (*Device)(nil)
	_ block.Extenter     = (*Device)(nil)
	_ block.Segmenter    = (*Device)(nil)
	_ block.CachedReader = (*Device)(nil)
	_ block.Limiter      = (*Device)(nil)
)

// New returns dev, which belongs to the result, at bytesPerSecond, more than 0.
// When ctx is done nothing waits any more: whoever copies looks at ctx itself.
func New(ctx context.Context, dev block.Device, bytesPerSecond int64) *Device {
	return &Device{dev: dev, done: ctx.Done(), rate: float64(bytesPerSecond)}
}

// pay waits until the calls before are paid for, and takes n bytes.
func (d *Device) pay(n int64) {
	d.mu.Lock()
	now := time.Now()
	if d.free.Before(now) {
		d.free = now
	}
	wait := d.free.Sub(now)
	d.free = d.free.Add(time.Duration(float64(n) / d.rate * float64(time.Second)))
	d.mu.Unlock()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.done:
	}
}

// Size returns the size of the device.
func (d *Device) Size() int64 { return d.dev.Size() }

// Limits returns the limits of the device.
func (d *Device) Limits() block.Limits { return block.LimitsOf(d.dev) }

// ReadAt reads at the rate.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	d.pay(int64(len(p)))
	return d.dev.ReadAt(p, off)
}

// ReadAtCached never reads, since it could have to wait.
func (d *Device) ReadAtCached(p []byte, off int64) (int, error) {
	if _, err := block.ReadAtCached(d.dev, p[:0], off); err != nil && err != block.ErrWouldBlock {
		return 0, err
	}
	return 0, block.ErrWouldBlock
}

// WriteAt writes at the rate.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	d.pay(int64(len(p)))
	return d.dev.WriteAt(p, off)
}

// WriteAtFUA writes at the rate.
func (d *Device) WriteAtFUA(p []byte, off int64) (int, error) {
	d.pay(int64(len(p)))
	return block.WriteAtFUA(d.dev, p, off)
}

// WriteFile writes at the rate.
func (d *Device) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	d.pay(n)
	return block.WriteFile(d.dev, off, f, srcOff, n)
}

// AppendSegments counts what is not zeroes.
func (d *Device) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	old := len(dst)
	dst, err := block.AppendSegments(d.dev, dst, off, n)
	data := int64(0)
	for i := old; i < len(dst); i++ {
		if dst[i].Data != nil || dst[i].File != nil {
			data += dst[i].Len
		}
	}
	d.pay(data)
	return dst, err
}

// WriteZeroes is free.
func (d *Device) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	return block.WriteZeroes(d.dev, off, n, f)
}

// Discard is free.
func (d *Device) Discard(off, n int64) error { return block.Discard(d.dev, off, n) }

// AppendExtents is free.
func (d *Device) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	return block.AppendExtents(d.dev, dst, off, n)
}

// Flush flushes the device.
func (d *Device) Flush() error { return d.dev.Flush() }

// Close closes the device.
func (d *Device) Close() error { return d.dev.Close() }
