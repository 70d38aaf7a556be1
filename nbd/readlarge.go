package nbd

import (
	"io"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

const (
	// minSendFile is the shortest range of a file that is sent without
	// copying, in bytes.
	minSendFile = 64 << 10
	// minHole is the shortest run of zeroes that is sent as a hole, in bytes.
	// A shorter one costs the client more as a chunk than as bytes.
	minHole = 4096
)

// executeLargeRead answers a read with segments of the device.
func (c *conn) executeLargeRead(t *task) {
	var err error
	t.segs, err = block.AppendSegments(c.dev, t.segs[:0], int64(t.req.Offset), int64(t.req.Length))
	minFile := int64(minSendFile)
	if !c.out.sendsFiles() {
		minFile = 1 << 62
	}
	err = t.load(minFile, err)
	covered := segmentBytes(t.loaded)
	if err != nil && (c.mode == wire.Simple || covered == 0) {
		block.ReleaseAll(t.loaded)
		c.replyFailed(t, faultOf(err))
		return
	}
	r := segReplies.Get().(*segReply)
	r.req, r.mode, r.counted = t.req, c.mode, &c.exp.stats
	if err != nil {
		r.fail(t.req.Offset+uint64(covered), faultOf(err))
	}
	a := assembly{mode: c.mode, r: r, at: t.req.Offset, pieces: t.pieces}
	a.addAll(t.loaded)
	t.pieces = append(a.pieces, piece{reply: r, last: true, hold: t.hold})
	t.hold = hold{} // now the last piece's
	c.exp.stats.read.Add(uint64(covered))
	if c.out.pushAll(t.pieces) >= batchSize && t.inline {
		c.flushBatch()
	}
}

// segmentBytes returns how many bytes segs cover.
func segmentBytes(segs []block.Segment) (n int64) {
	for i := range segs {
		n += segs[i].Len
	}
	return n
}

// load moves segs to loaded, and reads ranges of files that are shorter than
// minFile into memory. err is the error of the byte after segs; load returns it,
// or the error of the first byte that it could not read.
func (t *task) load(minFile int64, err error) error {
	var l loader
	for i := range t.segs {
		s := &t.segs[i]
		if l.err != nil {
			s.Release()
			continue
		}
		if s.File == nil || s.Len >= minFile {
			t.loaded = append(t.loaded, *s)
			l.buf = nil
			continue
		}
		l.read(s, &t.loaded)
		s.Release()
	}
	if l.err != nil {
		return l.err
	}
	return err
}

// loader reads ranges of files into buffers, neighbours into the same one.
type loader struct {
	buf  *buffer // the last segment's, if it has room; the segment owns it
	used int
	err  error
}

// read appends the bytes of s to dst.
func (l *loader) read(s *block.Segment, dst *[]block.Segment) {
	for at := int64(0); at < s.Len; {
		if l.buf == nil || l.used == maxBuffer {
			l.buf, l.used = getBuffer(int(min(max(s.Len-at, 256<<10), maxBuffer))), 0
			*dst = append(*dst, block.DataSegment(l.buf.b[:0], l.buf))
		}
		room := 1<<(l.buf.class+minBufferBits) - l.used
		if room == 0 {
			l.buf = nil
			continue
		}
		n, err := s.ReadAt(l.buf.b[l.used:l.used+int(min(int64(room), s.Len-at))], at)
		at += int64(n)
		l.used += n
		last := &(*dst)[len(*dst)-1]
		last.Data, last.Len = l.buf.b[:l.used], int64(l.used)
		if err != nil && err != io.EOF {
			l.err = err
			return
		}
	}
}

// assembly builds the pieces of a reply from segments.
//
//	chunks:       [header] data and short zeroes ... [hole] [header] data ... [trailer]
//	Simple or DF: [header] data and zeroes ...                                [trailer]
//
// The trailer of a simple reply is empty.
type assembly struct {
	mode   wire.Mode
	r      *segReply
	at     uint64 // offset in the export of the next segment
	used   int    // bytes of the last of r.headers
	pieces []piece
}

// addAll adds the pieces of segs, which become their owners.
func (a *assembly) addAll(segs []block.Segment) {
	whole := a.mode == wire.Simple || a.r.req.Flags&wire.FlagDF != 0
	for len(segs) > 0 {
		n := 0
		for n < len(segs) && (whole || !isHole(&segs[n])) {
			n++
		}
		if n > 0 {
			a.addData(segs[:n])
		} else {
			n = 1
			a.addHole(segs[0].Len)
		}
		segs = segs[n:]
	}
}

// isHole reports whether a segment is worth a chunk of its own.
func isHole(s *block.Segment) bool {
	return s.Data == nil && s.File == nil && s.Len >= minHole
}

// addHole adds a hole of n bytes, which is at most wire.MaxPayload.
func (a *assembly) addHole(n int64) {
	p := a.header(wire.MaxDataHeaderLen + 4)
	p = wire.AppendHole(p[:0], a.mode, &a.r.req, a.at, uint32(n), false)
	a.pieces = append(a.pieces, piece{b: p, reply: a.r})
	a.at += uint64(n)
}

// addData adds segs as one run of bytes.
func (a *assembly) addData(segs []block.Segment) {
	p := a.header(a.mode.DataHeaderLen())
	wire.PutDataHeader(p, a.mode, &a.r.req, a.at, int(segmentBytes(segs)), false)
	a.pieces = append(a.pieces, piece{b: p, reply: a.r})
	for i := range segs {
		s := &segs[i]
		q := piece{at: a.at, reply: a.r, seg: *s}
		switch {
		case s.Data != nil:
			q.b = s.Data
		case s.File != nil:
			q.file, q.off, q.n = s.File, s.Off, s.Len
		default:
			q.pad = s.Len
		}
		a.pieces = append(a.pieces, q)
		a.at += uint64(s.Len)
	}
}

// header returns n bytes that live as long as the reply.
func (a *assembly) header(n int) []byte {
	if len(a.r.headers) == 0 || a.used+n > len(a.r.headers[len(a.r.headers)-1].b) {
		a.r.headers, a.used = append(a.r.headers, getBuffer(0)), 0
	}
	b := a.r.headers[len(a.r.headers)-1].b[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}
