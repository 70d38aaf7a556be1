package qcow2fmt

import (
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// BitmapsExtension is the data of the bitmaps extension.
type BitmapsExtension struct {
	Bitmaps         uint32
	DirectoryBytes  uint64
	DirectoryOffset uint64
}

// bitmapsExtensionBytes is the size of the extension's data.
const bitmapsExtensionBytes = 24

// Bitmaps returns the bitmaps extension, or nil if the image has none.
func (h *Header) Bitmaps() (*BitmapsExtension, error) {
	p, ok := h.Extension(ExtBitmaps)
	if !ok {
		if h.Autoclear&AutoclearBitmaps != 0 {
			return nil, headerError("autoclear_features", offAutoclear, h.Autoclear,
				"the bitmaps bit is set without a bitmaps extension")
		}
		return nil, nil
	}
	if len(p) != bitmapsExtensionBytes {
		return nil, bitmapError("extension length", -1, len(p), "must be 24")
	}
	be := binary.BigEndian
	b := &BitmapsExtension{be.Uint32(p), be.Uint64(p[8:]), be.Uint64(p[16:])}
	switch {
	case be.Uint32(p[4:]) != 0:
		return nil, bitmapError("reserved", -1, be.Uint32(p[4:]), "must be zero")
	case b.Bitmaps == 0 || b.Bitmaps > MaxBitmaps:
		return nil, bitmapError("nb_bitmaps", -1, b.Bitmaps, "must be 1 to 65535")
	case b.DirectoryBytes > MaxBitmapDirectoryBytes:
		return nil, bitmapError("bitmap_directory_size", -1, b.DirectoryBytes,
			fmt.Sprintf("must not exceed %d", MaxBitmapDirectoryBytes))
	case b.DirectoryOffset == 0 || b.DirectoryOffset >= uint64(MaxOffset) ||
		b.DirectoryOffset&uint64(h.Geometry().ClusterBytes()-1) != 0:
		return nil, bitmapError("bitmap_directory_offset", -1, b.DirectoryOffset,
			"must be a multiple of the cluster size, not 0 and below 2^56")
	}
	return b, nil
}

// Flags of a bitmap (Bitmap directory, flags).
const (
	BitmapInUse           = 1 << 0 // not saved correctly
	BitmapAuto            = 1 << 1 // must follow every write
	BitmapExtraCompatible = 1 << 2

	bitmapFlags = BitmapInUse | BitmapAuto | BitmapExtraCompatible
)

// BitmapTypeDirty is the type of dirty tracking bitmaps, the only one.
const BitmapTypeDirty = 1

// Bitmap is an entry of the bitmap directory.
type Bitmap struct {
	TableOffset     uint64
	TableEntries    uint32
	Flags           uint32
	Type            uint8
	GranularityBits uint8
	Extra           []byte
	Name            string
}

const (
	bitmapFixedBytes = 24
	// BitmapFlagsOffset is the offset of the flags within an entry.
	BitmapFlagsOffset = 12
)

// DecodeBitmap decodes the entry at the start of p, the rest of the bitmap
// directory, and returns its size with padding. offset is the entry's offset
// in the image, for errors.
func (g Geometry) DecodeBitmap(p []byte, offset int64) (*Bitmap, int, error) {
	be := binary.BigEndian
	if len(p) < bitmapFixedBytes {
		return nil, 0, bitmapError("", offset, len(p), "the bitmap directory is cut off")
	}
	b := &Bitmap{
		TableOffset: be.Uint64(p), TableEntries: be.Uint32(p[8:]), Flags: be.Uint32(p[BitmapFlagsOffset:]),
		Type: p[16], GranularityBits: p[17],
	}
	nameLen, extraLen := int64(be.Uint16(p[18:])), int64(be.Uint32(p[20:]))
	size := (bitmapFixedBytes + extraLen + nameLen + 7) &^ 7
	if size > int64(len(p)) {
		return nil, 0, bitmapError("", offset, size, "the entry reaches past the bitmap directory")
	}
	b.Extra = append(b.Extra, p[bitmapFixedBytes:bitmapFixedBytes+extraLen]...)
	b.Name = string(p[bitmapFixedBytes+extraLen:][:nameLen])
	if err := g.validateBitmap(b, offset); err != nil {
		return nil, 0, err
	}
	return b, int(size), nil
}

func (g Geometry) validateBitmap(b *Bitmap, offset int64) error {
	switch {
	case b.TableOffset == 0 || b.TableOffset >= uint64(MaxOffset) || b.TableOffset&uint64(g.ClusterBytes()-1) != 0:
		return bitmapError("bitmap_table_offset", offset, b.TableOffset,
			"must be a multiple of the cluster size, not 0 and below 2^56")
	case int64(b.TableEntries) > MaxL1Bytes/8:
		return bitmapError("bitmap_table_size", offset+8, b.TableEntries, "the bitmap table must not exceed 32 MiB")
	case b.Flags&^bitmapFlags != 0:
		return bitmapError("flags", offset+BitmapFlagsOffset, b.Flags, "reserved flags are set")
	case b.Type != BitmapTypeDirty:
		return bitmapError("type", offset+16, b.Type, "must be 1, a dirty tracking bitmap")
	case b.GranularityBits > 63:
		return bitmapError("granularity_bits", offset+17, b.GranularityBits, "must not exceed 63")
	case len(b.Name) == 0 || len(b.Name) > MaxBitmapNameBytes:
		return bitmapError("name_size", offset+18, len(b.Name), "must be 1 to 1023")
	}
	return nil
}

// AppendBitmap appends the encoded entry, padding included.
func AppendBitmap(dst []byte, b *Bitmap) []byte {
	be := binary.BigEndian
	start := len(dst)
	dst = be.AppendUint64(dst, b.TableOffset)
	dst = be.AppendUint32(dst, b.TableEntries)
	dst = be.AppendUint32(dst, b.Flags)
	dst = append(dst, b.Type, b.GranularityBits)
	dst = be.AppendUint16(dst, uint16(len(b.Name)))
	dst = be.AppendUint32(dst, uint32(len(b.Extra)))
	dst = append(dst, b.Extra...)
	dst = append(dst, b.Name...)
	return append(dst, make([]byte, -(len(dst)-start)&7)...)
}

// BitmapTableEntry is an entry of a bitmap table.
type BitmapTableEntry uint64

// Offset returns the offset of the data cluster, 0 if there is none.
func (e BitmapTableEntry) Offset() int64 { return int64(uint64(e) & offsetMask) }

// Reserved returns the reserved bits that are set.
func (e BitmapTableEntry) Reserved() uint64 {
	if e.Offset() != 0 {
		return uint64(e) &^ offsetMask
	}
	return uint64(e) &^ 1
}

func bitmapError(field string, offset int64, value any, reason string) error {
	return &diskerr.FormatError{
		Format: formatName, Structure: "bitmaps", Field: field,
		Offset: offset, Value: value, Reason: reason,
	}
}
