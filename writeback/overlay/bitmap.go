package overlay

import (
	"math/bits"
	"sync/atomic"
)

// sectorBytes is the unit in which writes are remembered.
const sectorBytes = 512

// clusterSectors is the number of sectors in a cluster of the image. Two
// clusters are one word of a bitmap.
const (
	clusterBytes   = 16 << 10
	clusterSectors = clusterBytes / sectorBytes
)

// RoomBytes is the unit in which the image takes room.
const RoomBytes = clusterBytes

const (
	pageWords = 512
	pageBits  = pageWords * 64
)

// bitmap is a set of sectors. Loads and stores are atomic; bits are only ever
// set. It takes 8 bytes for each 16 MiB, and 4 KiB where something is set.
type bitmap struct {
	pages []atomic.Pointer[[pageWords]atomic.Uint64]
}

func newBitmap(sectors int64) *bitmap {
	return &bitmap{make([]atomic.Pointer[[pageWords]atomic.Uint64], (sectors+pageBits-1)/pageBits)}
}

// has reports whether sector i is in the set.
func (b *bitmap) has(i int64) bool { return b.word(i)>>(i%64)&1 != 0 }

// word returns the word that holds sector i.
func (b *bitmap) word(i int64) uint64 {
	p := b.pages[i/pageBits].Load()
	if p == nil {
		return 0
	}
	return p[i%pageBits/64].Load()
}

// set adds the sectors [i, end) and returns how many clusters had none in the
// set before.
func (b *bitmap) set(i, end int64) (clusters int64) {
	for i < end {
		slot := &b.pages[i/pageBits]
		p := slot.Load()
		if p == nil {
			slot.CompareAndSwap(nil, new([pageWords]atomic.Uint64))
			p = slot.Load()
		}
		mask, next := wordMask(i, end)
		w := &p[i%pageBits/64]
		old := w.Load()
		if old|mask != old {
			old = w.Or(mask)
		}
		clusters += newHalves(old, mask)
		i = next
	}
	return clusters
}

// missing returns how many clusters of [i, end) have no sector in the set.
func (b *bitmap) missing(i, end int64) (clusters int64) {
	for i < end {
		mask, next := wordMask(i, end)
		clusters += newHalves(b.word(i), mask)
		i = next
	}
	return clusters
}

// wordMask returns the bits of [i, end) in the word of i, and where the next
// word begins.
func wordMask(i, end int64) (mask uint64, next int64) {
	next = min((i/64+1)*64, end)
	mask = ^uint64(0) << (i % 64)
	if n := next % 64; n != 0 {
		mask &= 1<<n - 1
	}
	return mask, next
}

// newHalves counts the halves of a word that are empty in old and not in mask.
func newHalves(old, mask uint64) (n int64) {
	if uint32(old) == 0 && uint32(mask) != 0 {
		n++
	}
	if old>>32 == 0 && mask>>32 != 0 {
		n++
	}
	return n
}

// run reports whether sector i is in the set, and where the run of sectors of
// which the same is true ends, at most at end.
func (b *bitmap) run(i, end int64) (in bool, next int64) {
	in = b.has(i)
	for i < end {
		p := b.pages[i/pageBits].Load()
		if p == nil {
			if in {
				break
			}
			i = (i/pageBits + 1) * pageBits
			continue
		}
		w := p[i%pageBits/64].Load()
		if in {
			w = ^w
		}
		if w >>= i % 64; w != 0 {
			i += int64(bits.TrailingZeros64(w))
			break
		}
		i = (i/64 + 1) * 64
	}
	return in, min(i, end)
}

// addAll adds the sectors of o.
func (b *bitmap) addAll(o *bitmap) {
	for n := range o.pages {
		p := o.pages[n].Load()
		if p == nil {
			continue
		}
		b.pages[n].CompareAndSwap(nil, new([pageWords]atomic.Uint64))
		to := b.pages[n].Load()
		for i := range p {
			to[i].Or(p[i].Load())
		}
	}
}

// count returns the number of sectors in the set.
func (b *bitmap) count() (n int64) {
	for i := range b.pages {
		if p := b.pages[i].Load(); p != nil {
			for w := range p {
				n += int64(bits.OnesCount64(p[w].Load()))
			}
		}
	}
	return n
}
