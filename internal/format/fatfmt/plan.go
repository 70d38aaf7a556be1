package fatfmt

import (
	"fmt"
	"io/fs"
	"math"

	"github.com/fatkit/fatkit/diskerr"
)

// PlanOptions say which volume [Plan] makes. The zero value of a field stands
// for the usual value.
type PlanOptions struct {
	Type            Type   // 0: by size
	TotalSectors    uint64 // of SectorBytes; required
	SectorBytes     int    // 512
	ClusterBytes    int    // by Microsoft's table, never above 32 KiB while a type can do with less
	FATs            int    // 2
	ReservedSectors int    // 1 on FAT12/16, 32 on FAT32; alignment may add to it
	RootEntries     int    // FAT12/16; rounded up to whole sectors; 512, less on floppy-sized volumes
	AlignBytes      int    // the data begins at a multiple of this from the start of the volume; 0: anywhere
	Media           byte   // MediaFixed
	HiddenSectors   uint32
	SectorsPerTrack uint16 // 63
	Heads           uint16 // 255
}

// Limits of PlanOptions.
const (
	maxTotalSectors    = math.MaxUint32
	maxReservedSectors = math.MaxUint16
	maxRootEntries     = math.MaxUint16
	maxFATs            = math.MaxUint8
	maxPlanCluster     = 64 << 10 // bytes; larger clusters work nowhere
	defaultCluster     = 32 << 10 // bytes; the largest that FAT 1.03 allows

	// edge keeps a planned count of clusters away from where the type changes,
	// since systems disagree there: FAT 1.03, "FAT Type Determination",
	// advises 16.
	edge = 16
	// trimShare bounds how much of a volume that is a little too large for its
	// type stays unused at its end: one part in so many.
	trimShare = 64

	usualFSInfo = 1 // FAT 1.03, "FAT32 FSInfo Sector Structure and Backup Boot Sector"
	usualBackup = 6 // likewise
	backupArea  = 3 // sectors of the backup boot area: boot sector, FSInfo, more code
)

// PlanError says that no volume can be made as asked. It matches
// fs.ErrInvalid.
type PlanError struct {
	Reason string // which limit it breaks, such as "FAT16 holds 2 GiB with 32 KiB clusters"

	// Size says that each option is possible, but not with a volume of this
	// size.
	Size bool

	// What would work instead, at most one of the two.
	ClusterBytes int  // this cluster size; 0 for no advice
	Type         Type // this type; 0 for no advice
}

func (e *PlanError) Error() string {
	switch {
	case e.ClusterBytes != 0:
		return fmt.Sprintf("%s: use %s clusters", e.Reason, diskerr.FormatBytes(int64(e.ClusterBytes)))
	case e.Type != 0:
		return e.Reason + ": use " + e.Type.String()
	}
	return e.Reason
}

// Is reports whether target is fs.ErrInvalid.
func (e *PlanError) Is(target error) bool { return target == fs.ErrInvalid }

// clusterRow is a row of Microsoft's cluster tables: volumes of at most
// sectors sectors of 512 bytes get clusters of so many bytes.
type clusterRow struct {
	sectors      uint64
	clusterBytes int
}

// The tables DskTableFAT16 and DskTableFAT32 of FAT 1.03, "FAT Volume
// Initialization". The rows for volumes that are too small for the type have
// the smallest clusters here; whether that is enough is checked by count.
var (
	table16 = []clusterRow{
		{8400, 512}, {32680, 1 << 10}, {262144, 2 << 10}, {524288, 4 << 10},
		{1048576, 8 << 10}, {2097152, 16 << 10}, {math.MaxUint64, 32 << 10},
	}
	table32 = []clusterRow{
		{532480, 512}, {16777216, 4 << 10}, {33554432, 8 << 10},
		{67108864, 16 << 10}, {math.MaxUint64, 32 << 10},
	}
	table12 = []clusterRow{{math.MaxUint64, 512}} // the smallest that the count allows
)

// Plan returns the geometry of a new volume of o.TotalSectors sectors. Errors
// are *PlanError.
//
// Without a type, volumes below 4.1 MiB become FAT12, below 512 MiB FAT16, and
// larger ones FAT32, as FAT 1.03, "FAT Volume Initialization", has it; another
// type if only that fits, or fits the cluster size that was asked for. The
// count of clusters always stays 16 away from a count where the type changes.
// To that end the volume can be made up to a 64th smaller than asked; the rest
// stays unused at its end.
func Plan(o PlanOptions) (Geometry, error) {
	if err := o.complete(); err != nil {
		return Geometry{}, err
	}
	if o.Type != 0 {
		return o.planType(o.Type)
	}
	for _, t := range o.preferred() {
		if g, f, err := o.choose(t); err == nil && f == fits {
			return g, nil
		}
	}
	if _, f, err := o.choose(FAT12); err == nil && f == tooSmall {
		return o.planType(FAT12)
	}
	return o.planType(FAT32) // the type that holds most
}

// preferred returns the types in the order in which Plan tries them.
func (o *PlanOptions) preferred() [3]Type {
	switch s := o.totalBytes() / 512; {
	case o.ClusterBytes != 0, s <= 8400:
		return [3]Type{FAT12, FAT16, FAT32}
	case s < 1048576:
		return [3]Type{FAT16, FAT12, FAT32}
	}
	return [3]Type{FAT32, FAT16, FAT12}
}

func (o *PlanOptions) totalBytes() uint64 { return o.TotalSectors * uint64(o.SectorBytes) }

// complete checks the options and fills in the usual values that depend on no
// type.
func (o *PlanOptions) complete() error {
	if o.SectorBytes == 0 {
		o.SectorBytes = 512
	}
	if o.FATs == 0 {
		o.FATs = 2
	}
	if o.Media == 0 {
		o.Media = MediaFixed
	}
	if o.SectorsPerTrack == 0 {
		o.SectorsPerTrack = 63
	}
	if o.Heads == 0 {
		o.Heads = 255
	}
	switch c := o.ClusterBytes; {
	case !powerOfTwo(o.SectorBytes) || o.SectorBytes < MinSectorBytes || o.SectorBytes > MaxSectorBytes:
		return planErrorf("sectors have 512, 1024, 2048 or 4096 bytes, not %d", o.SectorBytes)
	case c != 0 && (!powerOfTwo(c) || c < o.SectorBytes || c > maxPlanCluster):
		return planErrorf("clusters have a power of two of bytes, from one sector of %d to %d, not %d", o.SectorBytes, maxPlanCluster, c)
	case o.AlignBytes != 0 && (!powerOfTwo(o.AlignBytes) || o.AlignBytes < o.SectorBytes):
		return planErrorf("alignment is a power of two of bytes, at least one sector of %d, not %d", o.SectorBytes, o.AlignBytes)
	case o.FATs < 0 || o.FATs > maxFATs:
		return planErrorf("a volume has 1 to %d FATs, not %d", maxFATs, o.FATs)
	case o.ReservedSectors < 0 || o.ReservedSectors > maxReservedSectors:
		return planErrorf("a volume has 1 to %d reserved sectors, not %d", maxReservedSectors, o.ReservedSectors)
	case o.RootEntries < 0 || o.RootEntries > maxRootEntries:
		return planErrorf("a root directory has 1 to %d entries, not %d", maxRootEntries, o.RootEntries)
	case o.TotalSectors > maxTotalSectors:
		return &PlanError{Size: true, Reason: fmt.Sprintf("a volume has at most %d sectors, which is %s with sectors of %d bytes", uint64(maxTotalSectors),
			diskerr.FormatBytes(maxTotalSectors*int64(o.SectorBytes)), o.SectorBytes)}
	case o.Type != 0 && o.Type != FAT12 && o.Type != FAT16 && o.Type != FAT32:
		return planErrorf("there is FAT12, FAT16 and FAT32, no %v", o.Type)
	}
	return nil
}

func powerOfTwo(n int) bool { return n > 0 && n&(n-1) == 0 }

func planErrorf(format string, args ...any) error {
	return &PlanError{Reason: fmt.Sprintf(format, args...)}
}

// planType plans a volume of type t. o is complete.
func (o *PlanOptions) planType(t Type) (Geometry, error) {
	g, fit, err := o.choose(t)
	if err != nil {
		return Geometry{}, err
	}
	if fit == fits {
		return g, nil
	}
	lo, hi := o.bounds(t)
	e := &PlanError{Size: true}
	e.ClusterBytes, e.Type = o.instead(t)
	if fit == tooLarge {
		e.Reason = fmt.Sprintf("%v holds %s with %s clusters", t, o.sectorsText(hi), diskerr.FormatBytes(int64(o.largestCluster(t))))
	} else {
		e.Reason = fmt.Sprintf("%v needs at least %s with %s clusters", t, o.sectorsText(lo), diskerr.FormatBytes(int64(o.smallestCluster())))
	}
	return Geometry{}, e
}

func (o *PlanOptions) sectorsText(n uint64) string {
	return diskerr.FormatBytes(int64(n) * int64(o.SectorBytes))
}

// fit says how a volume and a type go together.
type fit int8

const (
	tooSmall fit = -1 // too few clusters for the type
	fits     fit = 0
	tooLarge fit = 1 // too many clusters for the type
)

// choose plans a volume of type t, with the cluster size that was asked for or
// the one of Microsoft's table. The table knows sectors of 512 bytes and two
// FATs only; where the count contradicts it, the next size that fits is taken.
func (o *PlanOptions) choose(t Type) (Geometry, fit, error) {
	size := o.ClusterBytes
	if size == 0 {
		size = max(tableCluster(t, o.totalBytes()/512), o.SectorBytes)
	}
	g, f, err := o.lay(t, size)
	for grow := f; err == nil && o.ClusterBytes == 0 && f == grow && f != fits; {
		if grow == tooLarge {
			size *= 2
		} else {
			size /= 2
		}
		if size < o.smallestCluster() || size > o.largestCluster(t) {
			break
		}
		g, f, err = o.lay(t, size)
	}
	return g, f, err
}

// tableCluster returns the size in bytes that Microsoft's table has for a
// volume of so many sectors of 512 bytes.
func tableCluster(t Type, sectors512 uint64) int {
	table := map[Type][]clusterRow{FAT12: table12, FAT16: table16, FAT32: table32}[t]
	for _, row := range table {
		if sectors512 <= row.sectors {
			return row.clusterBytes
		}
	}
	panic("fatfmt: a cluster table without a last row")
}

func (o *PlanOptions) smallestCluster() int {
	if o.ClusterBytes != 0 {
		return o.ClusterBytes
	}
	return o.SectorBytes
}

// largestCluster returns the largest cluster that is used unasked. Only FAT32
// volumes beyond 8 TiB, which sectors of 4096 bytes make possible, need more
// than the specification allows.
func (o *PlanOptions) largestCluster(t Type) int {
	if o.ClusterBytes != 0 {
		return o.ClusterBytes
	}
	if t == FAT32 && o.totalBytes() > maxFAT32*defaultCluster {
		return maxPlanCluster
	}
	return defaultCluster
}

// planned returns the counts of clusters that a planned volume may have.
func planned(t Type) (lo, hi uint64) {
	lo, hi = uint64(t.MinClusters()), uint64(t.MaxClusters())-edge
	if t != FAT12 {
		lo += edge
	}
	return lo, hi
}

// lay computes the volume of type t with clusters of clusterBytes.
func (o *PlanOptions) lay(t Type, clusterBytes int) (Geometry, fit, error) {
	g := o.frame(t, clusterBytes)
	if g.RootEntries > maxRootEntries {
		return g, fits, planErrorf("a root directory has at most %d entries in whole sectors", maxRootEntries-maxRootEntries%(g.SectorBytes/DirEntryBytes))
	}
	total, fixed := o.TotalSectors, uint64(g.ReservedSectors)+uint64(g.rootSectors())
	if total <= fixed {
		return g, tooSmall, nil
	}
	fat := o.fatSectors(t, total-fixed, g.ClusterSectors)
	data := fixed + fat*uint64(g.FATs)
	if o.AlignBytes != 0 {
		pad := -data & uint64(o.AlignBytes/o.SectorBytes-1)
		if pad += uint64(g.ReservedSectors); pad > maxReservedSectors {
			return g, fits, planErrorf("alignment to %s needs %d reserved sectors, there are at most %d",
				diskerr.FormatBytes(int64(o.AlignBytes)), pad, maxReservedSectors)
		}
		data += pad - uint64(g.ReservedSectors)
		g.ReservedSectors = uint32(pad)
	}
	lo, hi := planned(t)
	if total < data+lo*uint64(g.ClusterSectors) {
		return g, tooSmall, nil
	}
	clusters := (total - data) / uint64(g.ClusterSectors)
	if clusters > hi {
		if clusters > hi+hi/trimShare {
			return g, tooLarge, nil
		}
		clusters = hi
		total = data + clusters*uint64(g.ClusterSectors)
	}
	g.FATSectors, g.Clusters, g.TotalSectors = uint32(fat), uint32(clusters), uint32(total)
	return g, fits, nil
}

// frame returns a geometry with all that does not depend on the size of the
// FAT.
func (o *PlanOptions) frame(t Type, clusterBytes int) Geometry {
	g := Geometry{
		Type:            t,
		SectorBytes:     o.SectorBytes,
		ClusterSectors:  clusterBytes / o.SectorBytes,
		ReservedSectors: uint32(o.ReservedSectors),
		FATs:            o.FATs,
		Media:           o.Media,
		HiddenSectors:   o.HiddenSectors,
		SectorsPerTrack: o.SectorsPerTrack,
		Heads:           o.Heads,
		Mirrored:        true,
	}
	if t != FAT32 {
		g.ReservedSectors = max(g.ReservedSectors, 1)
		g.RootEntries = roundUp(o.rootEntries(), o.SectorBytes/DirEntryBytes)
		return g
	}
	if o.ReservedSectors == 0 {
		g.ReservedSectors = 32
	}
	g.RootCluster = 2
	if g.ReservedSectors > usualFSInfo {
		g.FSInfoSector = usualFSInfo
	}
	if g.ReservedSectors >= usualBackup+backupArea {
		g.BackupSector = usualBackup
	}
	return g
}

// rootEntries returns the number of root entries to plan with: that of DOS on
// media of the size of a floppy, else the 512 of FAT 1.03.
func (o *PlanOptions) rootEntries() int {
	switch n := o.totalBytes(); {
	case o.RootEntries != 0:
		return o.RootEntries
	case n <= 720<<10:
		return 112
	case n <= 2880<<10:
		return 224
	}
	return 512
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// fatSectors returns the smallest size of one FAT that has an entry for every
// cluster when FATs and data share so many sectors.
func (o *PlanOptions) fatSectors(t Type, shared uint64, clusterSectors int) uint64 {
	enough := func(fat uint64) bool {
		fats := fat * uint64(o.FATs)
		if fats >= shared {
			return true
		}
		clusters := (shared - fats) / uint64(clusterSectors)
		return uint64(t.EntriesIn(int64(fat)*int64(o.SectorBytes))) >= clusters+2
	}
	lo, hi := uint64(1), shared+1
	for lo < hi {
		if mid := lo + (hi-lo)/2; enough(mid) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// SectorsFor returns the size, in sectors, of the smallest volume of type t with
// so many clusters of o.ClusterBytes (one sector, if that is 0). Plan accepts
// that size if the count is one that it plans.
func (o PlanOptions) SectorsFor(t Type, clusters uint32) (uint64, error) {
	if err := o.complete(); err != nil {
		return 0, err
	}
	return o.sectorsFor(t, uint64(clusters), o.smallestCluster()), nil
}

func (o *PlanOptions) sectorsFor(t Type, clusters uint64, clusterBytes int) uint64 {
	g := o.frame(t, clusterBytes)
	fat := (uint64(t.EntriesBytes(uint32(clusters)+2)) + uint64(o.SectorBytes) - 1) / uint64(o.SectorBytes)
	data := uint64(g.ReservedSectors) + uint64(g.rootSectors()) + fat*uint64(g.FATs)
	if o.AlignBytes != 0 {
		data += -data & uint64(o.AlignBytes/o.SectorBytes-1)
	}
	return data + clusters*uint64(g.ClusterSectors)
}

// Bounds returns the sizes, in sectors, of the smallest and the largest volume
// that Plan makes of type t with these options; TotalSectors counts only for
// the usual number of root entries.
func (o PlanOptions) Bounds(t Type) (minSectors, maxSectors uint64, err error) {
	if err := o.complete(); err != nil {
		return 0, 0, err
	}
	minSectors, maxSectors = o.bounds(t)
	return minSectors, maxSectors, nil
}

func (o *PlanOptions) bounds(t Type) (minSectors, maxSectors uint64) {
	lo, hi := planned(t)
	minSectors = o.sectorsFor(t, lo, o.smallestCluster())
	largest := o.largestCluster(t)
	maxSectors = o.sectorsFor(t, hi, largest) + uint64(largest/o.SectorBytes) - 1
	return minSectors, min(maxSectors, maxTotalSectors)
}

// hint returns what would hold a volume of this size that t does not: other
// clusters if their size was chosen, else another type.
func (o *PlanOptions) instead(t Type) (clusterBytes int, other Type) {
	if free := *o; o.ClusterBytes != 0 {
		free.ClusterBytes = 0
		if g, err := Plan(free); err == nil {
			return g.ClusterBytes(), 0
		}
	}
	for _, other := range o.preferred() {
		if _, f, err := o.choose(other); err == nil && f == fits && other != t {
			return 0, other
		}
	}
	return 0, 0
}
