package fat

import (
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// maxScratchBytes bounds what a check without repair may want to change. Only
// a volume that is damaged all over exceeds it.
const maxScratchBytes = 32 << 20

// scratch is a device whose changes stay in memory and are lost: the checker
// tries its repairs on it.
type scratch struct {
	inner block.Device

	mu      sync.RWMutex
	sectors map[int64]*[sectorBytes]byte
}

var _ block.Device = (*scratch)(nil)

func newScratch(d block.Device) *scratch {
	return &scratch{inner: d, sectors: map[int64]*[sectorBytes]byte{}}
}

func (s *scratch) Size() int64  { return s.inner.Size() }
func (s *scratch) Flush() error { return nil }
func (s *scratch) Close() error { return nil }

func (s *scratch) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.inner.ReadAt(p, off)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.sectors) == 0 {
		return n, err
	}
	for done := 0; done < n; {
		at := off + int64(done)
		skip := int(at % sectorBytes)
		m := min(sectorBytes-skip, n-done)
		if x := s.sectors[at/sectorBytes]; x != nil {
			copy(p[done:done+m], x[skip:])
		}
		done += m
	}
	return n, err
}

func (s *scratch) WriteAt(p []byte, off int64) (int, error) {
	if err := block.CheckRange(off, int64(len(p)), s.Size()); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for done := 0; done < len(p); {
		at := off + int64(done)
		skip := int(at % sectorBytes)
		m := min(sectorBytes-skip, len(p)-done)
		x := s.sectors[at/sectorBytes]
		if x == nil {
			if len(s.sectors) >= maxScratchBytes/sectorBytes {
				return done, &diskerr.NoSpaceError{What: "memory of a check without repair", Needed: -1,
					Available: maxScratchBytes, Hint: "the volume is damaged all over: repair a copy of it"}
			}
			x = new([sectorBytes]byte)
			first := at - int64(skip)
			if err := block.ReadFull(s.inner, x[:min(sectorBytes, s.Size()-first)], first); err != nil {
				return done, err
			}
			s.sectors[at/sectorBytes] = x
		}
		copy(x[skip:], p[done:done+m])
		done += m
	}
	return len(p), nil
}
