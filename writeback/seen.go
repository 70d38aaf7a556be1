package writeback

import (
	"bytes"
	"encoding/gob"
	"maps"
	"slices"

	"github.com/fatkit/fatkit/internal/journal"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/overlay"
)

// seen is what comparisons have taken of the overlay so far: checksums of all
// that the guest had written then, and what the Differ remembered. It is
// recorded after each of them, so that a session which begins after a crash
// tells what the guest wrote since from what was dealt with long ago. Without
// it all of the overlay would count as new: a file that the host alone has
// changed would look as if both had.
//
// A record that is lost is not missed: what has no checksum, or another one,
// counts as new.
type seen struct {
	pieces
	memory *diff.Memory // nil if nothing is recorded
	sums   map[int64]*sumChunk
}

// pieces divides the disk into what has one checksum: clusters of the volume, so
// that no two files share one, or pieces of large clusters.
type pieces struct{ origin, bytes int64 }

func piecesOf(l *vvfat.Layout) pieces {
	g := l.Geometry()
	n := min(int64(g.ClusterBytes()), maxPieceBytes)
	return pieces{(l.VolumeOffset() + g.DataOffset()) % n, n}
}

// maxPieceBytes bounds a piece.
const maxPieceBytes = 16 << 10

// of returns the piece in which a byte of the disk lies.
func (p pieces) of(off int64) int64 { return (off - p.origin + p.bytes) / p.bytes }

// at returns where a piece is on a disk of size bytes.
func (p pieces) at(n, size int64) (off, end int64) {
	end = p.origin + n*p.bytes
	return max(end-p.bytes, 0), min(end, size)
}

// sumChunk holds the checksums of consecutive pieces of the disk; 0 is none.
type sumChunk [sumChunkPieces]uint64

const sumChunkPieces = 128

// seenRecord is what the journal has of one comparison, or of all before a
// checkpoint.
type seenRecord struct {
	Memory *diff.Memory // nil in a record that goes on with the one before
	Sums   []sumRun
}

// sumRun are the checksums of consecutive pieces.
type sumRun struct {
	First int64
	Sums  []uint64
}

// maxRecordSums bounds the checksums in one record.
const maxRecordSums = 1 << 20

func (s *seen) take(r *seenRecord) {
	if r.Memory != nil {
		s.memory = r.Memory
	}
	for _, run := range r.Sums {
		for i, sum := range run.Sums {
			s.set(run.First+int64(i), sum)
		}
	}
}

func (s *seen) set(piece int64, sum uint64) {
	if s.sums == nil {
		s.sums = map[int64]*sumChunk{}
	}
	c := s.sums[piece/sumChunkPieces]
	if c == nil {
		c = new(sumChunk)
		s.sums[piece/sumChunkPieces] = c
	}
	c[piece%sumChunkPieces] = sum
}

func (s *seen) sum(piece int64) uint64 {
	if c := s.sums[piece/sumChunkPieces]; c != nil {
		return c[piece%sumChunkPieces]
	}
	return 0
}

// records returns what a checkpoint needs.
func (s *seen) records() ([]journal.Record, error) {
	if s.memory == nil {
		return nil, nil
	}
	var runs []sumRun
	for _, n := range slices.Sorted(maps.Keys(s.sums)) {
		for i, sum := range s.sums[n] {
			if sum != 0 {
				runs = appendSum(runs, n*sumChunkPieces+int64(i), sum)
			}
		}
	}
	return encodeSeen(s.memory, runs)
}

// appendSum adds the checksum of a piece, which lies behind those of runs.
func appendSum(runs []sumRun, piece int64, sum uint64) []sumRun {
	k := len(runs) - 1
	if k < 0 || runs[k].First+int64(len(runs[k].Sums)) != piece || len(runs[k].Sums) >= maxRecordSums {
		return append(runs, sumRun{piece, []uint64{sum}})
	}
	runs[k].Sums = append(runs[k].Sums, sum)
	return runs
}

// encodeSeen makes records. The memory comes first: with checksums that are
// older more counts as new, with ones that are newer something could be missed.
func encodeSeen(m *diff.Memory, runs []sumRun) (out []journal.Record, err error) {
	r := seenRecord{Memory: m}
	count := 0
	add := func() error {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(&r); err != nil {
			return err
		}
		out = append(out, journal.Record{Type: recordSeen, Payload: b.Bytes()})
		r, count = seenRecord{}, 0
		return nil
	}
	for _, run := range runs {
		if count > 0 && count+len(run.Sums) > maxRecordSums {
			if err := add(); err != nil {
				return nil, err
			}
		}
		r.Sums, count = append(r.Sums, run), count+len(run.Sums)
	}
	return out, add()
}

// sumsOf returns the checksums of the pieces that an epoch's writes touched.
func (s *seen) sumsOf(e *overlay.Epoch) (runs []sumRun, err error) {
	err = s.each(e, func(n int64, sum uint64) { runs = appendSum(runs, n, sum) })
	return runs, err
}

// each calls fn with the checksum of each piece that an epoch's writes touched,
// in order.
func (s *seen) each(e *overlay.Epoch, fn func(n int64, sum uint64)) error {
	summer, next := e.NewSummer(), int64(0)
	for _, r := range e.Written(nil) {
		for n := max(next, s.of(r.Off)); n <= s.of(r.Off+r.Len-1); n++ {
			off, end := s.at(n, e.Size())
			sum, err := summer.Sum(off, end-off)
			if err != nil {
				return err
			}
			fn(n, sum)
			next = n + 1
		}
	}
	return nil
}

// unseen returns what an epoch has written but for the pieces that are as a
// comparison before the crash has seen them.
func (s *seen) unseen(e *overlay.Epoch) (out []overlay.Range, err error) {
	known := map[int64]bool{}
	err = s.each(e, func(n int64, sum uint64) {
		if s.sum(n) == sum {
			known[n] = true
		}
	})
	for _, r := range e.Written(nil) {
		for end := r.Off + r.Len; r.Off < end; {
			n := s.of(r.Off)
			_, next := s.at(n, e.Size())
			next = min(next, end)
			if k := len(out) - 1; !known[n] && k >= 0 && out[k].Off+out[k].Len == r.Off {
				out[k].Len += next - r.Off
			} else if !known[n] {
				out = append(out, overlay.Range{Off: r.Off, Len: next - r.Off})
			}
			r.Off = next
		}
	}
	return out, err
}

// endEpoch ends an epoch that a comparison has seen, and records that. If it
// cannot be recorded a session after a crash looks at more than it had to; what
// the journal failed for, its next use tells.
func (s *Session) endEpoch(e *overlay.Epoch) error {
	_ = s.recordSeen(e)
	return e.Commit()
}

// recordSeen appends what a comparison has seen to the journal. It becomes
// durable with the next record that must be.
func (s *Session) recordSeen(e *overlay.Epoch) error {
	runs, err := s.seen.sumsOf(e)
	if err != nil {
		return err
	}
	m := s.differ.Memory()
	records, err := encodeSeen(&m, runs)
	if err != nil {
		return err
	}
	for _, r := range records {
		if _, err := s.journal.Append(r.Type, r.Payload); err != nil {
			return err
		}
	}
	s.seen.take(&seenRecord{&m, runs})
	return nil
}
