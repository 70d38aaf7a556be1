package fatfmt

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// slots cuts what AppendLongName made into slots.
func slots(p []byte) [][]byte { return slices.Collect(slices.Chunk(p, DirEntryBytes)) }

// feed adds slots to n and returns the number of orphans.
func feed(n *LongName, list [][]byte) int {
	orphans := 0
	for _, s := range list {
		orphans += n.Add(s)
	}
	return orphans
}

// The example of a long name, spelled out once by hand: FAT 1.03, "FAT Long
// Directory Entries", "The quick brown.fox".
func TestLongNameBytes(t *testing.T) {
	short := name11("THEQUI~1FOX")
	units := AppendUTF16(nil, "The quick brown.fox")
	got := AppendLongName(nil, units, Checksum(short))
	sum := string([]byte{Checksum(short)})
	u := func(s string) string {
		var b []byte
		for _, c := range s {
			if c == '#' {
				c = 0xFFFF
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(c))
		}
		return string(b)
	}
	want := "\x42" + u("wn.fo") + "\x0F\x00" + sum + u("x\x00####") + "\x00\x00" + u("##") +
		"\x01" + u("The q") + "\x0F\x00" + sum + u("uick b") + "\x00\x00" + u("ro")
	if string(got) != want {
		t.Errorf("got  % x\nwant % x", got, want)
	}
	if LongSlots(len(units)) != 2 || LongSlots(13) != 1 || LongSlots(14) != 2 || LongSlots(255) != 20 {
		t.Error("LongSlots")
	}
	full := AppendLongName(nil, AppendUTF16(nil, "thirteen unit"), 0)
	if bytes.Contains(full, []byte{0xFF, 0xFF}) || full[30] != 't' || full[31] != 0 {
		t.Errorf("a name that fills its slot has a terminator: % x", full)
	}
}

// The checksum of FAT 1.03, written as there: with a rotation by one.
func TestChecksum(t *testing.T) {
	for _, name := range []string{"README  TXT", "THEQUI~1FOX", "           ", "\xFF\xFE\x05ABCDEFGH"} {
		var want uint8
		for i := range 11 {
			carry := uint8(0)
			if want&1 != 0 {
				carry = 0x80
			}
			want = carry + want>>1 + name[i]
		}
		if got := Checksum(name11(name)); got != want {
			t.Errorf("%q: %#x, want %#x", name, got, want)
		}
	}
}

func TestLongNameIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.SliceOfN(rapid.Uint16Range(1, 0xFFFF), 1, MaxNameUnits).Draw(t, "units")
		short := name11("SHORT~1 TXT")
		p := AppendLongName(dirty(3), units, Checksum(short))[3:]
		if len(p) != 32*LongSlots(len(units)) {
			t.Fatalf("%d bytes for %d units", len(p), len(units))
		}
		var n LongName
		if rapid.Bool().Draw(t, "used before") {
			feed(&n, slots(AppendLongName(nil, []uint16{1, 2, 3}, 9)))
			n.Drop()
		}
		for _, s := range slots(p) {
			if KindOf(s) != SlotLong {
				t.Fatal("a slot of another kind")
			}
			if o := n.Add(s); o != 0 {
				t.Fatalf("%d orphans", o)
			}
		}
		got, orphans := n.Take(short)
		if !slices.Equal(got, units) || orphans != 0 {
			t.Fatalf("got %v and %d orphans, want %v", got, orphans, units)
		}
		if got, _ := n.Take(short); got != nil {
			t.Fatal("the name was taken twice")
		}
	})
}

// What is not a whole name with the right checksum attaches to nothing.
func TestLongNameOrphans(t *testing.T) {
	short := name11("SHORT~1 TXT")
	name := func() [][]byte {
		return slots(AppendLongName(nil, AppendUTF16(nil, strings.Repeat("x", 30)), Checksum(short)))
	}
	for _, tc := range []struct {
		name    string
		list    func() [][]byte
		orphans int
	}{
		{"first slot missing", func() [][]byte { return name()[1:] }, 2},
		{"last slot missing", func() [][]byte { return name()[:2] }, 2},
		{"middle slot missing", func() [][]byte { l := name(); return [][]byte{l[0], l[2]} }, 2},
		{"slot twice", func() [][]byte { l := name(); return [][]byte{l[0], l[1], l[1], l[2]} }, 4},
		{"order reversed", func() [][]byte { l := name(); slices.Reverse(l); return l }, 3},
		{"wrong checksum in all", func() [][]byte {
			l := name()
			for _, s := range l {
				s[13]++
			}
			return l
		}, 3},
		{"wrong checksum in one", func() [][]byte { l := name(); l[1][13]++; return l }, 3},
		{"wrong type in one", func() [][]byte { l := name(); l[1][12] = 1; return l }, 3},
		{"wrong type in the first", func() [][]byte { l := name(); l[0][12] = 1; return l }, 3},
		{"ordinal 0", func() [][]byte { l := name(); l[0][0] = 0x40; return l }, 3},
		{"ordinal 21", func() [][]byte { l := name(); l[0][0] = 0x40 | 21; return l }, 3},
		{"empty name", func() [][]byte {
			l := slots(AppendLongName(nil, []uint16{'x'}, Checksum(short)))
			l[0][1] = 0
			return l
		}, 1},
		{"256 units", func() [][]byte {
			l := slots(AppendLongName(nil, AppendUTF16(nil, strings.Repeat("x", 255)), Checksum(short)))
			copy(l[0][20:32], "x\x00x\x00x\x00x\x00x\x00x\x00")
			copy(l[0][14:26], "x\x00x\x00x\x00x\x00x\x00x\x00")
			copy(l[0][28:32], "x\x00x\x00")
			return l
		}, 20},
		{"nothing", func() [][]byte { return nil }, 0},
	} {
		var n LongName
		orphans := feed(&n, tc.list())
		units, more := n.Take(short)
		if units != nil || orphans+more != tc.orphans {
			t.Errorf("%s: name of %d units, %d orphans, want %d", tc.name, len(units), orphans+more, tc.orphans)
		}
		if o := feed(&n, name()); o != 0 {
			t.Errorf("%s: %d orphans in the next name", tc.name, o)
		}
		if units, o := n.Take(short); len(units) != 30 || o != 0 {
			t.Errorf("%s: the next name has %d units, %d orphans", tc.name, len(units), o)
		}
	}
	var n LongName
	feed(&n, slots(AppendLongName(nil, AppendUTF16(nil, strings.Repeat("x", 255)), Checksum(short))))
	if units, o := n.Take(short); len(units) != 255 || o != 0 {
		t.Errorf("the longest name: %d units, %d orphans", len(units), o)
	}
	o := feed(&n, append(name()[:2], name()...))
	if units, more := n.Take(short); len(units) != 30 || o+more != 2 {
		t.Errorf("a name after a broken one: %d units, %d orphans", len(units), o+more)
	}
	feed(&n, name())
	if n.Drop() != 3 {
		t.Error("Drop does not count")
	}
	if units, _ := n.Take(short); units != nil {
		t.Error("Drop forgets nothing")
	}
}

func TestUTF16(t *testing.T) {
	for _, s := range []string{"", "a", "é漢💾", "a\U0010FFFFb"} {
		units := AppendUTF16(nil, s)
		if got, ok := DecodeUTF16(units); got != s || !ok || UTF16Len(s) != len(units) {
			t.Errorf("%q became %q, %v; %d units, UTF16Len %d", s, got, ok, len(units), UTF16Len(s))
		}
	}
	for _, tc := range []struct {
		units []uint16
		want  string
		ok    bool
	}{
		{[]uint16{0xD83D, 0xDCBE}, "💾", true}, {[]uint16{0xD83D}, "\uFFFD", false}, {[]uint16{0xDCBE, 0xD83D}, "\uFFFD\uFFFD", false},
		{[]uint16{'a', 0xD83D, 'b'}, "a\uFFFDb", false}, {[]uint16{0xFFFD}, "\uFFFD", true},
	} {
		if got, ok := DecodeUTF16(tc.units); got != tc.want || ok != tc.ok {
			t.Errorf("%x is %q, %v", tc.units, got, ok)
		}
	}
	if got := UTF16Len("a\xFF\xFEb"); got != 4 || len(AppendUTF16(nil, "a\xFF\xFEb")) != 4 {
		t.Errorf("invalid UTF-8: %d", got)
	}
}

func FuzzLongName(f *testing.F) {
	short := []byte("SHORT~1 TXT")
	f.Add(AppendLongName(nil, AppendUTF16(nil, "a name of two slots"), Checksum([11]byte(short))), short)
	f.Add(AppendLongName(nil, AppendUTF16(nil, strings.Repeat("x", 255)), 7)[32:], short)
	f.Fuzz(func(t *testing.T, p, name []byte) {
		if len(name) < 11 {
			return
		}
		short := [11]byte(name)
		var n LongName
		added, orphans := 0, 0
		for ; len(p) >= 32; p = p[32:] {
			switch KindOf(p) {
			case SlotLong:
				added++
				orphans += n.Add(p)
			default:
				orphans += n.Drop()
			}
		}
		units, more := n.Take(short)
		orphans += more
		if units == nil {
			if orphans != added {
				t.Fatalf("%d slots, %d orphans, no name", added, orphans)
			}
			return
		}
		if len(units) > MaxNameUnits || slices.Contains(units, 0) || orphans >= added {
			t.Fatalf("%d units, %d slots, %d orphans", len(units), added, orphans)
		}
		again := AppendLongName(nil, units, Checksum(short))
		feed(&n, slots(again))
		if got, _ := n.Take(short); !slices.Equal(got, units) {
			t.Fatal("the name changes when written again")
		}
		DecodeUTF16(units)
	})
}
