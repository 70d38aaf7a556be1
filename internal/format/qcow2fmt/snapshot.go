package qcow2fmt

import (
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// Snapshot is an entry of the snapshot table (Snapshots).
type Snapshot struct {
	L1Offset    uint64
	L1Entries   uint32
	Seconds     uint32 // since the Epoch
	Nanoseconds uint32
	GuestNanos  uint64 // how long the guest had been running
	StateBytes  uint64 // of the saved machine state
	DiskBytes   uint64 // size of the virtual disk; the image's own if unknown
	HasDisk     bool   // whether DiskBytes was stored
	Icount      uint64 // ^0 if unknown or disabled
	ID, Name    string
	ExtraRest   []byte // extra data beyond the known fields, kept
	extraBytes  uint32 // as stored
}

const (
	snapshotFixedBytes = 40
	snapshotKnownExtra = 24 // machine state, disk size, icount
)

// DecodeSnapshot decodes the entry at the start of p, the rest of the snapshot
// table, and returns its size with padding. offset is the entry's offset in
// the image, for errors. diskBytes stands in for a size that is not stored.
func (g Geometry) DecodeSnapshot(p []byte, offset int64, diskBytes uint64) (*Snapshot, int, error) {
	be := binary.BigEndian
	if len(p) < snapshotFixedBytes {
		return nil, 0, snapshotError("", offset, len(p), "the snapshot table is cut off")
	}
	s := &Snapshot{
		L1Offset: be.Uint64(p), L1Entries: be.Uint32(p[8:]),
		Seconds: be.Uint32(p[16:]), Nanoseconds: be.Uint32(p[20:]), GuestNanos: be.Uint64(p[24:]),
		StateBytes: uint64(be.Uint32(p[32:])), extraBytes: be.Uint32(p[36:]),
		DiskBytes: diskBytes, Icount: ^uint64(0),
	}
	if s.extraBytes > MaxSnapshotExtraBytes {
		return nil, 0, snapshotError("extra data size", offset+36, s.extraBytes,
			fmt.Sprintf("must not exceed %d", MaxSnapshotExtraBytes))
	}
	idLen, nameLen := int(be.Uint16(p[12:])), int(be.Uint16(p[14:]))
	end := snapshotFixedBytes + int(s.extraBytes) + idLen + nameLen
	if end > len(p) {
		return nil, 0, snapshotError("", offset, end, "the entry reaches past the snapshot table")
	}
	s.decodeExtra(p[snapshotFixedBytes : snapshotFixedBytes+int(s.extraBytes)])
	names := p[snapshotFixedBytes+int(s.extraBytes) : end]
	s.ID, s.Name = string(names[:idLen]), string(names[idLen:])
	if err := g.validateSnapshot(s, offset); err != nil {
		return nil, 0, err
	}
	return s, min((end+7)&^7, len(p)), nil
}

func (s *Snapshot) decodeExtra(extra []byte) {
	be := binary.BigEndian
	if len(extra) >= 8 {
		s.StateBytes = be.Uint64(extra)
	}
	if len(extra) >= 16 {
		s.DiskBytes, s.HasDisk = be.Uint64(extra[8:]), true
	}
	if len(extra) >= 24 {
		s.Icount = be.Uint64(extra[16:])
		s.ExtraRest = append([]byte(nil), extra[24:]...)
	}
}

func (g Geometry) validateSnapshot(s *Snapshot, offset int64) error {
	if s.L1Entries > MaxL1Bytes/8 {
		return snapshotError("L1 entries", offset+8, s.L1Entries, "the L1 table must not exceed 32 MiB")
	}
	if s.L1Offset >= uint64(MaxOffset) || s.L1Offset&uint64(g.ClusterBytes()-1) != 0 {
		return snapshotError("L1 offset", offset, s.L1Offset, "must be a multiple of the cluster size below 2^56")
	}
	if s.L1Offset == 0 && s.L1Entries != 0 {
		return snapshotError("L1 offset", offset, s.L1Offset, "overlaps the header")
	}
	if s.DiskBytes > 1<<62 {
		return snapshotError("disk size", offset+48, s.DiskBytes, "must not exceed 2^62")
	}
	return nil
}

// AppendSnapshot appends the encoded entry, padding included. It stores the
// known extra data in full.
func AppendSnapshot(dst []byte, s *Snapshot) []byte {
	be := binary.BigEndian
	start := len(dst)
	dst = be.AppendUint64(dst, s.L1Offset)
	dst = be.AppendUint32(dst, s.L1Entries)
	dst = be.AppendUint16(dst, uint16(len(s.ID)))
	dst = be.AppendUint16(dst, uint16(len(s.Name)))
	dst = be.AppendUint32(dst, s.Seconds)
	dst = be.AppendUint32(dst, s.Nanoseconds)
	dst = be.AppendUint64(dst, s.GuestNanos)
	dst = be.AppendUint32(dst, uint32(min(s.StateBytes, 1<<32-1)))
	dst = be.AppendUint32(dst, uint32(snapshotKnownExtra+len(s.ExtraRest)))
	dst = be.AppendUint64(dst, s.StateBytes)
	dst = be.AppendUint64(dst, s.DiskBytes)
	dst = be.AppendUint64(dst, s.Icount)
	dst = append(dst, s.ExtraRest...)
	dst = append(dst, s.ID...)
	dst = append(dst, s.Name...)
	return append(dst, make([]byte, -(len(dst)-start)&7)...)
}

func snapshotError(field string, offset int64, value any, reason string) error {
	return &diskerr.FormatError{
		Format: formatName, Structure: "snapshot table", Field: field,
		Offset: offset, Value: value, Reason: reason,
	}
}
