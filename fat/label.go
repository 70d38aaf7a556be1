package fat

import (
	"errors"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// infoOf describes a volume. boot is nil for a floppy of DOS 1.
func infoOf(g *fatfmt.Geometry, boot *fatfmt.BootSector, cp *fatfmt.CodePage) Info {
	i := Info{
		Type: int(g.Type), SectorBytes: g.SectorBytes, ClusterBytes: g.ClusterBytes(), Clusters: g.Clusters,
		FATs: g.FATs, FATSectors: g.FATSectors, ReservedSectors: g.ReservedSectors,
		RootEntries: g.RootEntries, RootCluster: g.RootCluster,
		TotalSectors: g.TotalSectors, HiddenSectors: g.HiddenSectors, Media: g.Media,
		ActiveFAT: g.ActiveFAT, Mirrored: g.Mirrored,
		FSInfoSector: g.FSInfoSector, BackupSector: g.BackupSector, DataOffset: g.DataOffset(),
	}
	if boot == nil {
		return i
	}
	i.OEM = string(cp.AppendDecoded(nil, boot.OEM[:]))
	if boot.HasSerial() {
		i.Serial = boot.Serial
	}
	if boot.HasLabel() {
		i.Label = fatfmt.DecodeLabel(boot.Label, cp)
	}
	return i
}

// Info describes the volume. Its label is that of the root directory, or else
// that of the boot sector.
func (v *Volume) Info() (Info, error) {
	if err := v.enter(); err != nil {
		return Info{}, err
	}
	defer v.gate.Leave()
	v.treeMu.RLock()
	defer v.treeMu.RUnlock()
	i := infoOf(&v.geo, v.boot, v.codePage)
	d, err := v.contents(v.root)
	if err != nil {
		return i, err
	}
	if slot := labelSlot(d); slot >= 0 {
		i.Label = fatfmt.DecodeLabel([fatfmt.LabelBytes]byte(d.slot(slot)), v.codePage)
	}
	return i, nil
}

// labelSlot returns the slot of the label in the root directory, or -1.
func labelSlot(d *directory) int {
	for i := range d.end {
		if fatfmt.KindOf(d.slot(i)) == fatfmt.SlotLabel {
			return i
		}
	}
	return -1
}

// SetLabel sets the label of the volume, in the root directory and in the boot
// sector; "" removes it. It is kept in upper case.
func (v *Volume) SetLabel(label string) error {
	encoded, err := fatfmt.EncodeLabel(label, v.codePage)
	if err != nil {
		return err
	}
	return v.change(func() error {
		d, err := v.hold(v.root)
		if err != nil {
			return err
		}
		slot := labelSlot(d)
		if slot < 0 && encoded != fatfmt.NoLabel {
			if slot, err = v.room(v.root, d, 1, nil, nil); err != nil {
				return err
			}
		}
		if v.boot != nil && v.boot.HasLabel() {
			if err := v.editBoot(func(b *fatfmt.BootSector) { b.Label = encoded }); err != nil {
				return err
			}
		}
		if slot >= 0 {
			v.writeLabel(d, slot, encoded)
		}
		return nil
	})
}

// writeLabel writes the label to its slot, which may be a free one, or frees the
// slot for no label. The caller holds treeMu for writing.
func (v *Volume) writeLabel(d *directory, slot int, label [fatfmt.LabelBytes]byte) {
	v.openSlots(v.root, d, min(slot, d.end), slot+1)
	if label == fatfmt.NoLabel {
		fatfmt.MarkDeleted(d.slot(slot))
		d.holes++
		d.small = 0
		return
	}
	e := fatfmt.DirEntry{Attr: fatfmt.AttrLabel}
	switch {
	case slot >= d.end:
		if d.end = slot + 1; d.stale > d.end {
			v.openSlots(v.root, d, d.end, d.stale)
			d.stale = 0
		}
	case fatfmt.KindOf(d.slot(slot)) == fatfmt.SlotFree:
		d.holes--
	default:
		e = fatfmt.DecodeDirEntry(d.slot(slot))
	}
	e.Name = label
	v.opt.stamp(v.opt.Now()).modified(&e)
	e.Encode(d.slot(slot))
}

// SetSerial sets the serial number of the volume. A boot sector of before DOS 4
// has none: errors.ErrUnsupported.
func (v *Volume) SetSerial(serial uint32) error {
	return v.change(func() error {
		if !v.hasState() {
			return errors.ErrUnsupported
		}
		return v.editBoot(func(b *fatfmt.BootSector) { b.Serial = serial })
	})
}

// editBoot changes the boot sector, and its backup if that is one. The caller
// holds treeMu for writing.
func (v *Volume) editBoot(fn func(*fatfmt.BootSector)) error {
	fn(v.boot)
	sectors := []uint16{0}
	if v.geo.BackupSector != 0 {
		sectors = append(sectors, v.geo.BackupSector)
	}
	for _, n := range sectors {
		off := int64(n) * int64(v.geo.SectorBytes)
		p := make([]byte, fatfmt.BootSectorBytes)
		if err := v.disk.read(p, off); err != nil {
			return err
		}
		b, err := fatfmt.DecodeBootSector(p)
		if err != nil {
			return err
		}
		if g, err := b.Geometry(); n != 0 && (err != nil || g != v.geo) {
			continue // no backup of this volume: Check repairs it
		}
		fn(b)
		b.Encode(p)
		if err := v.disk.write(p, off); err != nil {
			return v.fail(err)
		}
	}
	return nil
}
