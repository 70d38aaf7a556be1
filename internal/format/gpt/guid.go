package gpt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// GUID is a globally unique identifier as it stands on the medium: the first
// three of its five groups are little-endian. UEFI 2.10, appendix A.
type GUID [16]byte

// Types of partitions: UEFI 2.10, table 5-7, and Windows.
var (
	TypeEFISystem = MustParseGUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
	TypeBasicData = MustParseGUID("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7")
)

// ParseGUID parses the usual text form, C12A7328-F81F-11D2-BA4B-00A0C93EC93B,
// in either case.
func ParseGUID(s string) (GUID, error) {
	groups := strings.Split(s, "-")
	if len(groups) != 5 || len(s) != 36 || len(groups[0]) != 8 || len(groups[1]) != 4 || len(groups[2]) != 4 || len(groups[3]) != 4 {
		return GUID{}, fmt.Errorf("gpt: %q is no GUID", s)
	}
	raw, err := hex.DecodeString(strings.Join(groups, ""))
	if err != nil {
		return GUID{}, fmt.Errorf("gpt: %q is no GUID", s)
	}
	return swapGroups(GUID(raw)), nil
}

// MustParseGUID is ParseGUID for constants; it panics on an error.
func MustParseGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

// DeriveGUID returns a GUID that depends on the seed alone: version 8 of RFC
// 9562, section 5.8, from a SHA-256 hash.
func DeriveGUID(seed []byte) GUID {
	sum := sha256.Sum256(seed)
	g := GUID(sum[:16])
	g[6] = g[6]&0x0F | 0x80 // version 8
	g[8] = g[8]&0x3F | 0x80 // variant
	return swapGroups(g)
}

// swapGroups turns the order of the text form into that of the medium, and
// back.
func swapGroups(g GUID) GUID {
	binary.LittleEndian.PutUint32(g[0:], binary.BigEndian.Uint32(g[0:]))
	binary.LittleEndian.PutUint16(g[4:], binary.BigEndian.Uint16(g[4:]))
	binary.LittleEndian.PutUint16(g[6:], binary.BigEndian.Uint16(g[6:]))
	return g
}

// String returns the usual text form, in upper case.
func (g GUID) String() string {
	text := swapGroups(g)
	s := strings.ToUpper(hex.EncodeToString(text[:]))
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
