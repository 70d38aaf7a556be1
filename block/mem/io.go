package mem

import "github.com/fatkit/fatkit/block"

// ReadAt reads from the disk.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	p, eof := block.ClipRead(p, off, d.Size())
	for rest := p; len(rest) > 0; {
		index, start, n := piece(off, int64(len(rest)))
		s := d.shard(index)
		s.mu.RLock()
		if c := s.chunks[index]; c != nil {
			copy(rest[:n], c.data[start:])
		} else {
			clear(rest[:n])
		}
		s.mu.RUnlock()
		rest, off = rest[n:], off+n
	}
	return len(p), eof
}

// ReadAtCached is ReadAt: nothing here ever waits for more than a copy.
func (d *Device) ReadAtCached(p []byte, off int64) (int, error) { return d.ReadAt(p, off) }

// WriteAt writes to the disk.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	if err := d.enter(off, int64(len(p))); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	for rest := p; len(rest) > 0; {
		index, start, n := piece(off, int64(len(rest)))
		s := d.shard(index)
		s.mu.Lock()
		copy(s.writable(index).data[start:], rest[:n])
		s.mu.Unlock()
		rest, off = rest[n:], off+n
	}
	return len(p), nil
}

// WriteAtFUA is WriteAt: nothing here is more durable than that.
func (d *Device) WriteAtFUA(p []byte, off int64) (int, error) { return d.WriteAt(p, off) }

// writable returns a chunk that nobody holds a segment of. The caller holds mu
// for writing.
func (s *shard) writable(index int64) *chunk {
	old := s.chunks[index]
	if old != nil && old.pins.Load() == 0 {
		return old
	}
	c := &chunk{data: make([]byte, chunkBytes)}
	if old != nil {
		copy(c.data, old.data)
	}
	if s.chunks == nil {
		s.chunks = make(map[int64]*chunk)
	}
	s.chunks[index] = c
	return c
}

// AppendSegments hands out the chunks themselves.
func (d *Device) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := d.enter(off, n); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	var holes int64 // zeroes found and not appended yet
	for n > 0 {
		index, start, m := piece(off, n)
		s := d.shard(index)
		s.mu.RLock()
		c := s.chunks[index]
		if c != nil {
			c.pins.Add(1)
		}
		s.mu.RUnlock()
		off, n = off+m, n-m
		if c == nil {
			holes += m
			continue
		}
		if holes > 0 {
			dst = append(dst, block.ZeroSegment(holes))
			holes = 0
		}
		dst = append(dst, block.DataSegment(c.data[start:start+m:start+m], c))
	}
	if holes > 0 {
		dst = append(dst, block.ZeroSegment(holes))
	}
	return dst, nil
}
