package fatfmt

import (
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// FSInfoBytes is the size of the part of the FSInfo sector that has a layout,
// whatever the sector size.
const FSInfoBytes = 512

// UnknownCount in a field of FSInfo means "not known".
const UnknownCount = 0xFFFFFFFF

// Signatures of FSInfo.
const (
	fsInfoLead   = 0x41615252 // FSI_LeadSig, "RRaA"
	fsInfoStruct = 0x61417272 // FSI_StrucSig, "rrAa"
	fsInfoTrail  = 0xAA550000 // FSI_TrailSig
)

// FSInfo holds the hints of a FAT32 volume. They may be unknown, old or lies:
// nothing may depend on them. FAT 1.03, "FAT32 FSInfo Sector Structure and
// Backup Boot Sector":
//
//	off len field
//	  0   4 FSI_LeadSig  52 52 61 41
//	  4 480 reserved, 0
//	484   4 FSI_StrucSig 72 72 41 61
//	488   4 Free
//	492   4 Next
//	496  12 reserved, 0
//	508   4 FSI_TrailSig 00 00 55 AA
type FSInfo struct {
	Free uint32 // number of free clusters, or UnknownCount
	Next uint32 // where to start looking for a free cluster, or UnknownCount
}

// DecodeFSInfo decodes the first FSInfoBytes of p and checks the signatures.
// The counts are returned as they are; see [FSInfo.Sane].
func DecodeFSInfo(p []byte) (FSInfo, error) {
	if len(p) < FSInfoBytes {
		return FSInfo{}, &diskerr.FormatError{Format: "FAT32", Structure: "FSInfo", Offset: int64(len(p)),
			Reason: "the sector ends before byte 512"}
	}
	le := binary.LittleEndian
	for _, s := range [...]struct {
		field string
		off   int64
		want  uint32
	}{{"FSI_LeadSig", 0, fsInfoLead}, {"FSI_StrucSig", 484, fsInfoStruct}, {"FSI_TrailSig", 508, fsInfoTrail}} {
		if v := le.Uint32(p[s.off:]); v != s.want {
			return FSInfo{}, &diskerr.FormatError{Format: "FAT32", Structure: "FSInfo", Field: s.field, Offset: s.off,
				Value: fmt.Sprintf("%#08x", v), Reason: fmt.Sprintf("must be %#08x", s.want)}
		}
	}
	return FSInfo{Free: le.Uint32(p[488:]), Next: le.Uint32(p[492:])}, nil
}

// Encode writes the FSInfo sector to p, which is one sector of at least
// FSInfoBytes; all that has no meaning is cleared.
func (f FSInfo) Encode(p []byte) {
	le := binary.LittleEndian
	clear(p)
	le.PutUint32(p[0:], fsInfoLead)
	le.PutUint32(p[484:], fsInfoStruct)
	le.PutUint32(p[488:], f.Free)
	le.PutUint32(p[492:], f.Next)
	le.PutUint32(p[508:], fsInfoTrail)
}

// Sane returns f with every count that is impossible on the volume g replaced
// by UnknownCount.
func (f FSInfo) Sane(g *Geometry) FSInfo {
	if f.Free > g.Clusters {
		f.Free = UnknownCount
	}
	if !g.Valid(f.Next) {
		f.Next = UnknownCount
	}
	return f
}
