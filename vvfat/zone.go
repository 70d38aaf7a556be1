package vvfat

import (
	"encoding/binary"
	"slices"
	"sort"
	"time"
)

// A zone in bytes is a file of RFC 8536 (TZif), version 2, with every change of
// the offset between the years that FAT knows. It does not depend on which
// zones the host knows, nor on what it will know of them later.
const (
	firstZoneYear = 1970
	endZoneYear   = 2110 // FAT's dates end with 2107
	// maxZoneChanges bounds the changes of one zone; there are two a year, with
	// few exceptions.
	maxZoneChanges = 1024
	// zoneStep is how far apart the offset is looked at, in seconds. Nowhere
	// did it change twice within so short a time.
	zoneStep = 24 * 3600
)

// zoneType is a local time type record: an offset and its abbreviation.
type zoneType struct {
	name   string
	offset int
	dst    bool
}

// encodeZone returns the bytes of a zone.
func encodeZone(loc *time.Location) []byte {
	start := time.Date(firstZoneYear, 1, 1, 0, 0, 0, 0, time.UTC)
	end := time.Date(endZoneYear, 1, 1, 0, 0, 0, 0, time.UTC)
	types := []zoneType{typeAt(start.Unix(), loc)}
	var changes []int64
	var kinds []byte
	for t, last := start.Unix(), types[0]; t < end.Unix() && len(changes) < maxZoneChanges; t += zoneStep {
		z := typeAt(t+zoneStep, loc)
		if z == last {
			continue
		}
		at := t + 1 + int64(sort.Search(zoneStep-1, func(i int) bool { return typeAt(t+1+int64(i), loc) != last }))
		k := slices.Index(types, z)
		if k < 0 {
			k, types = len(types), append(types, z)
		}
		changes, kinds, last = append(changes, at), append(kinds, byte(k)), z
	}
	var names []byte
	var records []byte
	for _, z := range types {
		records = binary.BigEndian.AppendUint32(records, uint32(int32(z.offset)))
		dst := byte(0)
		if z.dst {
			dst = 1
		}
		if len(names)+len(z.name) > 200 { // where a name begins is one byte
			records = append(records, dst, 0)
			continue
		}
		records = append(records, dst, byte(len(names)))
		names = append(append(names, z.name...), 0)
	}
	// The block of version 1 is empty but for what it must have.
	out := zoneHeader(nil, 0, 1, 1)
	out = append(out, 0, 0, 0, 0, 0, 0, 0)
	out = zoneHeader(out, len(changes), len(types), len(names))
	for _, t := range changes {
		out = binary.BigEndian.AppendUint64(out, uint64(t))
	}
	out = append(append(append(out, kinds...), records...), names...)
	return append(out, "\n\n"...) // no rule for what comes later
}

// zoneHeader appends the header of one block.
func zoneHeader(out []byte, changes, types, names int) []byte {
	out = append(append(out, "TZif2"...), make([]byte, 15)...)
	for _, n := range []int{0, 0, 0, changes, types, names} {
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	return out
}

// typeAt returns what holds at a time in its zone.
func typeAt(unix int64, loc *time.Location) zoneType {
	t := time.Unix(unix, 0).In(loc)
	name, offset := t.Zone()
	return zoneType{name, offset, t.IsDST()}
}
