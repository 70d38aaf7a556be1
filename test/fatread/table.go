package fatread

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Disk is what was found around the volume.
type Disk struct {
	SizeBytes     int64
	Table         string // "none", "mbr" or "gpt"
	DiskSignature uint32 // MBR offset 440
	Partitions    []Partition
	Chosen        int // number of the partition that was read, from 1; 0 without a table
}

// Partition is an entry of a partition table that is in use.
type Partition struct {
	Number      int
	StartBytes  int64
	LenBytes    int64
	Type        byte     // MBR partition type
	Active      bool     // MBR boot flag
	TypeGUID    [16]byte // GPT, bytes as on the disk
	UniqueGUID  [16]byte // GPT, bytes as on the disk
	Name        string   // GPT
	first, last [3]byte  // MBR, cylinder-head-sector
}

// GUIDs of partition types in the byte order of the disk (UEFI, table 5-7).
var (
	GUIDSystem    = [16]byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
	GUIDBasicData = [16]byte{0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7}
)

const protectiveType = 0xEE // MBR type of a disk with a GPT, UEFI section 5.2.3

// readTable finds the partition table and sets the volume to read.
func (rd *reader) readTable(sizeBytes int64) error {
	d := &rd.tree.Disk
	d.SizeBytes, d.Table = sizeBytes, "none"
	sector := make([]byte, 512)
	if err := readFull(rd.disk, sector, 0); err != nil {
		return err
	}
	rd.vol, rd.volBytes = rd.disk, sizeBytes
	if sector[510] != 0x55 || sector[511] != 0xAA {
		return fmt.Errorf("fatread: sector 0 has no 55 AA at 510")
	}
	if isBootSector(sector) {
		return nil
	}
	d.Table, d.DiskSignature = "mbr", binary.LittleEndian.Uint32(sector[440:])
	rd.readMBR(sector)
	if len(d.Partitions) > 0 && d.Partitions[0].Type == protectiveType {
		if err := rd.readGPT(d.Partitions[0]); err != nil {
			return err
		}
	}
	return rd.choosePartition()
}

// isBootSector tells a boot sector from an MBR: it begins with a jump and has
// a plausible sector size and media byte (FAT section 3.1).
func isBootSector(p []byte) bool {
	jump := p[0] == 0xE9 || p[0] == 0xEB && p[2] == 0x90
	size := binary.LittleEndian.Uint16(p[11:])
	return jump && (size == 512 || size == 1024 || size == 2048 || size == 4096) && p[21] >= 0xF0
}

// readMBR decodes the four entries at 446 and checks them.
func (rd *reader) readMBR(sector []byte) {
	d := &rd.tree.Disk
	active := 0
	for i := range 4 {
		p := sector[446+16*i:][:16]
		if p[4] == 0 {
			if !bytes.Equal(p, make([]byte, 16)) {
				rd.problem("MBR entry %d has type 0 but is not empty", i+1)
			}
			continue
		}
		if p[0] != 0 && p[0] != 0x80 {
			rd.problem("MBR entry %d: boot flag %#x", i+1, p[0])
		}
		if p[0] == 0x80 {
			active++
		}
		part := Partition{
			Number: i + 1, Type: p[4], Active: p[0] == 0x80,
			StartBytes: int64(binary.LittleEndian.Uint32(p[8:])) * rd.o.LBABytes,
			LenBytes:   int64(binary.LittleEndian.Uint32(p[12:])) * rd.o.LBABytes,
			first:      [3]byte(p[1:4]), last: [3]byte(p[5:8]),
		}
		d.Partitions = append(d.Partitions, part)
	}
	if active > 1 {
		rd.problem("MBR has %d active partitions", active)
	}
	rd.checkPartitions(rd.o.LBABytes, d.SizeBytes)
}

// checkPartitions verifies that partitions lie in [minBytes, endBytes) and do
// not overlap. The protective entry of a GPT disk may reach past the end.
func (rd *reader) checkPartitions(minBytes, endBytes int64) {
	parts := rd.tree.Disk.Partitions
	for i, p := range parts {
		end := endBytes
		if p.Type == protectiveType {
			end = max(end, 1<<32*rd.o.LBABytes)
		}
		if p.LenBytes <= 0 || p.StartBytes < minBytes || p.StartBytes+p.LenBytes > end {
			rd.problem("partition %d: bytes %d+%d outside of [%d, %d)", p.Number, p.StartBytes, p.LenBytes, minBytes, end)
		}
		for _, q := range parts[:i] {
			if p.StartBytes < q.StartBytes+q.LenBytes && q.StartBytes < p.StartBytes+p.LenBytes {
				rd.problem("partitions %d and %d overlap", q.Number, p.Number)
			}
		}
	}
}

// choosePartition sets the volume to the partition that the options name.
func (rd *reader) choosePartition() error {
	d := &rd.tree.Disk
	want := rd.o.Partition
	if want == 0 {
		if len(d.Partitions) != 1 {
			return fmt.Errorf("fatread: %d partitions, say which one", len(d.Partitions))
		}
		want = d.Partitions[0].Number
	}
	for _, p := range d.Partitions {
		if p.Number == want {
			if p.StartBytes >= d.SizeBytes || p.LenBytes > d.SizeBytes-p.StartBytes {
				return fmt.Errorf("fatread: partition %d lies beyond the disk", want)
			}
			d.Chosen = want
			rd.vol, rd.volBytes = io.NewSectionReader(rd.disk, p.StartBytes, p.LenBytes), p.LenBytes
			return nil
		}
	}
	return fmt.Errorf("fatread: no partition %d", want)
}

// gptHeader is the part of a GPT header that is used (UEFI section 5.3.2).
type gptHeader struct {
	self, other, firstUsable, lastUsable, entries uint64
	disk                                          [16]byte
	count, entryBytes, entriesCRC                 uint32
}

// readGPT decodes both headers and entry arrays and checks that they agree.
func (rd *reader) readGPT(protective Partition) error {
	d := &rd.tree.Disk
	lba, lastLBA := rd.o.LBABytes, uint64(d.SizeBytes/rd.o.LBABytes-1)
	if protective.StartBytes != lba || protective.Active || len(d.Partitions) != 1 {
		rd.problem("protective MBR entry: start %d, active %v, %d entries", protective.StartBytes, protective.Active, len(d.Partitions))
	}
	if want := min(int64(lastLBA), 0xFFFFFFFF); protective.LenBytes/lba != want {
		rd.problem("protective MBR entry covers %d sectors, not %d", protective.LenBytes/lba, want)
	}
	d.Table, d.Partitions = "gpt", nil
	h, entries, err := rd.readGPTCopy(1)
	if err != nil {
		return err
	}
	b, backup, err := rd.readGPTCopy(lastLBA)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if h.other != lastLBA || b.other != 1 {
		rd.problem("GPT headers point to %d and %d, not to each other", h.other, b.other)
	}
	if h.disk != b.disk || h.firstUsable != b.firstUsable || h.lastUsable != b.lastUsable || !bytes.Equal(entries, backup) {
		rd.problem("GPT copies differ")
	}
	rd.readGPTEntries(h, entries)
	arraySectors := (uint64(len(entries)) + uint64(lba) - 1) / uint64(lba)
	if h.entries+arraySectors > h.firstUsable || h.lastUsable >= b.entries || b.entries+arraySectors > lastLBA {
		rd.problem("GPT: usable %d–%d overlaps the entry arrays at %d and %d", h.firstUsable, h.lastUsable, h.entries, b.entries)
	}
	rd.checkPartitions(int64(h.firstUsable)*lba, int64(h.lastUsable+1)*lba)
	return nil
}

// readGPTCopy reads the header at a sector and its entry array.
func (rd *reader) readGPTCopy(sector uint64) (h gptHeader, entries []byte, err error) {
	p := make([]byte, rd.o.LBABytes)
	if err := readFull(rd.disk, p, int64(sector)*rd.o.LBABytes); err != nil {
		return h, nil, err
	}
	le := binary.LittleEndian
	size := le.Uint32(p[12:])
	if string(p[:8]) != "EFI PART" || le.Uint32(p[8:]) != 0x00010000 || size < 92 || int64(size) > rd.o.LBABytes {
		return h, nil, fmt.Errorf("fatread: no GPT header at sector %d", sector)
	}
	sum := le.Uint32(p[16:])
	le.PutUint32(p[16:], 0)
	if got := crc32.ChecksumIEEE(p[:size]); got != sum {
		rd.problem("GPT header at sector %d: CRC %08x, not %08x", sector, sum, got)
	}
	h = gptHeader{
		self: le.Uint64(p[24:]), other: le.Uint64(p[32:]),
		firstUsable: le.Uint64(p[40:]), lastUsable: le.Uint64(p[48:]), entries: le.Uint64(p[72:]),
		disk: [16]byte(p[56:72]), count: le.Uint32(p[80:]), entryBytes: le.Uint32(p[84:]), entriesCRC: le.Uint32(p[88:]),
	}
	if h.self != sector {
		rd.problem("GPT header at sector %d says it is at %d", sector, h.self)
	}
	n := uint64(h.count) * uint64(h.entryBytes)
	if h.entryBytes < 128 || h.entryBytes&(h.entryBytes-1) != 0 || n == 0 || n > maxGPTBytes || h.entries > uint64(rd.tree.Disk.SizeBytes) {
		return h, nil, fmt.Errorf("fatread: GPT has %d entries of %d bytes", h.count, h.entryBytes)
	}
	if n < 16384 {
		rd.problem("GPT entry array has %d bytes, fewer than 16,384", n)
	}
	entries = make([]byte, n)
	if err := readFull(rd.disk, entries, int64(h.entries)*rd.o.LBABytes); err != nil {
		return h, nil, err
	}
	if got := crc32.ChecksumIEEE(entries); got != h.entriesCRC {
		rd.problem("GPT entries at sector %d: CRC %08x, not %08x", h.entries, h.entriesCRC, got)
	}
	return h, entries, nil
}

// readGPTEntries appends the used entries (UEFI section 5.3.3).
func (rd *reader) readGPTEntries(h gptHeader, entries []byte) {
	le := binary.LittleEndian
	for i := range int(h.count) {
		p := entries[i*int(h.entryBytes):][:128]
		if [16]byte(p[:16]) == ([16]byte{}) {
			continue
		}
		first, last := le.Uint64(p[32:]), le.Uint64(p[40:])
		units := make([]uint16, 0, 36)
		for u := range 36 {
			c := le.Uint16(p[56+2*u:])
			if c == 0 {
				break
			}
			units = append(units, c)
		}
		if first > last || last > uint64(rd.tree.Disk.SizeBytes) {
			rd.problem("GPT entry %d: sectors %d–%d", i+1, first, last)
			continue
		}
		rd.tree.Disk.Partitions = append(rd.tree.Disk.Partitions, Partition{
			Number: i + 1, TypeGUID: [16]byte(p[:16]), UniqueGUID: [16]byte(p[16:32]),
			StartBytes: int64(first) * rd.o.LBABytes, LenBytes: int64(last-first+1) * rd.o.LBABytes,
			Name: decodeUnits(units),
		})
	}
}
