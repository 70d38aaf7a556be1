package qcow2fmt

import (
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// formatName is how errors call the format.
const formatName = "qcow2"

// Magic is the first word of an image, "QFI\xfb".
const Magic = 0x514649fb

// Sizes of the header in bytes (Header; Additional fields).
const (
	HeaderBytesV2    = 72
	MinHeaderBytesV3 = 104
	// NewHeaderBytes is the size of the headers that fatkit writes: the
	// compression type and its padding included.
	NewHeaderBytes = 112
)

// Encryption methods (Header, crypt_method).
const (
	CryptNone = 0
	CryptAES  = 1
	CryptLUKS = 2
)

// Compression is the compression type of an image (Additional fields, 104).
type Compression uint8

// The compression types.
const (
	CompressionDeflate Compression = 0
	CompressionZstd    Compression = 1
)

// String returns qemu-img's word for the type.
func (c Compression) String() string {
	switch c {
	case CompressionDeflate:
		return "zlib"
	case CompressionZstd:
		return "zstd"
	}
	return fmt.Sprintf("type %d", uint8(c))
}

// Offsets of header fields that are rewritten one by one. All lie within the
// first sector, so that each update is atomic.
const (
	offSize           = 24
	offL1Entries      = 36
	offRefcountTable  = 48
	offIncompatible   = 72
	offAutoclear      = 88
	offRefcountOrder  = 96
	offHeaderBytes    = 100
	offCompression    = 104
	offAfterLastField = 105
)

// Header is the header of an image with its extensions and the name of its
// backing file. Offsets are bytes from the start of the image file.
type Header struct {
	Version               uint32 // 2 or 3
	BackingOffset         uint64 // of the name, 0 for none
	BackingBytes          uint32
	ClusterBits           uint32
	Size                  uint64 // of the virtual disk, in bytes
	Crypt                 uint32
	L1Entries             uint32
	L1Offset              uint64
	RefcountTableOffset   uint64
	RefcountTableClusters uint32
	Snapshots             uint32
	SnapshotsOffset       uint64

	// Version 3. Version 2 has none of these: all features 0, order 4.
	Incompatible  uint64
	Compatible    uint64
	Autoclear     uint64
	RefcountOrder uint32 // refcounts are 1<<RefcountOrder bits wide
	HeaderBytes   uint32
	Compression   Compression
	Extra         []byte // additional fields that are not known here, from byte 105 on

	Extensions  []Extension // without the end mark
	BackingName string
}

// DecodeHeader decodes and validates the fixed part of a header from the
// first bytes of an image. p needs to hold the header only; at least 112
// bytes are enough unless the header has fields from the future. Extensions
// and the backing name are decoded by DecodeArea.
func DecodeHeader(p []byte) (*Header, error) {
	be := binary.BigEndian
	if len(p) < HeaderBytesV2 {
		return nil, headerError("", 0, len(p), "the file is shorter than a header")
	}
	if m := be.Uint32(p); m != Magic {
		return nil, headerError("magic", 0, fmt.Sprintf("%#08x", m), `expected 0x514649fb ("QFI\xfb")`)
	}
	h := &Header{
		Version:       be.Uint32(p[4:]),
		BackingOffset: be.Uint64(p[8:]), BackingBytes: be.Uint32(p[16:]),
		ClusterBits: be.Uint32(p[20:]),
		Size:        be.Uint64(p[offSize:]), Crypt: be.Uint32(p[32:]),
		L1Entries: be.Uint32(p[offL1Entries:]), L1Offset: be.Uint64(p[40:]),
		RefcountTableOffset:   be.Uint64(p[offRefcountTable:]),
		RefcountTableClusters: be.Uint32(p[56:]),
		Snapshots:             be.Uint32(p[60:]), SnapshotsOffset: be.Uint64(p[64:]),
		RefcountOrder: 4, HeaderBytes: HeaderBytesV2,
	}
	if h.Version == 3 {
		if err := h.decodeV3(p); err != nil {
			return nil, err
		}
	}
	if err := h.Validate(); err != nil {
		return nil, err
	}
	return h, nil
}

// decodeV3 decodes what version 3 added.
func (h *Header) decodeV3(p []byte) error {
	be := binary.BigEndian
	if len(p) < MinHeaderBytesV3 {
		return headerError("", 0, len(p), "the file is shorter than a header of version 3")
	}
	h.Incompatible = be.Uint64(p[offIncompatible:])
	h.Compatible = be.Uint64(p[80:])
	h.Autoclear = be.Uint64(p[offAutoclear:])
	h.RefcountOrder = be.Uint32(p[offRefcountOrder:])
	h.HeaderBytes = be.Uint32(p[offHeaderBytes:])
	if h.HeaderBytes < MinHeaderBytesV3 || h.HeaderBytes%8 != 0 {
		return headerError("header_length", offHeaderBytes, h.HeaderBytes, "must be at least 104 and a multiple of 8")
	}
	if int64(h.HeaderBytes) > int64(len(p)) {
		return headerError("header_length", offHeaderBytes, h.HeaderBytes, "reaches past the first cluster or the end of the file")
	}
	if h.HeaderBytes > offCompression {
		h.Compression = Compression(p[offCompression])
		h.Extra = append([]byte(nil), p[offAfterLastField:h.HeaderBytes]...)
	}
	return nil
}

// Encode writes the fixed part of the header to p, which must hold
// HeaderBytes bytes.
func (h *Header) Encode(p []byte) {
	be := binary.BigEndian
	be.PutUint32(p, Magic)
	be.PutUint32(p[4:], h.Version)
	be.PutUint64(p[8:], h.BackingOffset)
	be.PutUint32(p[16:], h.BackingBytes)
	be.PutUint32(p[20:], h.ClusterBits)
	be.PutUint64(p[offSize:], h.Size)
	be.PutUint32(p[32:], h.Crypt)
	be.PutUint32(p[offL1Entries:], h.L1Entries)
	be.PutUint64(p[40:], h.L1Offset)
	be.PutUint64(p[offRefcountTable:], h.RefcountTableOffset)
	be.PutUint32(p[56:], h.RefcountTableClusters)
	be.PutUint32(p[60:], h.Snapshots)
	be.PutUint64(p[64:], h.SnapshotsOffset)
	if h.Version < 3 {
		return
	}
	be.PutUint64(p[offIncompatible:], h.Incompatible)
	be.PutUint64(p[80:], h.Compatible)
	be.PutUint64(p[offAutoclear:], h.Autoclear)
	be.PutUint32(p[offRefcountOrder:], h.RefcountOrder)
	be.PutUint32(p[offHeaderBytes:], h.HeaderBytes)
	if h.HeaderBytes > offCompression {
		p[offCompression] = byte(h.Compression)
		clear(p[offAfterLastField:h.HeaderBytes])
		copy(p[offAfterLastField:h.HeaderBytes], h.Extra)
	}
}

// Geometry returns the sizes that the header implies.
func (h *Header) Geometry() Geometry {
	return Geometry{
		ClusterBits:   int(h.ClusterBits),
		RefcountOrder: int(h.RefcountOrder),
		ExtendedL2:    h.Incompatible&IncompatExtendedL2 != 0,
		ZeroFlag:      h.Version >= 3,
	}
}

// headerError is a *diskerr.FormatError about the header.
func headerError(field string, offset int64, value any, reason string) error {
	return &diskerr.FormatError{
		Format: formatName, Structure: "header", Field: field,
		Offset: offset, Value: value, Reason: reason,
	}
}
