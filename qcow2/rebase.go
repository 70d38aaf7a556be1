package qcow2

import (
	"fmt"
	"io/fs"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// SetBacking changes the name and the format of the backing file that the
// image records; an empty name removes it. It does not look at either file:
// what the disk shows changes with the backing file, unless the caller copied
// the differences before. The image must be opened anew to see the new one. No
// other call may be under way.
//
// The change is one write of the header's sector, so a power cut leaves the old
// name or the new one. Where the extensions do not fit in that sector the
// feature name table, which is only for messages, is left out.
func (img *Image) SetBacking(name, format string) error {
	if len(name) > qcow2fmt.MaxBackingNameBytes {
		return fmt.Errorf("qcow2: backing file name of %d bytes: %w", len(name), fs.ErrInvalid)
	}
	if err := img.enterWrite(0, 0); err != nil {
		return err
	}
	defer img.gate.Leave()
	img.plan.Lock()
	defer img.plan.Unlock()
	if err := img.prepare(); err != nil {
		return err
	}
	next := *img.hdr
	next.Extensions = append([]qcow2fmt.Extension(nil), next.Extensions...)
	next.BackingName = ""
	next.SetExtension(qcow2fmt.ExtBackingFormat, nil)
	if name != "" && format != "" {
		next.SetExtension(qcow2fmt.ExtBackingFormat, []byte(format))
	}
	area, err := next.AppendArea(nil)
	if err == nil && len(area) > qcow2fmt.SectorBytes {
		next.SetExtension(qcow2fmt.ExtFeatureNames, nil)
		area, err = next.AppendArea(nil)
	}
	if err != nil {
		return err
	}
	return img.switchBacking(&next, area, name)
}

// switchBacking puts the name where the old header does not look, and then
// replaces the header. The caller holds plan.
func (img *Image) switchBacking(next *qcow2fmt.Header, area []byte, name string) error {
	oldArea, err := img.hdr.AppendArea(nil)
	if err != nil {
		return err
	}
	const sector = qcow2fmt.SectorBytes
	cluster := img.geo.ClusterBytes()
	at := int64(len(area))
	if cluster > sector {
		at = max(at, int64(len(oldArea)), int64(img.hdr.BackingOffset)+int64(img.hdr.BackingBytes), sector)
		if at+int64(len(name)) > cluster && img.hdr.BackingOffset >= sector+uint64(len(name)) {
			at = sector // in front of the old name
		}
	}
	if len(area) > sector || at+int64(len(name)) > cluster {
		return &diskerr.NoSpaceError{What: "header cluster", Needed: at + int64(len(name)), Available: cluster}
	}
	if next.BackingName = name; name != "" {
		next.BackingOffset, next.BackingBytes = uint64(at), uint32(len(name))
	}
	next.Encode(area)
	if cluster > sector {
		if err := img.writeDurably([]byte(name), at); err != nil {
			return err
		}
	} else {
		area = append(area, name...)
	}
	area = append(area, make([]byte, max(sector-len(area), 0))...)
	if err := img.writeDurably(area, 0); err != nil {
		return img.fail(err)
	}
	img.hdrMu.Lock()
	img.hdr = next
	img.hdrMu.Unlock()
	return nil
}

func (img *Image) writeDurably(p []byte, off int64) error {
	if err := img.file.writeAt(p, off); err != nil {
		return err
	}
	return img.file.sync()
}

// Empty frees everything that the image holds of the disk, so that it shows its
// backing file, or zeroes without one. Snapshots keep what they have.
func (img *Image) Empty() error {
	if err := img.enterWrite(0, 0); err != nil {
		return err
	}
	defer img.gate.Leave()
	return img.erase(0, img.geo.Clusters(img.Size())<<img.geo.ClusterBits, eraseGone, nil)
}
