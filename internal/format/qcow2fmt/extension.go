package qcow2fmt

import (
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// Types of header extensions (Header extensions).
const (
	ExtEnd           = 0x00000000
	ExtBackingFormat = 0xe2792aca
	ExtFeatureNames  = 0x6803f857
	ExtBitmaps       = 0x23852875
	ExtEncryption    = 0x0537be77
	ExtDataFile      = 0x44415441
)

// Extension is a header extension. Extensions of unknown types are kept.
type Extension struct {
	Type uint32
	Data []byte
}

// extensionHeaderBytes is the size of type and length.
const extensionHeaderBytes = 8

// DecodeArea decodes the header extensions and the name of the backing file.
// p holds the first cluster, or as much of it as the file has.
func (h *Header) DecodeArea(p []byte) error {
	end := int64(len(p))
	if h.BackingOffset != 0 {
		stop := int64(h.BackingOffset) + int64(h.BackingBytes)
		if stop > end {
			return headerError("backing_file_offset", 8, h.BackingOffset, "the name reaches past the end of the file")
		}
		h.BackingName = string(p[h.BackingOffset:stop])
		end = int64(h.BackingOffset)
	}
	h.Extensions = nil
	for at := int64(h.HeaderBytes); ; {
		if end-at < extensionHeaderBytes {
			return nil // no room for another one: the area ends here
		}
		typ, n := binary.BigEndian.Uint32(p[at:]), int64(binary.BigEndian.Uint32(p[at+4:]))
		if typ == ExtEnd {
			return nil
		}
		at += extensionHeaderBytes
		if n > end-at {
			return extensionError(at-4, n, fmt.Sprintf("extension %#08x reaches past the extension area", typ))
		}
		if len(h.Extensions) == MaxExtensions {
			return extensionError(at-8, nil, fmt.Sprintf("more than %d extensions", MaxExtensions))
		}
		h.Extensions = append(h.Extensions, Extension{typ, append([]byte(nil), p[at:at+n]...)})
		at += (n + 7) &^ 7
	}
}

// AppendArea appends the encoded header, its extensions, the end mark and the
// backing name to dst, setting BackingOffset and BackingBytes. It fails with
// a *diskerr.NoSpaceError if they do not fit in the first cluster.
func (h *Header) AppendArea(dst []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, h.HeaderBytes)...)
	for _, e := range append(h.Extensions[:len(h.Extensions):len(h.Extensions)], Extension{}) {
		dst = binary.BigEndian.AppendUint32(dst, e.Type)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Data)))
		dst = append(dst, e.Data...)
		dst = append(dst, make([]byte, -len(e.Data)&7)...)
	}
	h.BackingOffset, h.BackingBytes = 0, 0
	if h.BackingName != "" {
		h.BackingOffset, h.BackingBytes = uint64(len(dst)-start), uint32(len(h.BackingName))
		dst = append(dst, h.BackingName...)
	}
	if room := h.Geometry().ClusterBytes(); int64(len(dst)-start) > room {
		return nil, &diskerr.NoSpaceError{What: "header cluster", Needed: int64(len(dst) - start), Available: room,
			Hint: "use larger clusters or a shorter backing file name"}
	}
	h.Encode(dst[start:])
	return dst, nil
}

// Extension returns the data of the first extension of a type, and whether
// there is one.
func (h *Header) Extension(typ uint32) ([]byte, bool) {
	for _, e := range h.Extensions {
		if e.Type == typ {
			return e.Data, true
		}
	}
	return nil, false
}

// SetExtension replaces the extension of a type, adds it, or removes it if
// data is nil.
func (h *Header) SetExtension(typ uint32, data []byte) {
	for i, e := range h.Extensions {
		if e.Type != typ {
			continue
		}
		if data == nil {
			h.Extensions = append(h.Extensions[:i:i], h.Extensions[i+1:]...)
		} else {
			h.Extensions[i].Data = data
		}
		return
	}
	if data != nil {
		h.Extensions = append(h.Extensions, Extension{typ, data})
	}
}

// BackingFormat returns the format of the backing file, or "".
func (h *Header) BackingFormat() string {
	data, _ := h.Extension(ExtBackingFormat)
	return string(data)
}

// FeatureNames returns the image's own feature name table.
func (h *Header) FeatureNames() []FeatureName {
	data, _ := h.Extension(ExtFeatureNames)
	return DecodeFeatureNames(data)
}

// extensionError is a *diskerr.FormatError about the extension area.
func extensionError(offset int64, value any, reason string) error {
	return &diskerr.FormatError{
		Format: formatName, Structure: "header extensions", Field: "length",
		Offset: offset, Value: value, Reason: reason,
	}
}
