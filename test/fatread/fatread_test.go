package fatread

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadsHandMadeDisk(t *testing.T) {
	eachType(t, func(t *testing.T, fatType int) {
		m, _ := sample(fatType)
		tree, err := m.read()
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"README.TXT", "grüße an 🐘 und 日本.txt", "EMPTY", "a folder", "a folder/exactly13long"}
		if !slices.Equal(tree.Order, want) {
			t.Fatalf("paths %q, want %q", tree.Order, want)
		}
		e := tree.Entries[want[1]]
		if e.Hash != sha256.Sum256(bytes.Repeat([]byte("0123456789"), 200)) || e.Short != "GRE~1.TXT" || !e.HasLong {
			t.Errorf("%+v", e)
		}
		if !e.Modified.Equal(time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)) {
			t.Errorf("modified %v", e.Modified)
		}
		data, err := tree.Bytes("a folder/exactly13long")
		if err != nil || string(data) != "x" {
			t.Errorf("contents %q, %v", data, err)
		}
		if v := tree.Volume; v.Type != fatType || v.BadClusters != 1 || v.Serial != 0x12345678 {
			t.Errorf("volume %+v", v)
		}
	})
}

func TestCaseBitsAndLeadingE5(t *testing.T) {
	m := newImage(12)
	m.root.entry("", "LOWER   TXT", 0, 0, 0)
	m.p[m.root.off+12] = 0x18
	m.root.entry("é5", "\x055~1       ", 0, 0, 0)
	tree, err := m.read()
	if err != nil {
		t.Fatal(err)
	}
	if tree.Entries["lower.txt"] == nil || tree.Entries["é5"] == nil || tree.Entries["é5"].Short != `\xe55~1` {
		t.Errorf("%q", tree.Order)
	}
}

// breakages are rules that a disk can break, each with a part of the problem
// that it must be reported as.
var breakages = []struct {
	name, problem string
	only          int // FAT type; 0 means all
	do            func(m *image, sub *folder)
}{
	{"FAT copies", "FAT 2 differs", 0, func(m *image, _ *folder) { m.setOneFAT(1, 900, 7) }},
	{"FAT[0]", "FAT[0]", 0, func(m *image, _ *folder) { m.setFAT(0, m.mark(0xF0)) }},
	{"FAT[1] dirty", "FAT[1]", 16, func(m *image, _ *folder) { m.setFAT(1, 0x7FFF) }},
	{"state dirty", "marked dirty", 12, func(m *image, _ *folder) { m.p[37] = 1 }},
	{"lost cluster", "1 lost clusters from 700", 0, func(m *image, _ *folder) { m.setFAT(700, m.mark(0xFF)) }},
	{"loop", "linked twice", 0, func(m *image, sub *folder) { m.setFAT(sub.first, sub.first) }},
	{"cross-link", "linked twice", 0, func(m *image, _ *folder) { m.root.entry("", "CROSS      ", 0, m.next-1, 1) }},
	{"chain too long", "chain of 2 clusters for 1 bytes", 0, func(m *image, _ *folder) { m.root.entry("", "LONG       ", 0, m.alloc(2), 1) }},
	{"chain too short", "chain of 1 clusters for 513 bytes", 0, func(m *image, _ *folder) { m.root.entry("", "SHORT      ", 0, m.alloc(1), 513) }},
	{"chain into free", "followed by 0x0", 0, func(m *image, _ *folder) { m.root.entry("", "FREE       ", 0, m.alloc(1), 1); m.setFAT(m.next-1, 0) }},
	{"chain beyond disk", "reaches cluster", 0, func(m *image, _ *folder) { m.root.entry("", "FAR        ", 0, m.clusters+2, 1) }},
	{"empty with cluster", "empty file with cluster", 0, func(m *image, _ *folder) { m.root.entry("", "E          ", 0, m.alloc(1), 0) }},
	{"size of directory", "directory with size", 0, func(m *image, _ *folder) {
		f := m.root.folder("", "D          ")
		m.p[m.root.off+32*(m.root.n-1)+28] = 1
		_ = f
	}},
	{"dot", "not \".          \"", 0, func(m *image, sub *folder) { m.p[sub.off+26]++ }},
	{"dotdot", "not \"..         \"", 0, func(m *image, sub *folder) { m.p[sub.off+32+26]++ }},
	{"no dots", "dot entries", 0, func(m *image, sub *folder) { m.p[sub.off], m.p[sub.off+32] = 0xE5, 0xE5 }},
	{"checksum", "does not belong", 0, func(m *image, _ *folder) { m.p[m.root.off+32*(m.root.n-1)]++ }},
	{"order of long name", "out of order", 0, func(m *image, _ *folder) {
		m.root.entry("fourteen units", "FOURTE~1   ", 0, 0, 0)
		m.p[m.root.off+32*(m.root.n-2)] = 2
	}},
	{"orphan", "without its short name", 0, func(m *image, _ *folder) { m.root.longSlots("orphan", 1) }},
	{"long name pads", "padded", 0, func(m *image, _ *folder) {
		m.root.entry("short", "SHORT~1    ", 0, 0, 0)
		m.p[m.root.off+32*(m.root.n-2)+30] = 0
	}},
	{"half pair", "surrogate", 0, func(m *image, _ *folder) {
		m.root.entry("xyz", "XYZ~1      ", 0, 0, 0)
		binary.LittleEndian.PutUint16(m.p[m.root.off+32*(m.root.n-2)+1:], 0xD83D)
	}},
	{"forbidden in long", "contains 0x3a", 0, func(m *image, _ *folder) { m.root.entry("a:b", "A_B~1      ", 0, 0, 0) }},
	{"trailing dot", "ends in a dot", 0, func(m *image, _ *folder) { m.root.entry("a.", "A~1        ", 0, 0, 0) }},
	{"lower case short", "short name", 0, func(m *image, _ *folder) { m.root.entry("", "abc        ", 0, 0, 0) }},
	{"case twins", "has the name of", 0, func(m *image, _ *folder) { m.root.entry("readme.TXT", "README~1TXT", 0, 0, 0) }},
	{"short name twice", "has the name of", 0, func(m *image, _ *folder) { m.root.entry("other", "README  TXT", 0, 0, 0) }},
	{"label differs", "in the boot sector", 0, func(m *image, _ *folder) { m.root.entry("", "A LABEL    ", AttrVolumeID, 0, 0) }},
	{"label below root", "outside of the root", 0, func(m *image, sub *folder) { sub.entry("", "A LABEL    ", AttrVolumeID, 0, 0) }},
	{"after the end", "after the end", 0, func(m *image, sub *folder) { sub.n++; sub.entry("", "LATE       ", 0, 0, 0) }},
	{"bad date", "write date", 0, func(m *image, _ *folder) { binary.LittleEndian.PutUint16(m.p[m.root.off+24:], 44<<9|2<<5|30) }},
	{"no date", "no write date", 0, func(m *image, _ *folder) { clear(m.p[m.root.off+22:][:4]) }},
	{"hidden sectors", "hidden sectors", 0, func(m *image, _ *folder) { m.p[28] = 63 }},
	{"media byte", "media byte", 0, func(m *image, _ *folder) { m.p[21] = 0xF1 }},
	{"type text", "file system type", 16, func(m *image, _ *folder) { m.p[58] = '2' }},
	{"backup", "backup boot sector differs", 32, func(m *image, _ *folder) { m.p[6*512+200] = 1 }},
	{"FSInfo count", "free clusters, counted", 32, func(m *image, _ *folder) { m.p[512+488]++ }},
	{"FSInfo backup", "FSInfo at sector 7", 32, func(m *image, _ *folder) { m.p[7*512+488]++ }},
	{"FSInfo hint", "next free cluster", 32, func(m *image, _ *folder) { m.p[512+492] = 1; clear(m.p[512+493:][:3]) }},
	{"mirroring", "mirrored", 32, func(m *image, _ *folder) { m.p[40] = 0x81 }},
}

func TestFindsBrokenRules(t *testing.T) {
	eachType(t, func(t *testing.T, fatType int) {
		for _, b := range breakages {
			if b.only != 0 && b.only != fatType {
				continue
			}
			t.Run(b.name, func(t *testing.T) {
				m, sub := sample(fatType)
				b.do(m, sub)
				_, err := Read(bytes.NewReader(m.p), int64(len(m.p)), Options{})
				var p *Problems
				if !errors.As(err, &p) || !strings.Contains(err.Error(), b.problem) {
					t.Fatalf("got %v, want a problem with %q", err, b.problem)
				}
			})
		}
	})
}

// FuzzRead changes bytes of small disks: the reader must end, and a tree that
// it returns must be readable.
func FuzzRead(f *testing.F) {
	f.Add(uint8(12), []byte{0, 2, 0, 7})
	f.Add(uint8(16), []byte{0x28, 0, 0xFF, 0xFF, 0x0B, 0, 1, 0})
	f.Add(uint8(32), []byte{0x2C, 0, 9, 9})
	f.Fuzz(func(t *testing.T, kind uint8, edits []byte) {
		m, _ := sample([]int{12, 16, 32}[kind%3])
		meta := (m.reserved+2*m.fatSectors+m.rootSectors)*512 + 4096
		for ; len(edits) >= 4; edits = edits[4:] {
			m.p[int(binary.LittleEndian.Uint16(edits))*7%meta] = edits[2]
			m.p[int(binary.LittleEndian.Uint16(edits))%512] = edits[3]
		}
		tree, err := Read(bytes.NewReader(m.p), int64(len(m.p)), Options{})
		if tree == nil {
			if err == nil {
				t.Fatal("neither tree nor error")
			}
			return
		}
		for path, e := range tree.Entries {
			if !e.Dir {
				if _, rerr := tree.Bytes(path); rerr != nil && err == nil {
					t.Fatalf("%q: %v on a disk without problems", path, rerr)
				}
			}
		}
	})
}
