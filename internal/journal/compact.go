package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// Compact replaces every record by records, of which only Type and Payload
// count. When it returns they are durable.
func (j *Journal) Compact(records []Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return j.failed
	}
	head := header{salt: newSalt(), first: max(j.next, 1)}
	buf := head.encode()
	next := head.first
	for _, r := range records {
		buf = append(buf, Record{Seq: next, Type: r.Type, Payload: r.Payload}.encode(head.salt)...)
		next++
	}
	room := (int64(len(buf)) + growBytes - 1) / growBytes * growBytes
	f, err := j.writeNew(buf, room)
	if err != nil {
		return err // the old file is as it was
	}
	if err := j.install(f); err != nil {
		return j.fail(err)
	}
	j.head, j.end, j.room = head, int64(len(buf)), room
	j.next, j.appended, j.durable = next, next-1, next-1
	return nil
}

func newSalt() uint64 {
	var p [8]byte
	rand.Read(p[:]) // never fails
	return binary.LittleEndian.Uint64(p[:])
}

// writeNew makes the new file, durable but without its name.
func (j *Journal) writeNew(p []byte, room int64) (hostfs.WFile, error) {
	if err := j.dir.Unlink(j.tempName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := j.dir.Create(j.tempName(), 0o600)
	if err != nil {
		return nil, err
	}
	err = f.Reserve(0, room)
	if err == nil {
		_, err = f.WriteAt(p, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), j.dir.Unlink(j.tempName()))
	}
	return f, nil
}

// install gives the new file its name and makes that durable. The caller holds
// mu.
func (j *Journal) install(f hostfs.WFile) error {
	err := j.dir.Rename(j.tempName(), j.dir, j.name, hostfs.Replace)
	if err == nil {
		err = j.dir.Sync()
	}
	old := j.file
	j.file = f
	if old != nil {
		err = errors.Join(err, old.Close())
	}
	return err
}

// Reopen makes a journal usable that an error of the medium has stopped, and
// returns the sequence number of its last record, all of which are durable then.
// It writes a new file: after a sync that failed, the host may keep in memory what the
// medium does not have, and say of another sync that all is well.
func (j *Journal) Reopen() (last uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return 0, fs.ErrClosed
	}
	if j.failed == nil {
		return j.appended, nil
	}
	old, err := j.dir.OpenFile(j.name)
	if err != nil {
		return 0, err
	}
	fresh := &Journal{dir: j.dir, name: j.name, file: old}
	p, err := fresh.read(func(Record) error { return nil })
	if err = errors.Join(err, old.Close()); err != nil {
		return 0, err
	}
	room := (int64(len(p)) + growBytes - 1) / growBytes * growBytes
	f, err := j.writeNew(p, room)
	if err != nil {
		return 0, err
	}
	if err := j.install(f); err != nil {
		return 0, j.fail(err)
	}
	j.head, j.end, j.room = fresh.head, int64(len(p)), room
	j.next, j.appended, j.durable = fresh.next, fresh.next-1, fresh.next-1
	j.failed = nil
	return j.durable, nil
}
