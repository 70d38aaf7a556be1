// Package journal is a log of records in one file, that a crash cuts but never
// tangles.
//
// # Format
//
// All numbers are little-endian. A file begins with a header of 32 bytes,
// records follow without gaps, and zeroes follow the last record to the end of
// the file, which is room in reserve.
//
//	      0        4        8                16               24       32
//	      +-----------------+----------------+----------------+--------+
//	file  | "fatkitj" 01    | salt           | first sequence | 0  crc |
//	      +--------+--------+----------------+----------------+--------+
//	rec.  | length | crc    | sequence       | durable        |T|  0   |
//	      +--------+--------+----------------+----------------+-+------+
//	      | payload: length bytes, then zeroes to a multiple of 8      |
//	      +------------------------------------------------------------+
//
// crc is CRC-32C: of the first 28 bytes in the header; of the salt and the whole
// record but the crc in a record. The salt is chosen anew for each file, so that
// no bytes of another journal are ever taken for a record. Sequence numbers count
// up by one. "durable" is the last record that was known to be durable when this one
// was written: it tells the torn end of a journal, which is cut, from damage in
// its middle, which is an error.
//
// # Guarantees
//
//   - A record whose Append was followed by a Sync that returned is there after
//     any crash. After a crash the journal holds a prefix of what was appended.
//   - Room that was reserved is there: an Append and a Sync within it do not
//     fail because the disk is full.
//   - Compact replaces all records by others in one step: a crash leaves the old
//     ones or the new ones.
//   - After an error of the medium the journal fails every call until Reopen has
//     written it anew, and said what it holds.
//
// It does not lock the file. A payload is opaque.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// growBytes is the step in which the file takes room.
const growBytes = 64 << 10

// Journal is an open journal. Its methods may be called concurrently.
type Journal struct {
	dir  hostfs.Dir
	name string

	mu       sync.Mutex
	file     hostfs.WFile
	head     header
	end      int64  // where the next record goes
	room     int64  // size of the file
	next     uint64 // sequence of the next record
	appended uint64 // sequence of the last record
	durable  uint64 // sequence of the last one that is durable
	failed   error  // what ended it
}

// Open opens the journal name in dir, or makes an empty one, calls replay for
// each of its records in order, and cuts what a crash left behind them. A
// payload is valid during the call only. The journal uses dir until Close, and
// does not close it.
//
// A journal that is damaged otherwise is a *diskerr.FormatError, and is left
// alone.
func Open(dir hostfs.Dir, name string, replay func(r Record) error) (*Journal, error) {
	j := &Journal{dir: dir, name: name}
	if err := dir.Unlink(j.tempName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := dir.OpenFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return j, j.Compact(nil)
	}
	if err != nil {
		return nil, err
	}
	j.file = f
	if err := j.load(replay); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return j, nil
}

// load reads the file and makes it ready for more.
func (j *Journal) load(replay func(r Record) error) error {
	id, err := j.file.Identity()
	if err != nil {
		return err
	}
	p, err := j.read(replay)
	if err != nil {
		return err
	}
	j.end, j.room = int64(len(p)), id.Size
	j.appended, j.durable = j.next-1, j.next-1
	return j.cutTail(p[len(p):cap(p)])
}

// read replays the file and returns its header and its records, with the rest
// of the file behind their end.
func (j *Journal) read(replay func(r Record) error) ([]byte, error) {
	id, err := j.file.Identity()
	if err != nil {
		return nil, err
	}
	p := make([]byte, id.Size)
	if n, err := j.file.ReadAt(p, 0); n < len(p) {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	if j.head, err = decodeHeader(p); err != nil {
		return nil, err
	}
	end, next, err := scan(p[fileHeaderBytes:], j.head, replay)
	j.next = next
	return p[: fileHeaderBytes+end : len(p)], err
}

// cutTail makes zeroes of what follows the last record, so that no remnant is
// ever taken for a successor of a record yet to come. What was replayed is
// durable afterwards: the caller acts on it.
func (j *Journal) cutTail(tail []byte) error {
	for off := 0; off < len(tail); off += growBytes {
		p := tail[off:min(off+growBytes, len(tail))]
		if isZero(p) {
			continue
		}
		clear(p)
		if _, err := j.file.WriteAt(p, j.end+int64(off)); err != nil {
			return err
		}
	}
	return j.file.Sync()
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// tempName is where Compact builds the new file.
func (j *Journal) tempName() string { return j.name + ".new" }

// Append adds a record and returns its sequence number. It is durable when a
// Sync that began afterwards has returned. If Append fails and Err is nil
// nothing was written; else Reopen tells whether the record is there.
func (j *Journal) Append(t Type, payload []byte) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return 0, j.failed
	}
	if t == 0 || len(payload) > maxPayloadBytes {
		return 0, fmt.Errorf("%s: record of type %d and %d bytes: %w", j.name, t, len(payload), fs.ErrInvalid)
	}
	p := Record{Seq: j.next, Type: t, Payload: payload, durable: j.durable}.encode(j.head.salt)
	if err := j.grow(int64(len(p))); err != nil {
		return 0, err // nothing was written: the journal is whole
	}
	if _, err := j.file.WriteAt(p, j.end); err != nil {
		return j.next, j.fail(err)
	}
	j.end += int64(len(p))
	j.appended = j.next
	j.next++
	return j.appended, nil
}

// fail ends the journal. The caller holds mu.
func (j *Journal) fail(err error) error {
	j.failed = fmt.Errorf("%s: %w", j.name, err)
	return j.failed
}

// grow sees to room for n bytes. The caller holds mu.
func (j *Journal) grow(n int64) error {
	need := j.end + n
	if need <= j.room {
		return nil
	}
	room := (need + growBytes - 1) / growBytes * growBytes
	if err := j.file.Reserve(j.room, room-j.room); err != nil {
		return err
	}
	j.room = room
	return nil
}

// Reserve sees to room for records whose payloads are that long, so that
// appending them later cannot fail for want of space.
func (j *Journal) Reserve(payloads ...int) error {
	var n int64
	for _, p := range payloads {
		n += recordBytes(p)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return j.failed
	}
	return j.grow(n)
}

// Sync makes every record durable that was appended before.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return j.failed
	}
	if j.durable == j.appended {
		return nil
	}
	if err := j.file.SyncData(); err != nil {
		return j.fail(err)
	}
	j.durable = j.appended
	return nil
}

// Err returns the error after which the journal fails every call, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Size returns how many bytes the records take.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end
}

// Close closes the file. It does not sync.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return fs.ErrClosed
	}
	err := j.file.Close()
	j.file, j.failed = nil, fs.ErrClosed
	return err
}
