package apply

import (
	"io/fs"
)

// Encode returns the intent record: everything but the contents of patches.
func (p *Plan) Encode() []byte {
	w := &writer{make([]byte, 0, 256+256*(len(p.Dirs)+len(p.Moves)))}
	w.uint(recordVersion)
	w.uint(p.Epoch)
	w.bytes(p.Note)
	w.len(p.PayloadBytes)
	w.len(len(p.Dirs))
	for i := range p.Dirs {
		d := &p.Dirs[i]
		w.identity(d.ID)
		w.place(d.Before)
		w.place(d.After)
	}
	w.len(len(p.Moves))
	for i := range p.Moves {
		w.move(&p.Moves[i])
	}
	w.len(len(p.Patches))
	for i := range p.Patches {
		w.patch(&p.Patches[i])
	}
	w.len(len(p.Rmdirs))
	for _, d := range p.Rmdirs {
		w.uint(d.Tag)
		w.place(d.At)
		w.identity(d.ID)
	}
	w.len(len(p.Attrs))
	for i := range p.Attrs {
		w.attr(&p.Attrs[i])
	}
	return w.p
}

func (w *writer) move(m *Move) {
	w.uint(m.Tag)
	w.identity(m.Object)
	w.place(m.From)
	w.place(m.To)
	w.bool(m.Strict)
	w.bool(m.Displaces != nil)
	if m.Displaces != nil {
		w.identity(*m.Displaces)
	}
	w.place(m.DisplacedTo)
	w.string(m.Beside)
}

func (w *writer) patch(p *Patch) {
	w.uint(p.Tag)
	w.place(p.At)
	w.identity(p.ID)
	w.int(p.NewSize)
	w.len(len(p.Ranges))
	for _, r := range p.Ranges {
		w.int(r.Off)
		w.int(r.Len)
		for _, sums := range [][]uint32{r.Old, r.New} {
			w.len(len(sums))
			for _, s := range sums {
				w.uint(uint64(s))
			}
		}
	}
}

func (w *writer) attr(a *Attr) {
	w.uint(a.Tag)
	w.place(a.At)
	w.identity(a.ID)
	w.int(a.Atime)
	w.int(a.Mtime)
	w.uint(uint64(a.SetMode))
	w.uint(uint64(a.ClearMode))
	w.len(len(a.Xattrs))
	for _, x := range a.Xattrs {
		w.string(x.Name)
		w.bool(x.Value != nil)
		w.bytes(x.Value)
	}
}

// DecodePlan reads an intent record. Its patches have no Content.
func DecodePlan(record []byte) (*Plan, error) {
	r := &reader{p: record, all: len(record)}
	r.start()
	p := &Plan{Epoch: r.uint(), Note: r.bytes(), PayloadBytes: int(r.small(31))}
	p.Dirs = list(r, identityBytes+4, func() Dir { return Dir{r.identity(), r.place(), r.place()} })
	p.Moves = list(r, identityBytes+8, r.move)
	p.Patches = list(r, identityBytes+4, r.patch)
	p.Rmdirs = list(r, identityBytes+3, func() Rmdir { return Rmdir{r.uint(), r.place(), r.identity()} })
	p.Attrs = list(r, identityBytes+7, r.attr)
	if err := r.end(); err != nil {
		return nil, err
	}
	return p, nil
}

func (r *reader) move() (m Move) {
	m.Tag, m.Object, m.From, m.To, m.Strict = r.uint(), r.identity(), r.place(), r.place(), r.bool()
	if r.bool() {
		id := r.identity()
		m.Displaces = &id
	}
	m.DisplacedTo, m.Beside = r.place(), r.string()
	return m
}

func (r *reader) patch() (p Patch) {
	p.Tag, p.At, p.ID, p.NewSize = r.uint(), r.place(), r.identity(), r.int()
	sum := func() uint32 { return uint32(r.small(32)) }
	p.Ranges = list(r, 4, func() PatchRange {
		return PatchRange{Off: r.int(), Len: r.int(), Old: list(r, 1, sum), New: list(r, 1, sum)}
	})
	for _, pr := range p.Ranges {
		n := (pr.Len + SectorBytes - 1) / SectorBytes
		if pr.Off < 0 || pr.Off%SectorBytes != 0 || pr.Len <= 0 || pr.Off+pr.Len < 0 || n != int64(len(pr.Old)) || n != int64(len(pr.New)) {
			r.fail("a range of a patch is wrong")
		}
	}
	return p
}

func (r *reader) attr() (a Attr) {
	a.Tag, a.At, a.ID, a.Atime, a.Mtime = r.uint(), r.place(), r.identity(), r.int(), r.int()
	a.SetMode, a.ClearMode = fs.FileMode(r.small(32)), fs.FileMode(r.small(32))
	a.Xattrs = list(r, 3, func() Xattr {
		x := Xattr{Name: r.string()}
		there := r.bool()
		if x.Value = r.bytes(); !there {
			x.Value = nil
		}
		return x
	})
	return a
}

// Encode returns the completion record, with what the caller wants to keep
// beside the results.
func (rs *Results) Encode(payload []byte) []byte {
	w := &writer{make([]byte, 0, 64+128*len(rs.List)+len(payload))}
	w.uint(recordVersion)
	w.uint(rs.Epoch)
	w.bytes(payload)
	w.len(len(rs.List))
	for i := range rs.List {
		w.result(&rs.List[i])
	}
	return w.p
}

func (w *writer) result(res *Result) {
	w.uint(uint64(res.Op))
	w.uint(res.Tag)
	w.uint(uint64(res.Status))
	w.uint(uint64(res.Kind))
	w.bool(res.HostRemoved)
	w.place(res.At)
	w.identity(res.ID)
	w.place(res.Displaced)
	w.identity(res.DisplacedID)
	w.string(cut(res.Reason, maxReasonBytes))
}

// maxReasonBytes bounds the words in a record.
const maxReasonBytes = 200

func cut(s string, n int) string { return s[:min(len(s), n)] }

// resultBytes is the most that the results of the plan take as a record.
func (p *Plan) resultBytes() int {
	// Numbers take at most 10 bytes; names at most 255, of which a variant of a
	// name can have all.
	const one = 10*(4+2*identityBytes+2+3) + 2*maxNameBytes + maxReasonBytes
	return 64 + one*(len(p.Moves)+len(p.Patches)+len(p.Rmdirs)+len(p.Attrs))
}

// DecodeResults reads a completion record.
func DecodeResults(record []byte) (rs Results, payload []byte, err error) {
	r := &reader{p: record, all: len(record)}
	r.start()
	rs.Epoch, payload = r.uint(), r.bytes()
	rs.List = list(r, 10+2*identityBytes, func() Result {
		return Result{
			Op: Op(r.small(8)), Tag: r.uint(), Status: Status(r.small(8)), Kind: Kind(r.small(8)), HostRemoved: r.bool(),
			At: r.place(), ID: r.identity(), Displaced: r.place(), DisplacedID: r.identity(), Reason: r.string(),
		}
	})
	return rs, payload, r.end()
}
