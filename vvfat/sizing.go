package vvfat

import (
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Room that a disk of no particular size has beside its contents: as much
// again, within bounds.
const (
	minRoomBytes   = 64 << 20
	maxRoomBytes   = 4 << 30
	minRoom12Bytes = 2 << 20
)

// autoFAT16Bytes is the size from which a volume of no particular type and
// size becomes FAT32: FAT 1.03, "FAT Volume Initialization", has FAT32 from
// 512 MiB.
const autoFAT16Bytes = 512 << 20

// alignBytes is where data of FAT32 volumes begins: at a page of the host, so
// that blocks of files can be shared with it. FAT12 and FAT16 have one reserved
// sector (FAT 1.03, "Boot Sector and BPB", BPB_RsvdSecCnt), so no alignment.
const alignBytes = 4096

// errType says that the volume cannot be of the type at all.
var errType = errors.New("no volume of this type and size")

// sizer finds the geometry of the volume for a tree.
type sizer struct {
	o *Options
	d *demand

	before, after int64 // bytes of the disk around the volume
}

// volume returns the geometry of the volume, whose hidden sectors and CHS the
// caller knows better.
func (s *sizer) volume() (fatfmt.Geometry, error) {
	if s.o.FloppyKiB != 0 && (s.o.FAT == 0 || s.o.FAT == 12) && s.o.ClusterBytes == 0 {
		return s.floppy()
	}
	if s.o.SizeBytes != 0 {
		return s.sized()
	}
	var err error
	for _, t := range s.types() {
		var g fatfmt.Geometry
		if g, err = s.grown(t); err == nil {
			return g, nil
		}
	}
	return fatfmt.Geometry{}, err
}

// types returns the types to try for a disk of no particular size. An EFI
// system partition on a disk that is not removable is FAT32 (UEFI 2.10, section
// 13.3.1.1).
func (s *sizer) types() []fatfmt.Type {
	switch {
	case s.o.FAT != 0:
		return []fatfmt.Type{fatfmt.Type(s.o.FAT)}
	case s.o.ESP:
		return []fatfmt.Type{fatfmt.FAT32}
	}
	return []fatfmt.Type{fatfmt.FAT16, fatfmt.FAT32}
}

// plan returns the options for a volume of type t and so many sectors.
func (s *sizer) plan(t fatfmt.Type, sectors uint64, clusterBytes int) fatfmt.PlanOptions {
	p := fatfmt.PlanOptions{Type: t, TotalSectors: sectors, SectorBytes: s.o.SectorBytes, ClusterBytes: clusterBytes}
	if t == fatfmt.FAT32 && !s.o.QEMU {
		p.AlignBytes = max(alignBytes, s.o.SectorBytes)
	}
	if s.o.FloppyKiB != 0 {
		p.Media = fatfmt.MediaFloppy
	}
	if s.o.ReserveRoot > 0 && t != fatfmt.FAT32 {
		p.RootEntries = max(usualRoot, int(s.d.rootBytes())/fatfmt.DirEntryBytes+s.o.ReserveRoot)
	}
	return p
}

// usualRoot is the number of root entries on FAT12 and FAT16: FAT 1.03, "Boot
// Sector and BPB", BPB_RootEntCnt.
const usualRoot = 512

// sectors returns how many sectors of the volume's size n bytes are.
func (s *sizer) sectors(n int64) uint64 { return uint64(n) / uint64(s.o.SectorBytes) }

// floppy returns a standard format.
func (s *sizer) floppy() (fatfmt.Geometry, error) {
	f, _ := fatfmt.FloppyOf(s.o.FloppyKiB)
	if s.o.ReserveRoot > 0 {
		need := int(s.d.rootBytes())/fatfmt.DirEntryBytes + s.o.ReserveRoot
		perSector := fatfmt.MinSectorBytes / fatfmt.DirEntryBytes
		f.RootEntries = max(f.RootEntries, (need+perSector-1)/perSector*perSector)
	}
	g := f.Geometry()
	if err := s.d.fits(&g); err != nil {
		return g, s.tooSmall(&g, err)
	}
	return g, nil
}

// sized returns a volume for a disk whose size was given.
func (s *sizer) sized() (fatfmt.Geometry, error) {
	room := s.o.SizeBytes - s.before - s.after
	if room <= 0 {
		return fatfmt.Geometry{}, &OptionError{Option: "--size", Reason: "no room for a volume beside the partition table"}
	}
	types := []fatfmt.Type{fatfmt.Type(s.o.FAT)}
	if s.o.FAT == 0 {
		if s.o.ESP {
			types = s.types()
		}
		// What the size suggests comes first, then all that might hold more.
		types = append(types, fatfmt.FAT32, fatfmt.FAT16, fatfmt.FAT12)
	}
	var first error
	for _, t := range types {
		g, err := s.densest(t, s.sectors(room))
		if err == nil {
			return g, nil
		}
		if first == nil || errors.As(first, new(*OptionError)) && !errors.As(err, new(*OptionError)) {
			first = err
		}
	}
	return fatfmt.Geometry{}, first
}

// densest returns a volume of type t and so many sectors. If the tree does not
// fit, smaller clusters than the usual ones are tried: less of them is lost at
// the ends of files.
func (s *sizer) densest(t fatfmt.Type, sectors uint64) (fatfmt.Geometry, error) {
	want := s.o.ClusterBytes
	if s.o.QEMU && want == 0 {
		want = s.qemuCluster(t, sectors)
	}
	g, err := fatfmt.Plan(s.plan(t, sectors, want))
	if err != nil {
		return g, s.blame(err)
	}
	why := s.d.fits(&g)
	for smaller := g; why == errVolume && want == 0 && smaller.ClusterBytes() > s.o.SectorBytes; {
		next, err := fatfmt.Plan(s.plan(smaller.Type, sectors, smaller.ClusterBytes()/2))
		if err != nil {
			break
		}
		smaller = next
		if s.d.fits(&smaller) == nil {
			return smaller, nil
		}
	}
	if why != nil {
		return g, s.tooSmall(&g, why)
	}
	return g, nil
}

// blame makes an error of fatfmt one of the options, with its advice in their
// words.
func (s *sizer) blame(err error) error {
	e := &OptionError{Option: s.culprit(), Reason: err.Error()}
	var p *fatfmt.PlanError
	if !errors.As(err, &p) {
		return e
	}
	switch {
	case p.ClusterBytes != 0 && s.o.ClusterBytes != 0:
		e.Reason = fmt.Sprintf("%s: use --cluster %d", p.Reason, p.ClusterBytes)
	case p.Type != 0:
		e.Reason = fmt.Sprintf("%s: use --fat %d", p.Reason, p.Type)
	}
	return e
}

// culprit is the option that an impossible volume is blamed on.
func (s *sizer) culprit() string {
	switch {
	case s.o.ClusterBytes != 0:
		return "--cluster"
	case s.o.FloppyKiB != 0:
		return "--floppy"
	case s.o.FAT != 0 && s.o.SizeBytes == 0:
		return "--fat"
	}
	return "--size"
}

// qemuClusterBytes is the cluster size of QEMU's vvfat.
const qemuClusterBytes = 8 << 10

// qemuCluster returns QEMU's cluster size, or the largest with which the
// volume is of type t.
func (s *sizer) qemuCluster(t fatfmt.Type, sectors uint64) int {
	if t == 0 {
		t = fatfmt.FAT16
	}
	for c := qemuClusterBytes; c > s.o.SectorBytes; c /= 2 {
		if g, err := fatfmt.Plan(s.plan(t, sectors, c)); err == nil && g.Type == t {
			return c
		}
	}
	return s.o.SectorBytes
}

// grown returns a volume of type t that is large enough for the tree and
// generous room.
func (s *sizer) grown(t fatfmt.Type) (fatfmt.Geometry, error) {
	room := min(max(s.d.bytes, minRoomBytes), maxRoomBytes)
	if t == fatfmt.FAT12 {
		room = minRoom12Bytes // more would only make the clusters large
	}
	sectors := s.sectors(s.d.bytes + room)
	lo, hi, err := s.plan(t, sectors, s.o.ClusterBytes).Bounds(t)
	if err != nil {
		return fatfmt.Geometry{}, s.blame(err)
	}
	sectors = min(max(lo, sectors), hi)
	for {
		g, err := s.densestOf(t, sectors)
		if err != nil {
			return g, err
		}
		need := s.d.clusters(t, g.ClusterBytes())
		want := need + room/int64(g.ClusterBytes())
		switch {
		case int64(g.Clusters) >= want, sectors == hi && int64(g.Clusters) >= need:
			if why := s.d.fits(&g); why != nil {
				return g, s.tooSmall(&g, why)
			}
			if s.o.FAT == 0 && t == fatfmt.FAT16 && g.TotalBytes() >= autoFAT16Bytes {
				return g, errType
			}
			return g, nil
		case sectors == hi:
			return g, s.tooSmall(&g, errVolume)
		}
		// Clusters grow with the volume, so the demand has to be asked again.
		short := uint64(want-int64(g.Clusters)) * uint64(g.ClusterSectors)
		sectors = min(sectors+short+short/64+uint64(g.ClusterSectors), hi)
	}
}

// densestOf plans a volume of exactly this type.
func (s *sizer) densestOf(t fatfmt.Type, sectors uint64) (fatfmt.Geometry, error) {
	g, err := fatfmt.Plan(s.plan(t, sectors, s.o.ClusterBytes))
	if err != nil {
		return g, s.blame(err)
	}
	return g, nil
}

// FitError says that a tree does not fit in a volume. It matches
// diskerr.ErrNoSpace.
type FitError struct {
	diskerr.NoSpaceError
}

func (e *FitError) Error() string {
	s := fmt.Sprintf("needs %s, %s holds %s", diskerr.FormatBytes(e.Needed), e.What, diskerr.FormatBytes(e.Available))
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// Unwrap returns the common form of the error.
func (e *FitError) Unwrap() error { return &e.NoSpaceError }

// tooSmall says why the tree does not fit in g and what would hold it.
func (s *sizer) tooSmall(g *fatfmt.Geometry, why error) error {
	cluster := int64(g.ClusterBytes())
	e := &FitError{diskerr.NoSpaceError{
		What:      g.Type.String(),
		Needed:    s.d.clusters(g.Type, int(cluster)) * cluster,
		Available: g.DataBytes(),
	}}
	if why == errRoot {
		return &RootError{
			Type:   g.Type,
			Needed: int(s.d.rootBytes() / fatfmt.DirEntryBytes),
			Has:    g.RootEntries,
			Floppy: s.o.FloppyKiB != 0,
		}
	}
	switch {
	case s.o.Keep != nil:
		e.What = "the disk of this size"
		e.Hint = "disconnect and serve it anew"
	case s.o.QEMU:
		e.What = fmt.Sprintf("the disk of a fat: name (%v)", g.Type)
		e.Hint = "serve the directory without fat:, its disk has the size it needs"
	case s.o.FloppyKiB != 0:
		e.What = fmt.Sprintf("a floppy of %d KiB", s.o.FloppyKiB)
		e.Hint = "use a larger --floppy, or none"
	case s.o.SizeBytes != 0:
		e.What = fmt.Sprintf("%v with --size %s", g.Type, diskerr.FormatBytes(s.o.SizeBytes))
		e.Hint = "use a larger --size, or none"
	case g.Type != fatfmt.FAT32:
		e.Hint = "use --fat 32"
	case s.o.ClusterBytes != 0:
		e.Hint = "use a larger --cluster, or none"
	default:
		e.Hint = "use a larger --sector, or --exclude"
	}
	return e
}

// RootError says that the root directory of FAT12 or FAT16, whose size is
// fixed, cannot hold the entries of the tree. It matches diskerr.ErrNoSpace.
type RootError struct {
	Type        fatfmt.Type
	Needed, Has int  // slots, with those of long names
	Floppy      bool // so that FAT32, whose root can grow, is no way out
}

func (e *RootError) Error() string {
	hint := "use --reserve-root 16 or --fat 32"
	if e.Floppy {
		hint = "use --reserve-root 16, or move files into a folder"
	}
	return fmt.Sprintf("the root directory needs %d slots, %v has %d there: %s", e.Needed, e.Type, e.Has, hint)
}

// Unwrap makes errors.Is find diskerr.ErrNoSpace.
func (e *RootError) Unwrap() error { return diskerr.ErrNoSpace }
