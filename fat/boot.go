package fat

import (
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// readBoot reads the boot sector. The result is nil for a floppy of DOS 1,
// whose boot sector describes nothing.
func readBoot(d *disk) (*fatfmt.BootSector, fatfmt.Geometry, error) {
	sector := make([]byte, fatfmt.BootSectorBytes)
	n := min(int64(len(sector)), d.dev.Size())
	if err := d.read(sector[:n], 0); err != nil {
		return nil, fatfmt.Geometry{}, err
	}
	boot, err := fatfmt.DecodeBootSector(sector[:n])
	if err != nil {
		return nil, fatfmt.Geometry{}, err
	}
	geo, err := boot.Geometry()
	if err != nil {
		if geo, ok := oldFloppy(d); ok {
			return nil, geo, nil
		}
		return nil, geo, err
	}
	if size := d.dev.Size(); geo.TotalBytes() > size {
		return nil, geo, &diskerr.FormatError{Format: geo.Type.String(), Structure: "boot sector", Field: "BPB_TotSec",
			Offset: 19, Value: geo.TotalSectors,
			Reason: fmt.Sprintf("makes a volume of %s, the device has %s", diskerr.FormatBytes(geo.TotalBytes()), diskerr.FormatBytes(size))}
	}
	return boot, geo, nil
}

// oldFloppy recognises a floppy by its size and the media byte in its FAT.
func oldFloppy(d *disk) (fatfmt.Geometry, bool) {
	var fat [3]byte
	if d.dev.Size() > 4<<20 || d.read(fat[:], 512) != nil || fat[1] != 0xFF || fat[2] != 0xFF {
		return fatfmt.Geometry{}, false
	}
	f, ok := fatfmt.FloppyByMedia(fat[0], d.dev.Size())
	if !ok {
		return fatfmt.Geometry{}, false
	}
	return f.Geometry(), true
}

// hasState reports whether the boot sector has the byte that holds the dirty
// bit. Before DOS 4 there was boot code.
func (v *Volume) hasState() bool { return v.boot != nil && v.boot.HasSerial() }

// readState finds out whether the volume is clean, and reads the FSInfo sector.
func (v *Volume) readState() error {
	v.table.mu.Lock()
	flags, err := v.table.raw(1)
	v.table.mu.Unlock()
	if err != nil {
		return err
	}
	clean := v.geo.Type.CleanBit()
	v.wasClean = flags&clean == clean && (!v.hasState() || v.boot.State&fatfmt.StateDirty == 0)
	if v.geo.FSInfoSector == 0 {
		return nil
	}
	sector := make([]byte, fatfmt.FSInfoBytes)
	if err := v.disk.read(sector, v.fsInfoOffset()); err != nil {
		return err
	}
	if info, err := fatfmt.DecodeFSInfo(sector); err == nil { // it is only a hint
		info = info.Sane(&v.geo)
		v.fsInfo = &info
	}
	return nil
}

func (v *Volume) fsInfoOffset() int64 { return int64(v.geo.FSInfoSector) * int64(v.geo.SectorBytes) }

// setState writes the marks that say whether the volume is clean: the byte in
// the boot sector and the flag in the FAT.
func (v *Volume) setState(clean bool) error {
	v.table.mu.Lock()
	flags, err := v.table.raw(1)
	if err == nil {
		bit := v.geo.Type.CleanBit()
		want := flags &^ bit
		if clean {
			want |= bit
		}
		if want != flags {
			err = v.table.put(1, want)
		}
	}
	v.table.mu.Unlock()
	if err == nil {
		err = v.table.flush()
	}
	if err == nil && v.hasState() {
		state := v.boot.State &^ fatfmt.StateDirty
		if !clean {
			state |= fatfmt.StateDirty
		}
		v.boot.State = state
		err = v.disk.write([]byte{state}, int64(v.boot.StateOffset()))
	}
	if err == nil {
		err = v.disk.flush()
	}
	return err
}

// markDirty marks the volume on the medium, before its first change. The
// caller holds commitMu.
func (v *Volume) markDirty() error {
	if !v.wasClean {
		return nil // it is marked
	}
	return v.setState(false)
}

// maxExactCount is the size, in clusters, of the largest volume whose free
// clusters are counted for the sake of FSInfo alone.
const maxExactCount = 1 << 22

// markClean undoes markDirty when all is written.
func (v *Volume) markClean() error {
	if !v.marked.Load() {
		return nil
	}
	if v.fsInfo != nil && v.geo.Clusters <= maxExactCount {
		if _, err := v.space.count(); err != nil {
			return err
		}
	}
	if err := v.writeFSInfo(); err != nil {
		return err
	}
	if err := v.disk.flush(); err != nil || !v.wasClean {
		return err
	}
	return v.setState(true)
}

// writeFSInfo writes the hints, if there is a sector for them.
func (v *Volume) writeFSInfo() error {
	if v.fsInfo == nil {
		return nil
	}
	info := fatfmt.FSInfo{Free: fatfmt.UnknownCount}
	if n, ok := v.space.counted(); ok {
		info.Free = n
	} else if v.fsInfo.Free != fatfmt.UnknownCount {
		v.space.mu.Lock()
		info.Free = uint32(int64(v.fsInfo.Free) + v.space.net)
		v.space.mu.Unlock()
	}
	v.space.mu.Lock()
	info.Next = v.space.rotor
	v.space.mu.Unlock()
	info = info.Sane(&v.geo)
	sector := make([]byte, v.geo.SectorBytes)
	info.Encode(sector)
	return v.disk.write(sector, v.fsInfoOffset())
}
