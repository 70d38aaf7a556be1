package qcow2fmt

import "encoding/binary"

// Refcount returns the i-th refcount of a (part of a) refcount block with
// refcounts of 1<<order bits. Those below 8 bits are packed from the low bit
// up (Host cluster management, Refcount block entry).
func Refcount(p []byte, i int, order int) uint64 {
	switch order {
	case 3:
		return uint64(p[i])
	case 4:
		return uint64(binary.BigEndian.Uint16(p[2*i:]))
	case 5:
		return uint64(binary.BigEndian.Uint32(p[4*i:]))
	case 6:
		return binary.BigEndian.Uint64(p[8*i:])
	}
	at, shift, mask := packed(i, order)
	return uint64(p[at]>>shift) & uint64(mask)
}

// PutRefcount sets the i-th refcount. n must fit.
func PutRefcount(p []byte, i int, order int, n uint64) {
	switch order {
	case 3:
		p[i] = byte(n)
	case 4:
		binary.BigEndian.PutUint16(p[2*i:], uint16(n))
	case 5:
		binary.BigEndian.PutUint32(p[4*i:], uint32(n))
	case 6:
		binary.BigEndian.PutUint64(p[8*i:], n)
	default:
		at, shift, mask := packed(i, order)
		p[at] = p[at]&^(mask<<shift) | byte(n)<<shift
	}
}

// packed returns where the i-th refcount of less than 8 bits lies.
func packed(i, order int) (at int, shift uint, mask byte) {
	bit := i << order
	return bit / 8, uint(bit % 8), 1<<(1<<order) - 1
}
