package qcow2

import (
	"fmt"
	"io/fs"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// maxSnapshotEntryBytes is the largest an entry of the snapshot table can be.
const maxSnapshotEntryBytes = 40 + qcow2fmt.MaxSnapshotExtraBytes + 2*65535 + 8

// Snapshots returns the internal snapshots in the order of their table.
func (img *Image) Snapshots() ([]*qcow2fmt.Snapshot, error) {
	if err := img.gate.Enter(); err != nil {
		return nil, err
	}
	defer img.gate.Leave()
	list, _, err := readSnapshots(img.file, img.header())
	return list, err
}

// readSnapshots reads the snapshot table and returns its size in bytes.
func readSnapshots(file *container, hdr *qcow2fmt.Header) ([]*qcow2fmt.Snapshot, int64, error) {
	geo := hdr.Geometry()
	var list []*qcow2fmt.Snapshot
	start := int64(hdr.SnapshotsOffset)
	buf, bufOff := []byte(nil), start
	off := start
	for range hdr.Snapshots {
		if off-start > qcow2fmt.MaxSnapshotTableBytes {
			return nil, 0, &diskerr.FormatError{Format: formatName, Structure: "snapshot table", Offset: start,
				Value: off - start, Reason: fmt.Sprintf("must not exceed %d bytes", qcow2fmt.MaxSnapshotTableBytes)}
		}
		if int64(len(buf))-(off-bufOff) < maxSnapshotEntryBytes {
			buf, bufOff = make([]byte, max(0, min(4*maxSnapshotEntryBytes, file.size()-off))), off
			if err := file.readTable(buf, off, "snapshot table"); err != nil {
				return nil, 0, err
			}
		}
		s, n, err := geo.DecodeSnapshot(buf[off-bufOff:], off, hdr.Size)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, s)
		off += int64(n)
	}
	return list, off - start, nil
}

// findSnapshot returns the snapshot with an ID, else that with a name.
func (img *Image) findSnapshot(key string) (*qcow2fmt.Snapshot, error) {
	list, _, err := readSnapshots(img.file, img.header())
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.ID == key {
			return s, nil
		}
	}
	for _, s := range list {
		if s.Name == key {
			return s, nil
		}
	}
	return nil, fmt.Errorf("qcow2: snapshot %q: %w", key, fs.ErrNotExist)
}
