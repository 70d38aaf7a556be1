package qcow2

import (
	"context"
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// Preallocation says how much is allocated before the disk is written.
type Preallocation uint8

// The kinds of preallocation, with qemu-img's words for them.
const (
	PreallocateOff      Preallocation = iota // "off": nothing
	PreallocateMetadata                      // "metadata": places in the file, which stays sparse
	PreallocateFalloc                        // "falloc": space of the host as well
	PreallocateFull                          // "full": zeroes are written
)

// ParsePreallocation returns the kind with a name.
func ParsePreallocation(name string) (Preallocation, error) {
	for i, n := range preallocationNames {
		if n == name {
			return Preallocation(i), nil
		}
	}
	return 0, fmt.Errorf("qcow2: preallocation %q is none of off, metadata, falloc, full", name)
}

var preallocationNames = [...]string{"off", "metadata", "falloc", "full"}

func (p Preallocation) String() string { return preallocationNames[p] }

// preallocateStep is how many bytes of the disk get their places between looks
// at the context.
const preallocateStep = 64 << 20

// Preallocate gives every cluster of [off, off+n) that has none a place in the
// file. The disk reads as before. Where a backing file shows that is
// errors.ErrUnsupported, since places would hide it.
func (img *Image) Preallocate(ctx context.Context, off, n int64, kind Preallocation) error {
	if err := img.enterWrite(off, n); err != nil || kind == PreallocateOff {
		return img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := min(preallocateStep, n)
		if err := img.preallocate(off, m, kind); err != nil {
			return err
		}
		off, n = off+m, n-m
	}
	return img.flush()
}

// preallocate is Preallocate for a piece of the disk.
func (img *Image) preallocate(off, n int64, kind Preallocation) error {
	if img.maps.crowded() {
		if err := img.flush(); err != nil {
			return err
		}
	}
	e := img.maps.enter()
	defer e.Release()
	for n > 0 {
		r, err := img.maps.find(off, n)
		if err != nil {
			return err
		}
		if r.state == unallocated && img.backed && (img.backing == nil || r.off < img.backing.Size()) {
			return &diskerr.FeatureError{Format: formatName, Names: []string{"preallocation over a backing file"}}
		}
		m := r.n
		if r.state == unallocated || r.state == zeroed {
			p, err := img.makePlan(off, r.n)
			if err != nil {
				return err
			}
			if p != nil {
				if err := img.carryOut(p, payload{room: kind}, 0); err != nil {
					return err
				}
				m = p.n
			}
		}
		off, n = off+m, n-m
	}
	return nil
}

// writeRoom makes n bytes at host read as zeroes, in the way of the kind. fresh
// says that they do.
func (kind Preallocation) writeRoom(c *container, host, n int64, fresh bool) error {
	if kind == PreallocateMetadata {
		if fresh {
			return c.reserve(host + n)
		}
		return c.zero(host, n)
	}
	if err := c.reserve(host + n); err != nil {
		return err
	}
	if kind == PreallocateFalloc {
		return block.WriteZeroes(c.dev, host, n, block.NoHole)
	}
	for n > 0 {
		m := min(n, int64(len(zeroes)))
		if err := c.writeAt(zeroes[:m], host); err != nil {
			return err
		}
		host, n = host+m, n-m
	}
	return nil
}
