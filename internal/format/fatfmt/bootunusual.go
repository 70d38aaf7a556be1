package fatfmt

import (
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// Unusual lists what is odd about the boot sector of the volume g, which is
// what b.Geometry returned, and yet leaves it readable. The offsets of the
// findings are relative to the volume. Dirty bits are not listed: they are a
// state, not an oddity.
func (b *BootSector) Unusual(g *Geometry) []diskerr.Finding {
	var u unusual
	if b.Signature != BootSignature {
		u.add("boot-signature", 510, "the boot sector does not end with 55 AA", "write the signature")
	}
	if !b.validJump() {
		u.add("boot-jump", 0, fmt.Sprintf("the boot sector starts with % x, no jump", b.Jump[:]), "write a jump")
	}
	if !validMedia(b.Media) {
		u.add("media-byte", 21, fmt.Sprintf("the media byte is %#02x, not f0 or f8 to ff", b.Media), "")
	}
	if b.TotalSectors16 != 0 && b.TotalSectors32 != 0 && b.TotalSectors32 != uint32(b.TotalSectors16) {
		u.add("total-sectors-twice", 32, fmt.Sprintf("both counts of sectors are set and differ, %d and %d; the first is used",
			b.TotalSectors16, b.TotalSectors32), "clear BPB_TotSec32")
	}
	if n := g.ClusterBytes(); n > 32<<10 {
		u.add("cluster-size", 13, fmt.Sprintf("clusters of %s are above the 32 KiB that the specification allows",
			diskerr.FormatBytes(int64(n))), "")
	}
	if g.RootEntries*DirEntryBytes%g.SectorBytes != 0 {
		u.add("root-entries", 17, fmt.Sprintf("%d root entries do not fill whole sectors", g.RootEntries), "")
	}
	if g.FATs > 2 {
		u.add("fat-count", 16, fmt.Sprintf("there are %d FATs", g.FATs), "")
	}
	if nearEdge(g) {
		u.add("cluster-count-edge", -1, fmt.Sprintf("systems disagree on whether a volume of %d clusters is %s", g.Clusters, g.Type), "")
	}
	if g.Type == FAT32 {
		b.unusual32(&u)
	}
	return u
}

// unusual32 lists the oddities of what only FAT32 has.
func (b *BootSector) unusual32(u *unusual) {
	if b.TotalSectors16 != 0 {
		u.add("total-sectors-16", 19, "BPB_TotSec16 is not 0, as it must be on FAT32", "move it to BPB_TotSec32")
	}
	if !b.validReserved(b.FSInfoSector) {
		u.add("no-fsinfo", 48, fmt.Sprintf("there is no FSInfo sector: BPB_FSInfo is %d", b.FSInfoSector), "create one")
	}
	if !b.validReserved(b.BackupSector) {
		u.add("no-backup-boot", 50, fmt.Sprintf("there is no backup boot sector: BPB_BkBootSec is %d", b.BackupSector), "create one")
	}
	if b.RootCluster&^mask32 != 0 {
		u.add("root-cluster-bits", 44, "the top four bits of BPB_RootClus are not 0", "clear them")
	}
}

// nearEdge reports whether implementations may take the volume for another
// type. Windows counts FAT12 up to 4086 clusters, and a FAT32 layout may hold
// too few clusters for its type.
func nearEdge(g *Geometry) bool {
	return g.Type == FAT16 && g.Clusters < minFAT16+2 || g.Type == FAT32 && g.Clusters < minFAT32+2
}

// unusual collects findings.
type unusual []diskerr.Finding

// add appends a warning; repair is "" when there is none.
func (u *unusual) add(code string, off int64, message, repair string) {
	*u = append(*u, diskerr.Finding{Code: code, Severity: diskerr.Warning, Offset: off,
		Message: message, Repairable: repair != "", Repair: repair})
}
