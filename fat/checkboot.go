package fat

import (
	"bytes"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// usualBackup and usualInfo are the sectors where a FAT32 volume usually has
// the backup of its boot sector and its FSInfo: FAT 1.03, "FAT32 FSInfo Sector
// Structure and Backup Boot Sector".
const (
	usualInfo   = 1
	usualBackup = 6
)

// checkBoot finds out where everything is.
func (c *checker) checkBoot() error {
	boot, geo, err := readBoot(c.disk)
	if err != nil {
		if boot, geo, err = c.rescueBoot(err); err != nil {
			return err
		}
	}
	c.boot, c.geo = boot, geo
	if boot == nil {
		return nil
	}
	for _, f := range boot.Unusual(&c.geo) {
		if !c.repairUnusual(f.Code) {
			f.Repairable, f.Repair, f.Severity = false, "", diskerr.Info
		}
		c.report(f.Severity, f.Code, "", f.Offset, f.Repair, "%s", f.Message)
	}
	c.separate()
	c.dirty = boot.HasSerial() && boot.State&fatfmt.StateDirty != 0
	c.diskError = boot.HasSerial() && boot.State&fatfmt.StateError != 0
	if err := c.writeBoot(); err != nil {
		return err
	}
	if err := c.checkBackup(); err != nil {
		return err
	}
	return c.checkFSInfo()
}

// separate gives FSInfo and the backup of the boot sector a sector each.
func (c *checker) separate() {
	if c.geo.FSInfoSector == 0 || c.geo.FSInfoSector != c.geo.BackupSector {
		return
	}
	n := uint16(usualInfo)
	if c.geo.BackupSector == usualInfo {
		n = usualInfo + 1
	}
	if uint32(n) >= c.geo.ReservedSectors {
		n = 0
	}
	c.report(diskerr.Error, "fsinfo-place", "", 48, fmt.Sprintf("have it in sector %d", n),
		"FSInfo and the backup of the boot sector are both in sector %d", c.geo.BackupSector)
	c.boot.FSInfoSector, c.geo.FSInfoSector, c.newFSInfo = n, n, true
}

// rescueBoot makes a boot sector from the backup, wherever that is.
func (c *checker) rescueBoot(cause error) (*fatfmt.BootSector, fatfmt.Geometry, error) {
	for _, sector := range []int64{512, 1024, 2048, 4096} {
		p := make([]byte, fatfmt.BootSectorBytes)
		if c.disk.read(p, usualBackup*sector) != nil {
			break
		}
		boot, err := fatfmt.DecodeBootSector(p)
		if err != nil {
			continue
		}
		geo, err := boot.Geometry()
		if err != nil || int64(geo.SectorBytes) != sector || geo.Type != fatfmt.FAT32 || geo.TotalBytes() > c.disk.dev.Size() {
			continue
		}
		c.report(diskerr.Error, "boot-sector", "", 0, "restore it from the backup", "the boot sector is damaged: %v", cause)
		return boot, geo, c.disk.write(p, 0)
	}
	boot, geo, ok := c.rebuildBoot()
	if !ok {
		return nil, geo, cause
	}
	p := make([]byte, fatfmt.BootSectorBytes)
	boot.Encode(p)
	c.report(diskerr.Error, "boot-sector", "", 0, "rebuild it from the FAT and the root directory",
		"the boot sector is damaged, and there is no backup: %v", cause)
	return boot, geo, c.disk.write(p, 0)
}

// repairUnusual changes the boot sector as its finding proposes. It reports
// whether there is anything to change.
func (c *checker) repairUnusual(code string) bool {
	b := c.boot
	switch code {
	case "boot-signature":
		b.Signature = fatfmt.BootSignature
	case "boot-jump":
		b.Jump = fatfmt.NewBootSector(&c.geo, fatfmt.BootOptions{}).Jump
	case "total-sectors-twice":
		b.TotalSectors32 = 0
	case "total-sectors-16":
		b.TotalSectors32, b.TotalSectors16 = uint32(b.TotalSectors16), 0
	case "root-cluster-bits":
		b.RootCluster = c.geo.RootCluster
	case "no-fsinfo":
		if c.geo.ReservedSectors <= usualInfo || c.geo.BackupSector == usualInfo {
			return false
		}
		b.FSInfoSector, c.geo.FSInfoSector, c.newFSInfo = usualInfo, usualInfo, true
	case "no-backup-boot":
		if c.geo.ReservedSectors <= usualBackup+1 || c.geo.FSInfoSector == usualBackup {
			return false
		}
		b.BackupSector, c.geo.BackupSector, c.newBackup = usualBackup, usualBackup, true
	default:
		return false
	}
	return true
}

// writeBoot writes the boot sector if it was changed.
func (c *checker) writeBoot() error {
	was, now := make([]byte, fatfmt.BootSectorBytes), make([]byte, fatfmt.BootSectorBytes)
	if err := c.disk.read(was, 0); err != nil {
		return err
	}
	c.boot.Encode(now)
	if bytes.Equal(was, now) {
		return nil
	}
	return c.disk.write(now, 0)
}

// checkBackup makes the backup equal to the boot sector, but for the dirty
// state.
func (c *checker) checkBackup() error {
	if c.geo.BackupSector == 0 {
		return nil
	}
	off := int64(c.geo.BackupSector) * int64(c.geo.SectorBytes)
	was, now := make([]byte, fatfmt.BootSectorBytes), make([]byte, fatfmt.BootSectorBytes)
	if err := c.disk.read(was, off); err != nil {
		return err
	}
	c.boot.Encode(now)
	now[c.boot.StateOffset()] = 0
	state := was[c.boot.StateOffset()]
	was[c.boot.StateOffset()] = 0
	if bytes.Equal(was, now) && state == 0 {
		return nil
	}
	if !bytes.Equal(was, now) && !c.newBackup {
		c.report(diskerr.Warning, "backup-boot", "", off, "copy the boot sector to it",
			"the backup of the boot sector differs from it")
	}
	return c.disk.write(now, off)
}

// checkFSInfo reads the FSInfo sector, or makes a new one.
func (c *checker) checkFSInfo() error {
	if c.geo.FSInfoSector == 0 {
		return nil
	}
	off := int64(c.geo.FSInfoSector) * int64(c.geo.SectorBytes)
	p := make([]byte, fatfmt.FSInfoBytes)
	if err := c.disk.read(p, off); err != nil {
		return err
	}
	info, err := fatfmt.DecodeFSInfo(p)
	if err != nil && !c.newFSInfo {
		c.report(diskerr.Warning, "fsinfo", "", off, "make a new one", "the FSInfo sector is damaged: %v", err)
	}
	if err != nil {
		info = fatfmt.FSInfo{Free: fatfmt.UnknownCount - 1, Next: fatfmt.UnknownCount}
	}
	c.fsInfo = &info
	return nil
}

// countFree counts the free clusters and corrects FSInfo.
func (c *checker) countFree() error {
	s := newSpace(c.t, c.geo.Clusters, 0)
	free, err := s.count()
	if err != nil {
		return err
	}
	c.res.Free = free
	if c.fsInfo == nil {
		return nil
	}
	off := int64(c.geo.FSInfoSector) * int64(c.geo.SectorBytes)
	want := *c.fsInfo
	if want.Free != fatfmt.UnknownCount {
		want.Free = free
	}
	want = want.Sane(&c.geo)
	if want == *c.fsInfo {
		return nil
	}
	if want.Free != c.fsInfo.Free && c.fsInfo.Free != fatfmt.UnknownCount-1 {
		c.report(diskerr.Warning, "free-count", "", off+488, fmt.Sprintf("set it to %d", free),
			"FSInfo counts %d free clusters, there are %d", c.fsInfo.Free, free)
	}
	p := make([]byte, c.geo.SectorBytes)
	want.Encode(p)
	return c.disk.write(p, off)
}

// clearDirty marks the volume clean, when all that was wrong is repaired.
func (c *checker) clearDirty() error {
	if !c.dirty && !c.diskError {
		return nil
	}
	off := int64(-1)
	if c.boot != nil {
		off = int64(c.boot.StateOffset())
	}
	if c.dirty {
		c.report(diskerr.Warning, "dirty", "", off, "mark it clean", "the volume was not unmounted cleanly")
	}
	if c.diskError {
		c.report(diskerr.Warning, "disk-error", "", off, "take the mark away",
			"some system met a read or write error on the volume")
	}
	v := &Volume{disk: c.disk, geo: c.geo, boot: c.boot, table: c.t}
	flags := c.geo.Type.NoErrorBit()
	entry, _, err := c.get(1)
	if err == nil && entry&flags != flags {
		err = c.set(1, entry|flags)
	}
	if err != nil {
		return err
	}
	if v.hasState() {
		v.boot.State &^= fatfmt.StateError
	}
	return v.setState(true)
}
