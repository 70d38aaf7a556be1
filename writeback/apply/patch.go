package apply

import (
	"errors"
	"hash/crc32"
	"io"
	"time"

	"github.com/fatkit/fatkit/internal/hostfs"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// leaseTime is how long a lease surely holds when another program waits for
// the file. Linux gives 45 s, unless /proc/sys/fs/lease-break-time says otherwise.
const leaseTime = 30 * time.Second

// patchBytes is how much is read, compared and written at once. It is a
// multiple of SectorBytes.
const patchBytes = 256 << 10

// patch writes into a file in place.
func (r *run) patch(p *Patch) Result {
	f, res := r.openPatch(p)
	if f == nil {
		return res
	}
	defer f.Close()
	if err := f.Lease(); err != nil {
		return Result{Status: NeedsCopy, At: p.At, ID: p.ID, Reason: err.Error()}
	}
	defer f.Release()
	found, err := f.Identity()
	if err != nil {
		return waiting(err)
	}
	content := p.Content
	if r.recovering {
		content = nil
		if r.source != nil {
			content = r.source(p.Tag)
		}
	}
	switch {
	case found.Nlink != 1:
		return Result{Status: NeedsCopy, At: p.At, ID: found, Reason: "the file has several names"}
	case !intact(found, p.ID) && !r.recovering:
		return Result{Status: Conflict, Kind: Edited, At: p.At, ID: found}
	case content == nil:
		return torn(p, f, errors.New("the new contents are not known any more"))
	}
	if r.recovering {
		if err := p.compare(f, found, content); err != nil {
			return torn(p, f, err)
		}
	}
	res = r.writePatch(p, f, content)
	if res.Status != Done {
		return res
	}
	return r.stillThere(p, f, res)
}

// stillThere looks whether a patched file has kept its name. A lease does not
// hold back a program that removes, moves or replaces the file: what was written
// into it then is not at its place, or nowhere. The lease ends first, so that
// whoever takes the name away afterwards could see what he takes.
func (r *run) stillThere(p *Patch, f hostfs.WFile, res Result) Result {
	if err := f.Release(); err != nil {
		return torn(p, f, err)
	}
	found, ok, err := r.dirs.look(p.At)
	switch {
	case err != nil && !isMissing(err):
		return torn(p, f, err)
	case err != nil || !ok:
		res = Result{Status: Conflict, Kind: Gone, At: p.At}
	case !found.Same(p.ID):
		res = Result{Status: Conflict, Kind: Replaced, At: p.At, ID: found}
	default:
		return res
	}
	delete(r.patched, p.Tag)
	return res
}

// openPatch opens the file of a patch, if it is there.
func (r *run) openPatch(p *Patch) (hostfs.WFile, Result) {
	d, err := r.dirs.get(p.At.Dir)
	var found hostfs.Identity
	if err == nil {
		found, err = d.Lookup(p.At.Name)
	}
	if err == nil && !found.Same(p.ID) {
		return nil, Result{Status: Conflict, Kind: Replaced, At: p.At, ID: found}
	}
	var f hostfs.WFile
	if err == nil {
		f, err = d.OpenFile(p.At.Name)
	}
	if err == nil {
		if found, err = f.Identity(); err == nil && found.Same(p.ID) {
			return f, Result{}
		}
		f.Close()
		if err == nil {
			return nil, Result{Status: Conflict, Kind: Replaced, At: p.At, ID: found}
		}
	}
	if isMissing(err) {
		return nil, Result{Status: Conflict, Kind: Gone, At: p.At}
	}
	return nil, Result{Status: NeedsCopy, At: p.At, ID: p.ID, Reason: err.Error()}
}

// torn is the result of a patch that has begun, or may have.
func torn(p *Patch, f hostfs.WFile, err error) Result {
	res := Result{Status: Torn, At: p.At, ID: p.ID, Reason: err.Error()}
	if id, err := f.Identity(); err == nil {
		res.ID = id
	}
	return res
}

// writePatch writes and syncs. The caller holds the lease.
func (r *run) writePatch(p *Patch, f hostfs.WFile, content io.ReaderAt) Result {
	since := time.Now()
	buf := make([]byte, patchBytes)
	err := p.each(func(off int64, n int, _, sums []uint32) error {
		b := buf[:n]
		if err := readFull(content, b, off); err != nil {
			return err
		}
		if !equalSums(b, sums) {
			return errors.New("the new contents have changed meanwhile")
		}
		_, err := f.WriteAt(b, off)
		return err
	})
	if err == nil {
		err = f.Truncate(p.NewSize)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil && time.Since(since) > leaseTime && !f.Leased() {
		err = errors.New("another program has waited for the file for too long")
	}
	if err != nil {
		return torn(p, f, err)
	}
	id, err := f.Identity()
	if err != nil {
		return torn(p, f, err)
	}
	r.patched[p.Tag] = id
	return Result{Status: Done, At: p.At, ID: id}
}

// each calls do for pieces of the ranges of at most patchBytes, with the sums of
// their sectors, up to the new size.
func (p *Patch) each(do func(off int64, n int, old, sums []uint32) error) error {
	for _, pr := range p.Ranges {
		for at := int64(0); at < pr.Len; at += patchBytes {
			n := min(pr.Len-at, patchBytes)
			first, last := at/SectorBytes, (at+n+SectorBytes-1)/SectorBytes
			if int(last) > len(pr.Old) || int(last) > len(pr.New) {
				return errors.New("a range has fewer sums than sectors")
			}
			if err := do(pr.Off+at, int(n), pr.Old[first:last], pr.New[first:last]); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare decides whether a file is what a run that was cut may have made of
// the old contents: every sector of the ranges old or new, everything else as the
// guest has it.
func (p *Patch) compare(f hostfs.WFile, found hostfs.Identity, content io.ReaderAt) error {
	if intact(found, p.ID) {
		return nil
	}
	foreign := errors.New("the host may have written to it")
	if found.Size < min(p.ID.Size, p.NewSize) || found.Size > max(p.ID.Size, p.NewSize) {
		return foreign
	}
	at := int64(0)
	got, want := make([]byte, patchBytes), make([]byte, patchBytes)
	err := p.each(func(off int64, n int, old, sums []uint32) error {
		if err := sameBytes(f, content, at, min(off, p.NewSize, found.Size), got, want, foreign); err != nil {
			return err
		}
		at = off + int64(n)
		if err := readZero(f, got[:n], off); err != nil {
			return err
		}
		for i := range old {
			sum := crc32.Checksum(sector(got[:n], i), castagnoli)
			if sum == old[i] || sum == sums[i] {
				continue
			}
			// The sector in which the file ends may have new bytes under the old
			// size.
			start := off + int64(i)*SectorBytes
			if start+SectorBytes <= found.Size {
				return foreign
			}
			a, b := make([]byte, SectorBytes), make([]byte, SectorBytes)
			if err := sameBytes(f, content, start, min(found.Size, p.NewSize), a, b, foreign); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return sameBytes(f, content, at, min(p.NewSize, found.Size), got, want, foreign)
}

// sameBytes compares [at, end) of two files.
func sameBytes(f, content io.ReaderAt, at, end int64, got, want []byte, differ error) error {
	for at < end {
		n := min(end-at, patchBytes)
		if err := readFull(content, want[:n], at); err != nil {
			return err
		}
		if err := readFull(f, got[:n], at); err != nil {
			return err
		}
		if string(got[:n]) != string(want[:n]) {
			return differ
		}
		at += n
	}
	return nil
}

// sector returns the i-th sector of p, the last of which may be short.
func sector(p []byte, i int) []byte {
	return p[i*SectorBytes : min((i+1)*SectorBytes, len(p))]
}

// sectorSums returns the sums of p's sectors.
func sectorSums(p []byte) []uint32 {
	sums := make([]uint32, (len(p)+SectorBytes-1)/SectorBytes)
	for i := range sums {
		sums[i] = crc32.Checksum(sector(p, i), castagnoli)
	}
	return sums
}

func equalSums(p []byte, sums []uint32) bool {
	for i := range sums {
		if crc32.Checksum(sector(p, i), castagnoli) != sums[i] {
			return false
		}
	}
	return true
}

// readFull reads all of p.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// readZero reads all of p, with zeroes beyond the end.
func readZero(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n < len(p) && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(p[n:])
	return nil
}
