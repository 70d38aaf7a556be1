package fatfmt

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func mustCodePage(t testing.TB, n int) *CodePage {
	t.Helper()
	cp, err := LookupCodePage(n)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

// name11 turns "README  TXT" into a name.
func name11(s string) [11]byte { return [11]byte([]byte(s)) }

func TestDirEntryIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slot := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "slot")
		e := DecodeDirEntry(slot)
		out := dirty(33)
		e.Encode(out)
		if !bytes.Equal(out[:32], slot) || out[32] != 0xA5 {
			t.Fatalf("got  % x\nwant % x", out, slot)
		}
	})
}

// The places of the fields, spelled out once by hand.
func TestDirEntryPlaces(t *testing.T) {
	e := DirEntry{Name: name11("README  TXT"), Attr: AttrArchive, Case: CaseLowerExt, CreateTenths: 0x63, CreateTime: 0x1122, CreateDate: 0x3344,
		AccessDate: 0x5566, WriteTime: 0x7788, WriteDate: 0x99AA, Cluster: 0xF1234567, Size: 0xBBCCDDEE}
	slot := dirty(32)
	e.Encode(slot)
	if want := "README  TXT\x20\x10\x63\x22\x11\x44\x33\x66\x55\x23\xF1\x88\x77\xAA\x99\x67\x45\xEE\xDD\xCC\xBB"; string(slot) != want {
		t.Errorf("got  % x\nwant % x", slot, want)
	}
	if e.FirstCluster(FAT32) != 0x01234567 || e.FirstCluster(FAT16) != 0x4567 || e.FirstCluster(FAT12) != 0x4567 {
		t.Error("FirstCluster")
	}
	if e.IsDir() || e.IsDot() || !(&DirEntry{Name: DotDotName, Attr: AttrDirectory}).IsDot() || !(&DirEntry{Attr: AttrDirectory}).IsDir() {
		t.Error("IsDir, IsDot")
	}
}

func TestKindOf(t *testing.T) {
	for _, tc := range []struct {
		first, attr byte
		want        SlotKind
	}{
		{0, 0x0F, SlotEnd}, {0xE5, 0x0F, SlotFree}, {0xE5, 0x20, SlotFree}, {0x41, 0x0F, SlotLong}, {0x05, 0x20, SlotEntry},
		{'A', 0x08, SlotLabel}, {'A', 0x28, SlotLabel}, {'A', 0x18, SlotLabel}, {'A', 0x10, SlotEntry}, {'A', 0x00, SlotEntry},
		{'A', 0xCF, SlotLong}, {'A', 0x1F, SlotLabel}, {'A', 0x2F, SlotLabel}, {' ', 0x20, SlotEntry},
	} {
		slot := make([]byte, 32)
		slot[0], slot[11] = tc.first, tc.attr
		if got := KindOf(slot); got != tc.want {
			t.Errorf("%#02x with attributes %#02x is %v, want %v", tc.first, tc.attr, got, tc.want)
		}
		if MarkDeleted(slot); KindOf(slot) != SlotFree {
			t.Error("MarkDeleted")
		}
	}
}

func TestShortNameString(t *testing.T) {
	cp437, cp932 := mustCodePage(t, 437), mustCodePage(t, 932)
	for _, tc := range []struct {
		name string
		bits byte
		cp   *CodePage
		want string
	}{
		{"README  TXT", 0, cp437, "README.TXT"},
		{"README  TXT", CaseLowerBase, cp437, "readme.TXT"},
		{"README  TXT", CaseLowerBase | CaseLowerExt, cp437, "readme.txt"},
		{"README  TXT", 0xE7, cp437, "README.TXT"},
		{"AZ@[`az    ", CaseLowerBase, cp437, "az@[`az"},
		{"MAKEFILE   ", 0, cp437, "MAKEFILE"},
		{"A B     C D", 0, cp437, "A B.C D"},
		{"\x8EBC        ", CaseLowerBase, cp437, "Äbc"},
		{"\x05BC        ", 0, cp437, "σBC"},
		{"\x05\xAB      TXT", 0, cp932, "雖.TXT"},
		{".          ", 0, cp437, "."},
		{"..         ", 0, cp437, ".."},
		{"           ", 0, cp437, ""},
		{"        TXT", 0, cp437, ".TXT"},
	} {
		e := DirEntry{Name: name11(tc.name), Case: tc.bits}
		if got := e.ShortName(tc.cp); got != tc.want {
			t.Errorf("%q with case bits %#x is %q, want %q", tc.name, tc.bits, got, tc.want)
		}
	}
}

func FuzzDirEntry(f *testing.F) {
	f.Add([]byte("README  TXT\x20\x10\x63\x22\x11\x44\x33\x66\x55\x23\xF1\x88\x77\xAA\x99\x67\x45\xEE\xDD\xCC\xBB"), 437)
	f.Add(bytes.Repeat([]byte{0xE5}, 32), 932)
	f.Fuzz(func(t *testing.T, p []byte, page int) {
		cp, err := LookupCodePage(page)
		if err != nil || len(p) < 32 {
			return
		}
		KindOf(p)
		e := DecodeDirEntry(p)
		out := dirty(32)
		if e.Encode(out); !bytes.Equal(out, p[:32]) {
			t.Fatal("decoded and encoded differs")
		}
		if len(e.ShortName(cp)) > 12*3 {
			t.Fatalf("short name %q", e.ShortName(cp))
		}
		DecodeLabel(e.Name, cp)
	})
}
