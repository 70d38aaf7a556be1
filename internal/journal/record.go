package journal

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/fatkit/fatkit/diskerr"
)

// Sizes and offsets; the package comment draws them.
const (
	fileHeaderBytes   = 32
	recordHeaderBytes = 32
	alignBytes        = 8

	// maxPayloadBytes bounds what the length of a damaged record can ask for.
	maxPayloadBytes = 1 << 30
)

// magic opens every journal. Its last byte is the version of the format.
const magic = "fatkitj\x01"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Type tells the records of one user of a journal apart. Zero is not a type.
type Type uint8

// Record is one entry.
type Record struct {
	Seq     uint64 // counts records, across compactions
	Type    Type
	Payload []byte
	durable uint64 // the last record that was known to be durable
}

// header is that of a file.
type header struct {
	salt  uint64 // tells records of this file from those of any other
	first uint64 // Seq of its first record
}

// encode returns the header's 32 bytes.
func (h header) encode() []byte {
	p := make([]byte, fileHeaderBytes)
	copy(p, magic)
	binary.LittleEndian.PutUint64(p[8:], h.salt)
	binary.LittleEndian.PutUint64(p[16:], h.first)
	binary.LittleEndian.PutUint32(p[28:], crc32.Checksum(p[:28], castagnoli))
	return p
}

// decodeHeader checks a file's first 32 bytes.
func decodeHeader(p []byte) (header, error) {
	bad := func(field string, off int64, value any, reason string) (header, error) {
		return header{}, &diskerr.FormatError{Format: "journal", Structure: "header", Field: field, Offset: off, Value: value, Reason: reason}
	}
	if len(p) < fileHeaderBytes {
		return bad("", 0, len(p), "the file is shorter than a header")
	}
	if string(p[:7]) != magic[:7] {
		return bad("magic", 0, p[:7], "this is no journal")
	}
	if p[7] != magic[7] {
		return bad("version", 7, p[7], "only version 1 is known")
	}
	if sum := binary.LittleEndian.Uint32(p[28:]); sum != crc32.Checksum(p[:28], castagnoli) {
		return bad("checksum", 28, sum, "the header is damaged")
	}
	return header{salt: binary.LittleEndian.Uint64(p[8:]), first: binary.LittleEndian.Uint64(p[16:])}, nil
}

// recordBytes returns how much room a record takes.
func recordBytes(payload int) int64 {
	return (recordHeaderBytes + int64(payload) + alignBytes - 1) &^ (alignBytes - 1)
}

// encode returns the record as it lies in a file of that salt.
func (r Record) encode(salt uint64) []byte {
	p := make([]byte, recordBytes(len(r.Payload)))
	binary.LittleEndian.PutUint32(p, uint32(len(r.Payload)))
	binary.LittleEndian.PutUint64(p[8:], r.Seq)
	binary.LittleEndian.PutUint64(p[16:], r.durable)
	p[24] = byte(r.Type)
	copy(p[recordHeaderBytes:], r.Payload)
	binary.LittleEndian.PutUint32(p[4:], checksum(p, salt))
	return p
}

// checksum covers the salt and everything of a record but the sum itself.
func checksum(p []byte, salt uint64) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	sum := crc32.Update(0, castagnoli, s[:])
	sum = crc32.Update(sum, castagnoli, p[:4])
	return crc32.Update(sum, castagnoli, p[8:])
}

// decodeRecord returns the record at the beginning of p and the room it takes.
// Anything that is not a whole record of that salt is none.
func decodeRecord(p []byte, salt uint64) (r Record, n int, ok bool) {
	if len(p) < recordHeaderBytes {
		return Record{}, 0, false
	}
	length := binary.LittleEndian.Uint32(p)
	if length > maxPayloadBytes || length > math.MaxInt32-recordHeaderBytes-alignBytes {
		return Record{}, 0, false
	}
	n = int(recordBytes(int(length)))
	if n > len(p) || p[24] == 0 || [7]byte(p[25:32]) != [7]byte{} {
		return Record{}, 0, false
	}
	end := recordHeaderBytes + int(length)
	for _, b := range p[end:n] {
		if b != 0 {
			return Record{}, 0, false
		}
	}
	if binary.LittleEndian.Uint32(p[4:]) != checksum(p[:n], salt) {
		return Record{}, 0, false
	}
	return Record{
		Seq:     binary.LittleEndian.Uint64(p[8:]),
		durable: binary.LittleEndian.Uint64(p[16:]),
		Type:    Type(p[24]),
		Payload: p[recordHeaderBytes:end:end],
	}, n, true
}

// scan calls do for each record from the beginning of p, which follows the
// header h, and returns where the first one that is not whole would begin. It
// fails if records are missing that had been durable.
func scan(p []byte, h header, do func(r Record) error) (end int, next uint64, err error) {
	next = h.first
	for {
		r, n, ok := decodeRecord(p[end:], h.salt)
		if !ok || r.Seq != next {
			break
		}
		if err := do(r); err != nil {
			return end, next, err
		}
		end, next = end+n, next+1
	}
	return end, next, checkTail(p[end:], h, end, next)
}

// checkTail looks for a record that was written after record next had become
// durable. Then what lies at its place is not the torn end of a journal but
// damage, and cutting it off would lose records.
func checkTail(p []byte, h header, end int, next uint64) error {
	for off := alignBytes; off+recordHeaderBytes <= len(p); off += alignBytes {
		if p[off+24] == 0 {
			continue
		}
		if r, _, ok := decodeRecord(p[off:], h.salt); ok && r.durable >= next && r.Seq > next {
			return &diskerr.FormatError{
				Format: "journal", Structure: "record", Field: "checksum", Offset: int64(fileHeaderBytes + end), Value: next,
				Reason: "this record is damaged, and later ones exist that were written after it was durable",
			}
		}
	}
	return nil
}
