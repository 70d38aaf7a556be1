package overlay

import (
	"math/bits"
	"sync/atomic"
)

// state says where a block's bytes are.
type state uint8

const (
	inBase state = iota // the zero value
	inStore
	isZero
)

const (
	stateBits     = 2
	statesPerWord = 64 / stateBits
	wordsPerPage  = 1024
	statesPerPage = statesPerWord * wordsPerPage
)

// page is the states of statesPerPage blocks, 8 KiB of them.
type page [wordsPerPage]atomic.Uint64

// states holds the state of every block, in pages that exist from the first
// change on: 2 bits a block where something was written, and 8 bytes for each
// 128 MiB elsewhere. Loads need no lock; whoever stores holds the lock of the
// blocks' region.
type states struct {
	pages []atomic.Pointer[page]
	data  atomic.Int64 // blocks inStore
}

func (s *states) init(blocks int64) {
	s.pages = make([]atomic.Pointer[page], (blocks+statesPerPage-1)/statesPerPage)
}

// at returns the state of block i.
func (s *states) at(i int64) state {
	p := s.pages[i/statesPerPage].Load()
	if p == nil {
		return inBase
	}
	w := p[i%statesPerPage/statesPerWord].Load()
	return state(w >> (i % statesPerWord * stateBits) & 3)
}

// run returns the state of block i and how many blocks from there to before
// end share it.
func (s *states) run(i, end int64) (state, int64) {
	st, from := s.at(i), i
	for i < end {
		p := s.pages[i/statesPerPage].Load()
		switch {
		case p == nil && st != inBase:
			return st, i - from
		case p == nil:
			i = (i/statesPerPage + 1) * statesPerPage
		default:
			w := p[i%statesPerPage/statesPerWord].Load()
			shift := i % statesPerWord * stateBits
			same := matching(w, st) >> shift
			n := int64(bits.TrailingZeros64(^same)) / stateBits
			i += n
			if shift/stateBits+n < statesPerWord {
				return st, min(i, end) - from
			}
		}
	}
	return st, end - from
}

// matching returns w with both bits of every state equal to st set, and those
// of the others cleared.
func matching(w uint64, st state) uint64 {
	const low = 0x5555_5555_5555_5555
	differ := w ^ low*uint64(st)
	differ = (differ | differ>>1) & low
	return ^(differ | differ<<1)
}

// set makes the blocks [i, end) have state st. The caller holds their region's
// lock for writing.
func (s *states) set(i, end int64, st state) {
	for ; i < end; i++ {
		slot := &s.pages[i/statesPerPage]
		p := slot.Load()
		if p == nil {
			if st == inBase {
				continue
			}
			// Other regions share the page, and their locks are not ours.
			slot.CompareAndSwap(nil, new(page))
			p = slot.Load()
		}
		word := &p[i%statesPerPage/statesPerWord]
		old := word.Load() // nobody else stores to this word
		shift := i % statesPerWord * stateBits
		word.Store(old&^(3<<shift) | uint64(st)<<shift)
		if was := state(old >> shift & 3); was != st {
			s.count(was, -1)
			s.count(st, 1)
		}
	}
}

func (s *states) count(st state, n int64) {
	if st == inStore {
		s.data.Add(n)
	}
}
