package fatread

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"unicode/utf16"
)

// image builds a disk by hand, so that tests can put on it what no tool would
// write. Clusters are given out in order; bytes that nothing sets are 0xDB,
// as on a used disk.
type image struct {
	p            []byte
	fatType      int
	reserved     int // sectors
	fatSectors   int
	rootSectors  int
	clusterBytes int
	clusters     uint32
	next         uint32 // next free cluster
	bad          uint32 // clusters marked as bad
	root         *folder
}

// folder is a directory under construction.
type folder struct {
	img   *image
	first uint32 // 0 for the fixed root
	off   int    // byte offset of its first slot
	n     int    // slots in use
}

const hiddenFill = 0xDB

func newImage(fatType int) *image {
	m := &image{fatType: fatType, reserved: 1, fatSectors: 9, rootSectors: 14, clusterBytes: 512, clusters: 2800, next: 2}
	switch fatType {
	case 16:
		m.fatSectors, m.rootSectors, m.clusters = 40, 32, 10000
	case 32:
		m.reserved, m.fatSectors, m.rootSectors, m.clusters = 32, 520, 0, 66000
	}
	total := m.reserved + 2*m.fatSectors + m.rootSectors + int(m.clusters)
	m.p = bytes.Repeat([]byte{hiddenFill}, total*512)
	clear(m.p[:(total-int(m.clusters))*512])
	m.writeBoot(total)
	m.setFAT(0, m.mark(0xF8))
	m.setFAT(1, m.mark(0xFF))
	m.root = &folder{img: m, off: (m.reserved + 2*m.fatSectors) * 512}
	if fatType == 32 {
		m.root.first = m.alloc(1)
		m.root.off = m.offset(m.root.first)
		clear(m.p[m.root.off:][:512])
	}
	m.finish()
	return m
}

func (m *image) writeBoot(total int) {
	p, le := m.p, binary.LittleEndian
	copy(p, "\xEB\x3C\x90HANDMADE")
	le.PutUint16(p[11:], 512)
	p[13], p[16], p[21] = 1, 2, 0xF8
	le.PutUint16(p[14:], uint16(m.reserved))
	le.PutUint16(p[17:], uint16(m.rootSectors*16))
	le.PutUint32(p[32:], uint32(total))
	ext := p[36:]
	if m.fatType == 32 {
		le.PutUint32(p[36:], uint32(m.fatSectors))
		le.PutUint32(p[44:], 2)
		le.PutUint16(p[48:], 1)
		le.PutUint16(p[50:], 6)
		ext = p[64:]
	} else {
		le.PutUint16(p[22:], uint16(m.fatSectors))
	}
	ext[0], ext[2] = 0x80, 0x29
	copy(ext[3:], "\x78\x56\x34\x12NO NAME    ")
	copy(ext[18:], fmt.Sprintf("FAT%-5d", m.fatType))
	p[510], p[511] = 0x55, 0xAA
}

// finish writes FSInfo and the backups.
func (m *image) finish() {
	if m.fatType != 32 {
		return
	}
	p, le := m.p[512:1024], binary.LittleEndian
	le.PutUint32(p, 0x41615252)
	le.PutUint32(p[484:], 0x61417272)
	le.PutUint32(p[488:], m.clusters-(m.next-2)-m.bad)
	le.PutUint32(p[492:], m.next)
	le.PutUint32(p[508:], 0xAA550000)
	copy(m.p[6*512:], m.p[:1024])
}

func (m *image) mark(low uint32) uint32 { return (1<<min(m.fatType, 28)-1)&^0xFF & ^uint32(0) | low }

// setFAT writes an entry to both FATs.
func (m *image) setFAT(c, value uint32) {
	for i := range 2 {
		m.setOneFAT(i, c, value)
	}
}

func (m *image) setOneFAT(i int, c, value uint32) {
	fat, le := m.p[(m.reserved+i*m.fatSectors)*512:][:m.fatSectors*512], binary.LittleEndian
	switch m.fatType {
	case 12:
		p := fat[c+c/2:]
		if c%2 == 0 {
			le.PutUint16(p, le.Uint16(p)&0xF000|uint16(value))
		} else {
			le.PutUint16(p, le.Uint16(p)&0x000F|uint16(value)<<4)
		}
	case 16:
		le.PutUint16(fat[2*c:], uint16(value))
	case 32:
		le.PutUint32(fat[4*c:], 0xA0000000|value) // the top bits are no part of it
	}
}

// alloc links n clusters.
func (m *image) alloc(n int) uint32 {
	if n == 0 {
		return 0
	}
	first := m.next
	for range n {
		m.setFAT(m.next, m.next+1)
		m.next++
	}
	m.setFAT(m.next-1, m.mark(0xFF))
	return first
}

func (m *image) offset(c uint32) int {
	return (m.reserved+2*m.fatSectors+m.rootSectors)*512 + int(c-2)*m.clusterBytes
}

// slot appends 32 bytes to a directory.
func (f *folder) slot(p []byte) {
	copy(f.img.p[f.off+32*f.n:], p[:32])
	f.n++
}

// entry appends a short entry and, before it, a long name if one is given.
func (f *folder) entry(long, raw string, attr byte, first uint32, size int) {
	if long != "" {
		f.longSlots(long, checksum([]byte(raw)))
	}
	p, le := make([]byte, 32), binary.LittleEndian
	copy(p, raw)
	p[11] = attr
	le.PutUint16(p[22:], 12<<11|34<<5|56/2) // 12:34:56
	le.PutUint16(p[24:], 44<<9|2<<5|29)     // 2024-02-29
	le.PutUint16(p[20:], uint16(first>>16))
	le.PutUint16(p[26:], uint16(first))
	le.PutUint32(p[28:], uint32(size))
	f.slot(p)
}

// longSlots appends the slots of a long name.
func (f *folder) longSlots(long string, sum byte) {
	units := utf16.Encode([]rune(long))
	n := (len(units) + slotUnits - 1) / slotUnits
	if len(units)%slotUnits != 0 {
		units = append(units, 0)
	}
	for len(units) < n*slotUnits {
		units = append(units, 0xFFFF)
	}
	for i := n; i > 0; i-- {
		p := make([]byte, 32)
		p[0], p[11], p[13] = byte(i), attrLongName, sum
		if i == n {
			p[0] |= lastOrdinal
		}
		for u, off := range unitOffsets {
			binary.LittleEndian.PutUint16(p[off:], units[(i-1)*slotUnits+u])
		}
		f.slot(p)
	}
}

// file appends a file.
func (f *folder) file(long, raw, data string) uint32 {
	first := f.img.alloc((len(data) + f.img.clusterBytes - 1) / f.img.clusterBytes)
	if first != 0 {
		copy(f.img.p[f.img.offset(first):], data)
	}
	f.entry(long, raw, AttrArchive, first, len(data))
	return first
}

// folder appends a directory of one cluster.
func (f *folder) folder(long, raw string) *folder {
	first := f.img.alloc(1)
	f.entry(long, raw, AttrDirectory, first, 0)
	sub := &folder{img: f.img, first: first, off: f.img.offset(first)}
	clear(f.img.p[sub.off:][:f.img.clusterBytes])
	parent := f.first
	if f == f.img.root {
		parent = 0
	}
	sub.entry("", ".          ", AttrDirectory, first, 0)
	sub.entry("", "..         ", AttrDirectory, parent, 0)
	return sub
}

func (m *image) read() (*Tree, error) {
	m.finish()
	return Read(bytes.NewReader(m.p), int64(len(m.p)), Options{})
}

// sample is an image with a file of each sort.
func sample(fatType int) (m *image, sub *folder) {
	m = newImage(fatType)
	m.root.file("", "README  TXT", "hello")
	m.root.file("grüße an 🐘 und 日本.txt", "GRE~1   TXT", string(bytes.Repeat([]byte("0123456789"), 200)))
	m.root.file("", "EMPTY      ", "")
	sub = m.root.folder("a folder", "AFOLDE~1   ")
	sub.file("exactly13long", "EXACTL~1   ", "x")
	m.setFAT(m.next+5, m.mark(0xF7))
	m.bad = 1
	m.finish()
	return m, sub
}

func eachType(t *testing.T, f func(t *testing.T, fatType int)) {
	for _, fatType := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", fatType), func(t *testing.T) { f(t, fatType) })
	}
}
