package nbd

import (
	"math/bits"
	"sync"
)

// Pooled buffers come in powers of two with room for a reply header.
const (
	minBufferBits = 12
	maxBufferBits = 20
	bufferExtra   = 64 // bytes for the header of a reply
	maxBuffer     = 1 << maxBufferBits
)

// buffer is pooled memory.
type buffer struct {
	b     []byte // len is the capacity of the class
	class int
}

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

// getBuffer returns a buffer of at least n+bufferExtra bytes; n is at most
// maxBuffer. Its bytes are what the last user left.
func getBuffer(n int) *buffer {
	class := 0
	if n > 1<<minBufferBits {
		class = bits.Len(uint(n-1)) - minBufferBits
	}
	if b, ok := bufferPools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 1<<(class+minBufferBits)+bufferExtra), class: class}
}

// put returns the buffer to its pool.
func (b *buffer) put() { bufferPools[b.class].Put(b) }

// zeroes is the source of zeroes that are sent; nobody writes to it.
var zeroes [256 << 10]byte

// Release makes a buffer the pin of a segment.
func (b *buffer) Release() { b.put() }
