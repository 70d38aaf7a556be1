package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"pgregory.net/rapid"
)

// dirty returns n bytes that are not zero, so that a byte which an encoder
// forgets shows.
func dirty(n int) []byte { return bytes.Repeat([]byte{0xA5}, n) }

// sample returns a table with two partitions and an unused entry between them.
func sample(t testing.TB, sectorBytes int) *Table {
	t.Helper()
	tab, err := New(sectorBytes, 1<<20, DeriveGUID([]byte("disk")))
	if err != nil {
		t.Fatal(err)
	}
	tab.Partitions = []Partition{
		{Type: TypeEFISystem, GUID: DeriveGUID([]byte("1")), FirstLBA: 2048, LastLBA: 4095, Name: "EFI 💾", Attributes: AttrRequired},
		{},
		{Type: TypeBasicData, GUID: DeriveGUID([]byte("2")), FirstLBA: 4096, LastLBA: tab.LastUsable, Attributes: AttrReadOnly | AttrNoLetter},
	}
	return tab
}

// encode returns both copies.
func encode(tab *Table) (primary, backup []byte) {
	n := int(tab.CopySectors()) * tab.SectorBytes
	primary, backup = dirty(n), dirty(n)
	tab.EncodePrimary(primary)
	tab.EncodeBackup(backup)
	return primary, backup
}

func equal(a, b *Table) bool {
	x, y := *a, *b
	x.Partitions, y.Partitions = nil, nil
	return slices.Equal(a.Partitions, b.Partitions) &&
		x.SectorBytes == y.SectorBytes && x.DiskSectors == y.DiskSectors && x.DiskGUID == y.DiskGUID &&
		x.Entries == y.Entries && x.FirstUsable == y.FirstUsable && x.LastUsable == y.LastUsable
}

func TestBothCopiesDecodeToTheTable(t *testing.T) {
	for _, sector := range []int{512, 1024, 2048, 4096} {
		tab := sample(t, sector)
		if err := tab.Validate(); err != nil {
			t.Fatal(err)
		}
		primary, backup := encode(tab)
		headerAt := len(backup) - sector
		for _, c := range []struct {
			lba             uint64
			header, entries []byte
			entriesLBA      uint64
		}{
			{PrimaryLBA, primary[:sector], primary[sector:], 2},
			{tab.DiskSectors - 1, backup[headerAt:], backup[:headerAt], tab.BackupLBA()},
		} {
			h, err := DecodeHeader(c.header, c.lba, tab.DiskSectors)
			if err != nil {
				t.Fatal(err)
			}
			if h.EntriesLBA != c.entriesLBA || h.EntriesBytes() != 16384 {
				t.Fatalf("entries at %d, %d bytes", h.EntriesLBA, h.EntriesBytes())
			}
			got, err := h.DecodeEntries(c.entries, tab.DiskSectors)
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, tab) {
				t.Fatalf("got %+v\nwant %+v", got, tab)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sector := rapid.SampledFrom([]int{512, 4096}).Draw(t, "sector")
		tab, err := New(sector, rapid.Uint64Range(1000, 1<<40).Draw(t, "disk"), DeriveGUID([]byte("x")))
		if err != nil {
			t.Fatal(err)
		}
		at := tab.FirstUsable
		for at <= tab.LastUsable && len(tab.Partitions) < tab.Entries && rapid.IntRange(0, 9).Draw(t, "more") > 0 {
			last := rapid.Uint64Range(at, tab.LastUsable).Draw(t, "last")
			var p Partition
			if rapid.IntRange(0, 4).Draw(t, "used") > 0 {
				p = Partition{Type: DeriveGUID([]byte{byte(at)}), GUID: DeriveGUID([]byte{byte(last)}), FirstLBA: at, LastLBA: last,
					Attributes: rapid.Uint64().Draw(t, "attr"),
					Name:       rapid.StringOfN(rapid.RuneFrom([]rune("aZ é漢💾")), 0, 18, -1).Draw(t, "name")}
				at = last + 1
			}
			tab.Partitions = append(tab.Partitions, p)
		}
		for len(tab.Partitions) > 0 && !tab.Partitions[len(tab.Partitions)-1].Used() {
			tab.Partitions = tab.Partitions[:len(tab.Partitions)-1]
		}
		primary, _ := encode(tab)
		h, err := DecodeHeader(primary[:sector], 1, tab.DiskSectors)
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.DecodeEntries(primary[sector:], tab.DiskSectors)
		if err != nil {
			t.Fatal(err)
		}
		if !equal(got, tab) {
			t.Fatalf("got %+v\nwant %+v", got, tab)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		sector int
		disk   uint64
	}{{256, 1 << 20}, {8192, 1 << 20}, {1000, 1 << 20}, {512, 67}, {4096, 11}} {
		if tab, err := New(tc.sector, tc.disk, GUID{}); err == nil {
			t.Errorf("%+v gave %+v", tc, tab)
		}
	}
	for _, tc := range []struct {
		sector int
		disk   uint64
	}{{512, 68}, {4096, 12}} {
		tab, err := New(tc.sector, tc.disk, GUID{})
		if err != nil || tab.FirstUsable != tab.LastUsable {
			t.Errorf("%+v gave %+v, %v", tc, tab, err)
		}
	}
}

// One case for each field that is checked: a good header with the field
// changed and the checksum made right again.
func TestDecodeHeaderRefuses(t *testing.T) {
	tab := sample(t, 512)
	primary, _ := encode(tab)
	le := binary.LittleEndian
	for _, tc := range []struct {
		field string
		spoil func(p []byte)
	}{
		{"Signature", func(p []byte) { p[0] = 'e' }},
		{"Revision", func(p []byte) { le.PutUint32(p[8:], 0x00020000) }},
		{"HeaderSize", func(p []byte) { le.PutUint32(p[12:], 91) }},
		{"HeaderSize", func(p []byte) { le.PutUint32(p[12:], 513) }},
		{"MyLBA", func(p []byte) { le.PutUint64(p[24:], 2) }},
		{"FirstUsableLBA", func(p []byte) { le.PutUint64(p[40:], 1) }},
		{"FirstUsableLBA", func(p []byte) { le.PutUint64(p[40:], tab.LastUsable+1) }},
		{"LastUsableLBA", func(p []byte) { le.PutUint64(p[48:], 1<<20) }},
		{"PartitionEntryLBA", func(p []byte) { le.PutUint64(p[72:], 1) }},
		{"PartitionEntryLBA", func(p []byte) { le.PutUint64(p[72:], 1<<20-31) }},
		{"PartitionEntryLBA", func(p []byte) { le.PutUint64(p[72:], 1<<64-1) }},
		{"PartitionEntryLBA", func(p []byte) { le.PutUint64(p[72:], 3) }},
		{"NumberOfPartitionEntries", func(p []byte) { le.PutUint32(p[80:], 0) }},
		{"NumberOfPartitionEntries", func(p []byte) { le.PutUint32(p[80:], 1<<31) }},
		{"SizeOfPartitionEntry", func(p []byte) { le.PutUint32(p[84:], 64) }},
		{"SizeOfPartitionEntry", func(p []byte) { le.PutUint32(p[84:], 192) }},
		{"SizeOfPartitionEntry", func(p []byte) { le.PutUint32(p[84:], 8192) }},
	} {
		p := bytes.Clone(primary[:512])
		tc.spoil(p)
		if n := le.Uint32(p[12:]); n >= MinHeaderBytes && n <= 512 {
			le.PutUint32(p[16:], headerCRC(p[:n]))
		}
		_, err := DecodeHeader(p, 1, tab.DiskSectors)
		var fe *diskerr.FormatError
		if !errors.As(err, &fe) || fe.Field != tc.field {
			t.Errorf("%s: got %v", tc.field, err)
		}
	}
	p := bytes.Clone(primary[:512])
	p[60]++
	if _, err := DecodeHeader(p, 1, tab.DiskSectors); err == nil || !strings.Contains(err.Error(), "HeaderCRC32") {
		t.Errorf("checksum: got %v", err)
	}
	if _, err := DecodeHeader(p[:100], 1, tab.DiskSectors); err == nil {
		t.Error("a short sector was accepted")
	}
	within := sample(t, 512)
	within.FirstUsable, within.LastUsable = 2048, 1<<20-1
	_, backup := encode(within)
	if _, err := DecodeHeader(backup[len(backup)-512:], 1<<20-1, 1<<20); err == nil {
		t.Error("a header among the usable sectors was accepted")
	}
}

func TestValidateRefuses(t *testing.T) {
	for _, tc := range []struct {
		want  string
		spoil func(tab *Table)
	}{
		{"StartingLBA is 33", func(tab *Table) { tab.Partitions[0].FirstLBA = 33 }},
		{"StartingLBA is 1048576", func(tab *Table) { tab.Partitions[0].FirstLBA = 1 << 20 }},
		{"EndingLBA is 2047", func(tab *Table) { tab.Partitions[0].LastLBA = 2047 }},
		{"EndingLBA is 1048575", func(tab *Table) { tab.Partitions[2].LastLBA = 1<<20 - 1 }},
		{"lies in partition 1", func(tab *Table) { tab.Partitions[0].LastLBA = 4096 }},
		{"more than 36", func(tab *Table) { tab.Partitions[0].Name = strings.Repeat("💾", 19) }},
		{"room for 128", func(tab *Table) { tab.Partitions = make([]Partition, 129) }},
	} {
		tab := sample(t, 512)
		tc.spoil(tab)
		if err := tab.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v", tc.want, err)
		}
	}
}

func TestDecodeEntriesRefuses(t *testing.T) {
	tab := sample(t, 512)
	primary, _ := encode(tab)
	h, err := DecodeHeader(primary[:512], 1, tab.DiskSectors)
	if err != nil {
		t.Fatal(err)
	}
	entries := bytes.Clone(primary[512:])
	if _, err := h.DecodeEntries(entries[:16383], tab.DiskSectors); err == nil {
		t.Error("short entries were accepted")
	}
	entries[200]++
	if _, err := h.DecodeEntries(entries, tab.DiskSectors); err == nil || !strings.Contains(err.Error(), "PartitionEntryArrayCRC32") {
		t.Errorf("checksum: got %v", err)
	}
	tab.Partitions[0].FirstLBA = 1
	primary, _ = encode(tab)
	h, err = DecodeHeader(primary[:512], 1, tab.DiskSectors)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.DecodeEntries(primary[512:], tab.DiskSectors); err == nil || !strings.Contains(err.Error(), "StartingLBA") {
		t.Errorf("partition outside: got %v", err)
	}
}

func TestGUID(t *testing.T) {
	const text = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	// The bytes on the medium: UEFI 2.10, appendix A, little-endian groups.
	want := GUID{0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11, 0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B}
	if TypeEFISystem != want || want.String() != text {
		t.Errorf("% x, %v", TypeEFISystem, want)
	}
	if g, err := ParseGUID(strings.ToLower(text)); err != nil || g != want {
		t.Errorf("%v, %v", g, err)
	}
	for _, s := range []string{"", text[1:], text + "0", strings.ReplaceAll(text, "-", ""), "G" + text[1:],
		"C12A732-8F81F-11D2-BA4B-00A0C93EC93B", "C12A7328-F81F-11D2-BA4B00A0-C93EC93B0", "C12A7328-F81F-11D2-BA4B-00A0C9-3EC93"} {
		if _, err := ParseGUID(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	g := DeriveGUID([]byte("seed")).String()
	if g[14] != '8' || !strings.ContainsRune("89AB", rune(g[19])) {
		t.Errorf("%s is not of version 8", g)
	}
	if DeriveGUID([]byte("a")) == DeriveGUID([]byte("b")) {
		t.Error("seeds do not matter")
	}
}

func FuzzDecode(f *testing.F) {
	for _, sector := range []int{512, 4096} {
		tab := sample(f, sector)
		tab.Entries = 4 // small inputs, or minimizing them takes all the time
		primary, _ := encode(tab)
		f.Add(primary, sector == 4096, uint64(1<<20), true)
	}
	f.Add(make([]byte, 600), false, uint64(100), false)
	f.Fuzz(func(t *testing.T, p []byte, big bool, diskSectors uint64, fix bool) {
		sector := 512
		if big {
			sector = 4096
		}
		if len(p) < sector {
			return
		}
		head, entries := bytes.Clone(p[:sector]), p[sector:]
		le := binary.LittleEndian
		if fix { // let the fuzzer past the checksums
			n, size := uint64(le.Uint32(head[80:])), uint64(le.Uint32(head[84:]))
			if n*size <= uint64(len(entries)) {
				le.PutUint32(head[88:], crc32.ChecksumIEEE(entries[:n*size]))
			}
			if h := le.Uint32(head[12:]); h >= MinHeaderBytes && h <= uint32(sector) {
				le.PutUint32(head[16:], headerCRC(head[:h]))
			}
		}
		h, err := DecodeHeader(head, 1, diskSectors)
		if err == nil {
			var tab *Table
			if tab, err = h.DecodeEntries(entries, diskSectors); err == nil {
				if err := tab.Validate(); err != nil {
					t.Fatalf("decoded and invalid: %v", err)
				}
				for _, q := range tab.Partitions {
					if q.Used() && (q.LastLBA >= diskSectors || q.Sectors() == 0) {
						t.Fatalf("accepted %+v on %d sectors", q, diskSectors)
					}
				}
			}
		}
		if err != nil && !errors.Is(err, diskerr.ErrCorrupt) {
			t.Fatalf("%T %v", err, err)
		}
	})
}
