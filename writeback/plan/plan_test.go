package plan

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

func TestHostName(t *testing.T) {
	short := func(name string, bits byte) *catalog.Entry {
		return &catalog.Entry{Name: name, DirEntry: fatfmt.DirEntry{Case: bits}}
	}
	long := func(name string) *catalog.Entry { return &catalog.Entry{Name: name, Long: true} }
	for _, c := range []struct {
		e    *catalog.Entry
		mode ShortNames
		want string
	}{
		{short("README.TXT", 0), LowerNames, "readme.txt"},
		{short("README.TXT", 0), UpperNames, "README.TXT"},
		{short("README.TXT", 0), BitsNames, "README.TXT"},
		{short("readme.TXT", fatfmt.CaseLowerBase), LowerNames, "readme.TXT"},
		{short("readme.TXT", fatfmt.CaseLowerBase), UpperNames, "README.TXT"},
		{short("readme.TXT", fatfmt.CaseLowerBase), BitsNames, "readme.TXT"},
		{long("README.TXT"), LowerNames, "README.TXT"},
		{long("a\uF03Ab"), LowerNames, "a:b"},
		{long("caf\uF0E9"), LowerNames, "caf\xE9"},
		{long("end\uF02E"), LowerNames, "end."},
		{long("\uF02F"), LowerNames, "\uF02F"}, // would be "/": stays as it is
		{long("\uF02E\uF02E"), LowerNames, "\uF02E\uF02E"},
	} {
		if got := hostName(c.e, c.mode); got != c.want {
			t.Errorf("%q in mode %d: %q, want %q", c.e.Name, c.mode, got, c.want)
		}
	}
}

func TestBesideName(t *testing.T) {
	at := time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"notes.txt": "notes (guest 2026-11-21 14.05).txt",
		"Makefile":  "Makefile (guest 2026-11-21 14.05)",
		".profile":  ".profile (guest 2026-11-21 14.05)",
	} {
		if got := besideName(name, at); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := besideName(string(bytes.Repeat([]byte("x"), 300))+".txt", at); len(got) > maxHostName {
		t.Errorf("a name of %d bytes", len(got))
	}
}

// TestContent reads a file that lies in pieces at every offset.
func TestContent(t *testing.T) {
	g, err := fatfmt.Plan(fatfmt.PlanOptions{TotalSectors: 40000})
	if err != nil {
		t.Fatal(err)
	}
	o := &Options{Geometry: g, Volume: 4096}
	rnd := rand.New(rand.NewPCG(1, 2))
	disk := make([]byte, 4096+g.TotalBytes())
	for i := range disk {
		disk[i] = byte(rnd.Uint32())
	}
	chain := []catalog.Extent{{First: 9, Count: 2}, {First: 3, Count: 1}, {First: 40, Count: 5}}
	var want []byte
	for _, e := range chain {
		off := 4096 + g.ClusterOffset(e.First)
		want = append(want, disk[off:off+int64(e.Count)*int64(g.ClusterBytes())]...)
	}
	want = want[:len(want)-100]
	c := newContent(bytes.NewReader(disk), o, chain, int64(len(want)))
	for range 500 {
		off := rnd.IntN(len(want))
		p := make([]byte, 1+rnd.IntN(len(want)-off))
		if n, err := c.ReadAt(p, int64(off)); n != len(p) || err != nil || !bytes.Equal(p, want[off:off+n]) {
			t.Fatalf("%d bytes at %d: %d, %v", len(p), off, n, err)
		}
	}
	if n, err := c.ReadAt(make([]byte, 200), int64(len(want))-50); n != 50 || err == nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	short := newContent(bytes.NewReader(disk), o, chain[:1], int64(len(want)))
	if _, err := short.ReadAt(make([]byte, len(want)), 0); err == nil {
		t.Error("a chain that is too short was read")
	}
}

// TestDiffering finds exactly the pieces that differ.
func TestDiffering(t *testing.T) {
	then := make([]byte, 3*compareBytes)
	now := bytes.Clone(then)
	now[compareBytes+5] = 1
	got, err := differing(bytes.NewReader(now), bytes.NewReader(then), int64(len(then)), []diff.Range{{Off: 0, Len: int64(len(now))}})
	if err != nil || len(got) != 1 || got[0] != (diff.Range{Off: compareBytes, Len: compareBytes}) {
		t.Errorf("%v, %v", got, err)
	}
	got, err = differing(bytes.NewReader(now), bytes.NewReader(then), 2*compareBytes, []diff.Range{{Off: 2 * compareBytes, Len: 100}})
	if err != nil || len(got) != 1 {
		t.Errorf("what is beyond the old end differs: %v, %v", got, err)
	}
}

// FuzzDecode feeds the records of a session that come from the journal.
func FuzzDecode(f *testing.F) {
	d := &Delta{Put: []catalog.Object{{ID: 3, Entry: catalog.Entry{Name: "x"}}}, Failed: map[catalog.ID]string{4: "why"}}
	f.Add(d.Encode())
	f.Add(encode([]Prospect{{Tag: 1, Path: "a"}}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if d, err := DecodeDelta(p); err == nil {
			d.Encode()
		}
		_, _ = DecodeNote(p)
	})
}
