package mem

import "github.com/fatkit/fatkit/block"

// WriteZeroes frees the chunks of the range, or with block.NoHole clears them.
func (d *Device) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	if err := d.enter(off, n); err != nil {
		return err
	}
	defer d.gate.Leave()
	if f&block.NoHole == 0 {
		d.erase(off, n)
		return nil
	}
	for n > 0 {
		index, start, m := piece(off, n)
		s := d.shard(index)
		s.mu.Lock()
		clear(s.writable(index).data[start : start+m])
		s.mu.Unlock()
		off, n = off+m, n-m
	}
	return nil
}

// Discard frees the chunks of the range, which then reads as zeroes.
func (d *Device) Discard(off, n int64) error {
	return d.WriteZeroes(off, n, 0)
}

// AppendExtents tells holes, which read as zeroes, from data.
func (d *Device) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := d.enter(off, n); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	keep := len(dst)
	for n > 0 {
		index, _, m := piece(off, n)
		s := d.shard(index)
		s.mu.RLock()
		c := s.chunks[index]
		s.mu.RUnlock()
		e := block.Extent{Off: off, Len: m}
		if c == nil {
			e.Flags = block.Hole | block.Zero
		}
		dst = block.AppendExtent(dst, keep, e)
		off, n = off+m, n-m
	}
	return dst, nil
}

// erase makes a range read as zeroes and frees the chunks that lie in it. Its
// cost is bounded by the chunks in use as well as by the length of the range.
func (d *Device) erase(off, n int64) {
	if n/chunkBytes > int64(d.chunksInUse()) {
		d.eraseUsed(off, n)
		return
	}
	for n > 0 {
		index, _, m := piece(off, n)
		s := d.shard(index)
		s.mu.Lock()
		s.erase(index, off, m)
		s.mu.Unlock()
		off, n = off+m, n-m
	}
}

// eraseUsed is erase for a range of more chunks than are in use.
func (d *Device) eraseUsed(off, n int64) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		for index := range s.chunks {
			from := max(off, index*chunkBytes)
			to := min(off+n, (index+1)*chunkBytes)
			if from < to {
				s.erase(index, from, to-from)
			}
		}
		s.mu.Unlock()
	}
}

// erase zeroes n bytes at off, which lie in one chunk. The caller holds mu for
// writing.
func (s *shard) erase(index, off, n int64) {
	switch {
	case s.chunks[index] == nil:
	case n == chunkBytes:
		delete(s.chunks, index)
	default:
		start := off % chunkBytes
		clear(s.writable(index).data[start : start+n])
	}
}

func (d *Device) chunksInUse() int {
	n := 0
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.RLock()
		n += len(s.chunks)
		s.mu.RUnlock()
	}
	return n
}
