package fatread

import (
	"bytes"
	"encoding/binary"
	"io"
)

// chunkBytes is how much of a FAT copy is compared at a time.
const chunkBytes = 1 << 20

// readFATs loads the first FAT, compares the others with it and checks the
// two entries that describe the medium (FAT section 4.2).
func (rd *reader) readFATs() error {
	v := &rd.v
	fatBytes := v.FATSectors * v.SectorBytes
	rd.fat = make([]byte, fatBytes)
	if err := readFull(rd.vol, rd.fat, v.ReservedSectors*v.SectorBytes); err != nil {
		return err
	}
	buf := make([]byte, min(fatBytes, chunkBytes))
	for i := 1; i < v.FATs; i++ {
		base := v.ReservedSectors*v.SectorBytes + int64(i)*fatBytes
		for off := int64(0); off < fatBytes; off += chunkBytes {
			part := buf[:min(chunkBytes, fatBytes-off)]
			if err := readFull(rd.vol, part, base+off); err != nil {
				return err
			}
			if !bytes.Equal(part, rd.fat[off:off+int64(len(part))]) {
				rd.problem("FAT %d differs from FAT 1 between bytes %d and %d", i+1, off, off+int64(len(part)))
			}
		}
	}
	rd.used = make([]uint64, (uint64(v.Clusters)+2+63)/64)
	top := rd.badMark() &^ 0xFF
	if e := rd.entry(0); e != top|uint32(v.Media) {
		rd.problem("FAT[0] is %#x with media byte %#x", e, v.Media)
	}
	if e := rd.entry(1); e != top|0xFF {
		rd.problem("FAT[1] is %#x: not clean, or with an error", e)
	}
	return nil
}

// entry returns an entry of the FAT, FAT32's without its top four bits
// (FAT section 4.1).
func (rd *reader) entry(c uint32) uint32 {
	switch rd.v.Type {
	case 12:
		pair := uint32(binary.LittleEndian.Uint16(rd.fat[c+c/2:]))
		if c%2 == 1 {
			return pair >> 4
		}
		return pair & 0xFFF
	case 16:
		return uint32(binary.LittleEndian.Uint16(rd.fat[2*c:]))
	default:
		return binary.LittleEndian.Uint32(rd.fat[4*c:]) & 0x0FFFFFFF
	}
}

// isEnd and isBad classify an entry: an end mark is …F8 to …FF, the bad mark
// …F7 (FAT section 4.2).
func (rd *reader) isEnd(e uint32) bool { return e > rd.badMark() }
func (rd *reader) isBad(e uint32) bool { return e == rd.badMark() }

func (rd *reader) badMark() uint32 { return 1<<min(rd.v.Type, 28) - 9 }

// chain returns the clusters of a chain. It marks them as used and stops, with
// a problem, at a cluster that is invalid, free, bad or used before, so it
// visits each cluster of the disk at most once.
func (rd *reader) chain(first uint32, path string) []uint32 {
	var list []uint32
	for c := first; ; {
		if c < 2 || c > rd.v.Clusters+1 {
			rd.problem("%s: chain of %d clusters reaches cluster %d of %d", path, len(list), c, rd.v.Clusters)
			return list
		}
		if rd.used[c/64]&(1<<(c%64)) != 0 {
			rd.problem("%s: cluster %d is linked twice", path, c)
			return list
		}
		rd.used[c/64] |= 1 << (c % 64)
		list = append(list, c)
		next := rd.entry(c)
		switch {
		case rd.isEnd(next):
			return list
		case next == 0 || rd.isBad(next):
			rd.problem("%s: cluster %d is followed by %#x", path, c, next)
			return list
		}
		c = next
	}
}

// checkUsage counts free clusters and reports those that nothing links to.
func (rd *reader) checkUsage() {
	lost, firstLost := 0, uint32(0)
	for c := uint32(2); c <= rd.v.Clusters+1; c++ {
		e := rd.entry(c)
		used := rd.used[c/64]&(1<<(c%64)) != 0
		switch {
		case used:
		case e == 0:
			rd.v.FreeClusters++
		case rd.isBad(e):
			rd.v.BadClusters++
		default:
			if lost == 0 {
				firstLost = c
			}
			lost++
		}
	}
	if lost > 0 {
		rd.problem("%d lost clusters from %d", lost, firstLost)
	}
	if rd.v.Type == 32 && rd.v.fsInfoSector > 0 && rd.v.fsInfoSector < rd.v.ReservedSectors {
		rd.checkFSInfo(rd.v.fsInfoSector)
		if backup := rd.v.backupSector + rd.v.fsInfoSector; backup < rd.v.ReservedSectors {
			rd.checkFSInfo(backup)
		}
	}
}

// run is a contiguous piece of a file: bytes of the volume.
type run struct{ off, len int64 }

// runs joins neighbouring clusters.
func (rd *reader) runs(clusters []uint32) []run {
	var list []run
	for i, c := range clusters {
		if i > 0 && c == clusters[i-1]+1 {
			list[len(list)-1].len += rd.v.ClusterBytes
			continue
		}
		list = append(list, run{rd.v.dataOffset + int64(c-2)*rd.v.ClusterBytes, rd.v.ClusterBytes})
	}
	return list
}

// reader returns the first n bytes of runs.
func (rd *reader) readRuns(list []run, n int64) io.Reader {
	parts := make([]io.Reader, len(list))
	for i, r := range list {
		parts[i] = io.NewSectionReader(rd.vol, r.off, r.len)
	}
	return io.LimitReader(io.MultiReader(parts...), n)
}
