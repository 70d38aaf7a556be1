package fatread

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Volume is what the boot sector says, with what was counted.
type Volume struct {
	Type            int // 12, 16 or 32
	SectorBytes     int64
	ClusterBytes    int64
	ReservedSectors int64
	FATs            int
	FATSectors      int64
	RootEntries     int    // FAT12 and FAT16
	RootCluster     uint32 // FAT32
	TotalSectors    int64
	HiddenSectors   uint32
	SectorsPerTrack uint16
	Heads           uint16
	Media           byte
	Drive           byte
	Serial          uint32
	OEM             string
	BootLabel       string // label in the boot sector, without trailing spaces
	Label           string // label entry of the root directory; empty if there is none
	Clusters        uint32 // data clusters; valid numbers are 2…Clusters+1
	FreeClusters    uint32 // as counted in the FAT
	BadClusters     uint32

	fsInfoSector, backupSector int64
	rootOffset, dataOffset     int64 // bytes
}

// Cluster counts that decide the type, FAT section 3.5, and the distance that
// a careful formatter keeps from them.
const (
	minFAT16   = 4085
	minFAT32   = 65525
	edgeMargin = 16
)

var errBoot = errors.New("fatread: no FAT boot sector")

// readBoot decodes and checks the boot sector (FAT section 3).
func (rd *reader) readBoot() error {
	p := make([]byte, 512)
	if err := readFull(rd.vol, p, 0); err != nil {
		return err
	}
	if !isBootSector(p) || p[510] != 0x55 || p[511] != 0xAA {
		return errBoot
	}
	le := binary.LittleEndian
	v := &rd.v
	*v = Volume{
		OEM: string(p[3:11]), SectorBytes: int64(le.Uint16(p[11:])),
		ClusterBytes: int64(p[13]) * int64(le.Uint16(p[11:])), ReservedSectors: int64(le.Uint16(p[14:])),
		FATs: int(p[16]), RootEntries: int(le.Uint16(p[17:])), TotalSectors: int64(le.Uint16(p[19:])),
		Media: p[21], FATSectors: int64(le.Uint16(p[22:])), SectorsPerTrack: le.Uint16(p[24:]), Heads: le.Uint16(p[26:]),
		HiddenSectors: le.Uint32(p[28:]),
	}
	if v.TotalSectors == 0 {
		v.TotalSectors = int64(le.Uint32(p[32:]))
	}
	ext := p[36:] // the part that differs begins with drive number and signature
	if v.FATSectors == 0 {
		v.FATSectors = int64(le.Uint32(p[36:]))
		v.RootCluster = le.Uint32(p[44:])
		v.fsInfoSector, v.backupSector = int64(le.Uint16(p[48:])), int64(le.Uint16(p[50:]))
		ext = p[64:]
	}
	v.Drive, v.Serial, v.BootLabel = ext[0], le.Uint32(ext[3:]), trimSpaces(ext[7:18])
	if err := rd.computeGeometry(p[13]); err != nil {
		return err
	}
	rd.checkBoot(p, ext)
	if v.Type == 32 {
		rd.checkFAT32Boot(p)
	}
	return nil
}

// computeGeometry derives offsets, cluster count and type (FAT section 3.5).
func (rd *reader) computeGeometry(sectorsPerCluster byte) error {
	v := &rd.v
	if sectorsPerCluster == 0 || sectorsPerCluster&(sectorsPerCluster-1) != 0 || v.ClusterBytes > 64<<10 {
		return fmt.Errorf("%w: %d sectors per cluster", errBoot, sectorsPerCluster)
	}
	if v.ReservedSectors == 0 || v.FATs == 0 || v.FATSectors == 0 || v.FATSectors*v.SectorBytes > maxFATBytes {
		return fmt.Errorf("%w: %d reserved sectors, %d FATs of %d sectors", errBoot, v.ReservedSectors, v.FATs, v.FATSectors)
	}
	v.rootOffset = (v.ReservedSectors + int64(v.FATs)*v.FATSectors) * v.SectorBytes
	rootSectors := (int64(v.RootEntries)*32 + v.SectorBytes - 1) / v.SectorBytes
	v.dataOffset = v.rootOffset + rootSectors*v.SectorBytes
	if v.TotalSectors*v.SectorBytes > rd.volBytes {
		return fmt.Errorf("%w: %d sectors do not fit into %d bytes", errBoot, v.TotalSectors, rd.volBytes)
	}
	count := (v.TotalSectors*v.SectorBytes - v.dataOffset) / v.ClusterBytes
	if count < 1 || count > 0x0FFFFFF5 {
		return fmt.Errorf("%w: %d clusters", errBoot, count)
	}
	v.Clusters = uint32(count)
	switch {
	case count < minFAT16:
		v.Type = 12
	case count < minFAT32:
		v.Type = 16
	default:
		v.Type = 32
	}
	if need := ((count+2)*int64(v.Type) + 7) / 8; v.FATSectors*v.SectorBytes < need {
		return fmt.Errorf("%w: FAT of %d sectors is too small for %d clusters", errBoot, v.FATSectors, count)
	}
	return nil
}

// checkBoot verifies the fields that all types share.
func (rd *reader) checkBoot(p, ext []byte) {
	v := &rd.v
	le := binary.LittleEndian
	if v.Media != 0xF0 && v.Media < 0xF8 {
		rd.problem("media byte %#x", v.Media)
	}
	if le.Uint16(p[19:]) != 0 && le.Uint32(p[32:]) != 0 {
		rd.problem("both total sector counts are set")
	}
	if ext[2] != 0x29 {
		rd.problem("extended boot signature %#x, not 0x29", ext[2])
	}
	if want := fmt.Sprintf("FAT%-5d", v.Type); string(ext[18:26]) != want {
		rd.problem("file system type %q, not %q", ext[18:26], want)
	}
	if int64(v.RootEntries)*32%v.SectorBytes != 0 {
		rd.problem("%d root entries do not fill whole sectors", v.RootEntries)
	}
	if is32 := le.Uint16(p[22:]) == 0; is32 != (v.Type == 32) || is32 != (v.RootEntries == 0) {
		rd.problem("boot sector of another type than FAT%d by its %d clusters (%d root entries)", v.Type, v.Clusters, v.RootEntries)
	}
	for _, edge := range []int64{minFAT16, minFAT32} {
		if d := int64(v.Clusters) - edge; d > -edgeMargin && d < edgeMargin {
			rd.problem("%d clusters are too near the edge %d", v.Clusters, edge)
		}
	}
	var hidden int64
	if d := rd.tree.Disk; d.Table != "none" {
		for _, part := range d.Partitions {
			if part.Number == d.Chosen {
				hidden = part.StartBytes / v.SectorBytes
			}
		}
	}
	if int64(v.HiddenSectors) != hidden {
		rd.problem("hidden sectors %d, but the volume starts at sector %d", v.HiddenSectors, hidden)
	}
	if v.Type != 32 && p[37] != 0 {
		rd.problem("volume is marked dirty: state %#x", p[37])
	}
}

// checkFAT32Boot verifies what only FAT32 has: version, FSInfo, backup
// (FAT sections 3.3, 5).
func (rd *reader) checkFAT32Boot(p []byte) {
	v := &rd.v
	le := binary.LittleEndian
	if ver := le.Uint16(p[42:]); ver != 0 {
		rd.problem("FAT32 version %#x", ver)
	}
	if flags := le.Uint16(p[40:]); flags != 0 {
		rd.problem("extended flags %#x: FATs are not mirrored", flags)
	}
	if !bytes.Equal(p[52:64], make([]byte, 12)) {
		rd.problem("reserved bytes at 52 are not zero")
	}
	if p[65] != 0 {
		rd.problem("volume is marked dirty: state %#x", p[65])
	}
	if v.backupSector == 0 || v.fsInfoSector == 0 || v.backupSector+v.fsInfoSector >= v.ReservedSectors {
		rd.problem("FSInfo at %d, backup at %d with %d reserved sectors", v.fsInfoSector, v.backupSector, v.ReservedSectors)
		return
	}
	if v.backupSector != 6 {
		rd.problem("backup boot sector at %d, not 6", v.backupSector)
	}
	main, backup := make([]byte, v.SectorBytes), make([]byte, v.SectorBytes)
	if err := errors.Join(readFull(rd.vol, main, 0), readFull(rd.vol, backup, v.backupSector*v.SectorBytes)); err != nil {
		rd.problem("backup boot sector: %v", err)
	} else if !bytes.Equal(main, backup) {
		rd.problem("backup boot sector differs from the boot sector")
	}
}

// checkFSInfo verifies an FSInfo sector against the counted FAT (FAT section 5).
func (rd *reader) checkFSInfo(sector int64) {
	p := make([]byte, 512)
	if err := readFull(rd.vol, p, sector*rd.v.SectorBytes); err != nil {
		rd.problem("FSInfo at sector %d: %v", sector, err)
		return
	}
	le := binary.LittleEndian
	if le.Uint32(p) != 0x41615252 || le.Uint32(p[484:]) != 0x61417272 || le.Uint32(p[508:]) != 0xAA550000 {
		rd.problem("FSInfo at sector %d has no signatures", sector)
		return
	}
	stale := rd.o.Used && sector != rd.v.fsInfoSector
	if free := le.Uint32(p[488:]); free != rd.v.FreeClusters && !stale {
		rd.problem("FSInfo at sector %d: %d free clusters, counted %d", sector, free, rd.v.FreeClusters)
	}
	if next := le.Uint32(p[492:]); next != 0xFFFFFFFF && (next < 2 || next > rd.v.Clusters+1) {
		rd.problem("FSInfo at sector %d: next free cluster %d of %d", sector, next, rd.v.Clusters)
	}
}

func trimSpaces(p []byte) string { return string(bytes.TrimRight(p, " ")) }
