package qcow2

import "sync"

// scratch is pooled memory of a call.
type scratch struct{ data []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// getScratch returns n bytes with undefined contents.
func getScratch(n int) *scratch {
	s := scratches.Get().(*scratch)
	if cap(s.data) < n {
		s.data = make([]byte, n)
	}
	s.data = s.data[:n]
	return s
}

// Release gives the memory back.
func (s *scratch) Release() { scratches.Put(s) }
