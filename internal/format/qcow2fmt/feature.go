package qcow2fmt

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/fatkit/fatkit/diskerr"
)

// Incompatible feature bits (Header, bytes 72-79).
const (
	IncompatDirty       = 1 << 0 // refcounts may be inconsistent
	IncompatCorrupt     = 1 << 1 // must not be written to
	IncompatDataFile    = 1 << 2 // guest clusters live in an external file
	IncompatCompression = 1 << 3 // compression type is not deflate
	IncompatExtendedL2  = 1 << 4 // L2 entries of 16 bytes with subclusters

	// IncompatHandled are the bits that package qcow2 handles.
	IncompatHandled = IncompatDirty | IncompatCorrupt | IncompatCompression | IncompatExtendedL2
)

// Compatible feature bits (Header, bytes 80-87).
const CompatLazyRefcounts = 1 << 0

// Autoclear feature bits (Header, bytes 88-95).
const (
	AutoclearBitmaps     = 1 << 0 // the bitmaps extension is consistent
	AutoclearRawExternal = 1 << 1 // the external data file is a raw image
)

// FeatureKind selects one of the three feature fields (Feature name table).
type FeatureKind uint8

// The kinds of features.
const (
	Incompatible FeatureKind = iota
	Compatible
	Autoclear
)

// FeatureName is an entry of the feature name table.
type FeatureName struct {
	Kind FeatureKind
	Bit  uint8 // 0-63
	Name string
}

// featureNameBytes is the size of an entry: kind, bit, 46 bytes of name.
const featureNameBytes = 48

// knownFeatures are the features that the specification defines, in its words.
var knownFeatures = []FeatureName{
	{Incompatible, 0, "dirty bit"},
	{Incompatible, 1, "corrupt bit"},
	{Incompatible, 2, "external data file"},
	{Incompatible, 3, "compression type"},
	{Incompatible, 4, "extended L2 entries"},
	{Compatible, 0, "lazy refcounts"},
	{Autoclear, 0, "bitmaps"},
	{Autoclear, 1, "raw external data"},
}

// DecodeFeatureNames decodes the data of a feature name table. A rest that is
// no whole entry is ignored, since the table is only for messages.
func DecodeFeatureNames(p []byte) []FeatureName {
	var names []FeatureName
	for ; len(p) >= featureNameBytes && len(names) < 3*64; p = p[featureNameBytes:] {
		name, _, _ := bytes.Cut(p[2:featureNameBytes], []byte{0})
		names = append(names, FeatureName{FeatureKind(p[0]), p[1], string(name)})
	}
	return names
}

// AppendFeatureNames appends the encoded table to dst.
func AppendFeatureNames(dst []byte, names []FeatureName) []byte {
	for _, n := range names {
		var e [featureNameBytes]byte
		e[0], e[1] = byte(n.Kind), n.Bit
		copy(e[2:], n.Name)
		dst = append(dst, e[:]...)
	}
	return dst
}

// KnownFeatureNames returns the table that a new image carries.
func KnownFeatureNames() []FeatureName { return knownFeatures }

// NamesOf names the set bits of a feature field: by the specification, else
// by the image's own table, else by number.
func NamesOf(kind FeatureKind, set uint64, table []FeatureName) []string {
	var names []string
	for ; set != 0; set &= set - 1 {
		bit := uint8(bits.TrailingZeros64(set))
		names = append(names, nameOf(kind, bit, table))
	}
	return names
}

func nameOf(kind FeatureKind, bit uint8, table []FeatureName) string {
	for _, list := range [][]FeatureName{knownFeatures, table} {
		for _, f := range list {
			if f.Kind == kind && f.Bit == bit && f.Name != "" {
				return f.Name
			}
		}
	}
	field := [...]string{"incompatible", "compatible", "autoclear"}[kind]
	return fmt.Sprintf("%s feature bit %d", field, bit)
}

// CheckFeatures returns a *diskerr.FeatureError that names every feature of
// the header that package qcow2 does not handle, or nil.
func (h *Header) CheckFeatures() error {
	var names []string
	switch h.Crypt {
	case CryptAES:
		names = append(names, "AES encryption")
	case CryptLUKS:
		names = append(names, "LUKS encryption")
	}
	if unknown := h.Incompatible &^ IncompatHandled; unknown != 0 {
		names = append(names, NamesOf(Incompatible, unknown, h.FeatureNames())...)
	}
	if h.Compression > CompressionZstd {
		names = append(names, fmt.Sprintf("compression type %d", h.Compression))
	}
	if len(names) == 0 {
		return nil
	}
	return &diskerr.FeatureError{Format: formatName, Names: names}
}
