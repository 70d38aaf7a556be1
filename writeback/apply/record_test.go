package apply

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// samples returns a plan and results with something in every field.
func samples(t testing.TB) (*Plan, Results) {
	h := newHost(t)
	s, err := h.start()
	h.must(err)
	p, err := h.plan(s.x)
	h.must(err)
	for i := range p.Patches {
		p.Patches[i].Content = nil
	}
	p.PayloadBytes = 77
	p.Attrs[0].Xattrs = append(p.Attrs[0].Xattrs, Xattr{"removed", nil})
	id := p.Moves[0].Object
	id.Btime = hostfs.NoTime
	return p, Results{Epoch: 5, List: []Result{
		{Op: OpMove, Tag: 1 << 63, Status: Conflict, Kind: Edited, HostRemoved: true, At: Place{Trash, "x"}, ID: id, Displaced: Place{3, "y"}, DisplacedID: id, Reason: "why"},
		{Op: OpAttr, Status: Waiting},
	}}
}

func TestRecords(t *testing.T) {
	p, rs := samples(t)
	got, err := DecodePlan(p.Encode())
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%v\n%+v\n%+v", err, got, p)
	}
	results, payload, err := DecodeResults(rs.Encode([]byte("payload")))
	if err != nil || !reflect.DeepEqual(results, rs) || string(payload) != "payload" {
		t.Errorf("%v\n%+v\n%+v", err, results, rs)
	}
	record := p.Encode()
	for n := range record {
		if _, err := DecodePlan(record[:n]); !errors.Is(err, diskerr.ErrCorrupt) {
			t.Fatalf("a record of %d bytes: %v", n, err)
		}
	}
	record[0] = 9
	if _, err := DecodePlan(record); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("another version: %v", err)
	}
}

// The room that is reserved for results is enough for the largest.
func TestResultBytes(t *testing.T) {
	all := hostfs.Identity{
		Stat:  hostfs.Stat{Size: 1 << 62, Mtime: hostfs.NoTime, Atime: hostfs.NoTime, Btime: hostfs.NoTime, Ino: 1<<64 - 1, Dev: 1<<64 - 1, Mode: 1<<32 - 1},
		Ctime: hostfs.NoTime, FSID: 1<<64 - 1, Nlink: 1<<32 - 1, UID: 1<<32 - 1, GID: 1<<32 - 1,
	}
	name := string(bytes.Repeat([]byte("n"), maxNameBytes))
	r := Result{
		Op: OpAttr, Tag: 1<<64 - 1, Status: NeedsCopy, Kind: Replaced, HostRemoved: true, At: Place{-4, name}, ID: all,
		Displaced: Place{1 << 30, name}, DisplacedID: all, Reason: string(bytes.Repeat([]byte("r"), 1000)),
	}
	rs := Results{Epoch: 1<<64 - 1, List: []Result{r, r}}
	p := Plan{Moves: make([]Move, 1), Attrs: make([]Attr, 1)}
	if n := len(rs.Encode(nil)); n > p.resultBytes() {
		t.Errorf("%d bytes, reserved %d", n, p.resultBytes())
	}
}

// FuzzRecords feeds the decoders arbitrary records: what they accept they
// encode again to something that means the same.
func FuzzRecords(f *testing.F) {
	p, rs := samples(f)
	f.Add(p.Encode())
	f.Add(rs.Encode([]byte("payload")))
	f.Fuzz(func(t *testing.T, record []byte) {
		if p, err := DecodePlan(record); err == nil {
			if again, err := DecodePlan(p.Encode()); err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("%v\n%+v\n%+v", err, again, p)
			}
		} else if !errors.Is(err, diskerr.ErrCorrupt) {
			t.Error(err)
		}
		if rs, payload, err := DecodeResults(record); err == nil {
			if len(rs.List) > 0 && len(rs.List[0].Reason) > maxReasonBytes {
				return
			}
			again, same, err := DecodeResults(rs.Encode(payload))
			if err != nil || !reflect.DeepEqual(again.List, rs.List) || !bytes.Equal(same, payload) {
				t.Errorf("%v\n%+v\n%+v", err, again, rs)
			}
		} else if !errors.Is(err, diskerr.ErrCorrupt) {
			t.Error(err)
		}
	})
}
