package fat_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
)

// TestFormatMatrix formats over the options, and asks fsck.fat and mdir.
func TestFormatMatrix(t *testing.T) {
	mdir := tool(t, "mdir")
	bad := []int64{2 << 20, 2<<20 + 1, 3 << 20}
	for _, size := range []int64{3 << 20, 33 << 20, 600 << 20} {
		for _, o := range []fat.FormatOptions{
			{}, {Type: 12}, {Type: 16}, {Type: 32}, {SectorBytes: 1024}, {SectorBytes: 4096},
			{FATs: 1}, {FATs: 3}, {ClusterBytes: 16 << 10}, {RootEntries: 1024}, {AlignBytes: 1 << 20},
			{Media: 0xF0}, {Label: "my disk"}, {OEM: "fatkit"}, {ReservedSectors: 64}, {HiddenSectors: -1},
			{BootMessage: "Nothing here."}, {BootCode: bytes.Repeat([]byte{0x90}, 420)}, {BackupSector: -1},
			{BackupSector: 12}, {DriveNumber: 0x81}, {BadBytes: bad}, {SectorsPerTrack: 32, Heads: 64},
		} {
			t.Run(describe(size, o), func(t *testing.T) {
				o.Now = fixed
				dev := mem.New(size)
				info, err := fat.Format(dev, o)
				if err != nil {
					if !refusable(size, &o) {
						t.Fatal(err)
					}
					return
				}
				if o.Type != 0 && info.Type != o.Type {
					t.Fatalf("made FAT%d", info.Type)
				}
				path := save(t, dev)
				if o.BackupSector >= 0 { // fsck.fat wants to make one
					fsckFile(t, path)
				}
				if out, err := exec.Command(mdir, "-i", path, "::/").CombinedOutput(); err != nil {
					t.Fatalf("mdir: %v\n%s", err, out)
				} else if o.Label != "" && !strings.Contains(string(out), strings.ToUpper(o.Label)) {
					t.Fatalf("mdir does not show the label:\n%s", out)
				}
			})
		}
	}
}

// refusable reports whether no volume can be made as asked.
func refusable(size int64, o *fat.FormatOptions) bool {
	switch {
	case o.Type == 12:
		return size > 300<<20
	case o.Type == 16:
		return size < 8<<20
	case o.Type == 32:
		return size < 35<<20
	case o.RootEntries != 0 && size > 512<<20: // it is FAT32
		return true
	case o.BackupSector > 0 && size < 512<<20: // it is not
		return true
	case o.BackupSector != 0 || o.ReservedSectors != 0 || len(o.BadBytes) != 0:
		return size < 4<<20 // no backup on FAT12, or the bad bytes are its tables
	}
	return false
}

func describe(size int64, o fat.FormatOptions) string {
	s := fmt.Sprintf("%dM %+v", size>>20, o)
	for _, zero := range []string{":0 ", ": ", ":<nil> ", ":[] ", ":false "} {
		parts := strings.Fields(s)
		kept := parts[:0]
		for _, p := range parts {
			if !strings.HasSuffix(p, strings.TrimSpace(zero)) || strings.TrimSpace(zero) == ":0" && !strings.HasSuffix(p, ":0") {
				kept = append(kept, p)
			}
		}
		s = strings.Join(kept, " ")
	}
	return s[:min(len(s), 80)]
}

func TestFormatFloppies(t *testing.T) {
	for _, kib := range []int{160, 180, 320, 360, 720, 1200, 1440, 2880} {
		dev := mem.New(int64(kib) << 10)
		if _, err := fat.Format(dev, fat.FormatOptions{FloppyKiB: kib}); err != nil {
			t.Fatal(kib, err)
		}
		fsck(t, dev)
	}
}

func TestFormatTables(t *testing.T) {
	for _, table := range []fat.TableKind{fat.MBR, fat.GPT, fat.GPTSystem} {
		dev := mem.New(64 << 20)
		o := fat.FormatOptions{Table: table, Active: table == fat.MBR, Label: "part", Now: fixed}
		info, err := fat.Format(dev, o)
		if err != nil {
			t.Fatal(err)
		}
		name, args := "sfdisk", []string{"--verify"}
		if table != fat.MBR {
			name, args = "sgdisk", []string{"-v"}
		}
		path := save(t, dev)
		out, err := exec.Command(tool(t, name), append(args, path)...).CombinedOutput()
		if err != nil || strings.Contains(string(out), "roblem:") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		part, err := block.NewSection(dev, 1<<20, int64(info.TotalSectors)*512, block.SectionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fsck(t, part)
		again := mem.New(64 << 20)
		if _, err := fat.Format(again, o); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(image(t, dev), image(t, again)) {
			t.Error("formatting twice gives two results")
		}
	}
}

func TestFormatRefuses(t *testing.T) {
	for name, o := range map[string]fat.FormatOptions{
		"type":    {Type: 13},
		"label":   {Label: "much too long a label"},
		"code":    {BootCode: make([]byte, 500)},
		"oem":     {OEM: "much too long"},
		"offset":  {Offset: 100},
		"size":    {Size: 1 << 30},
		"floppy":  {FloppyKiB: 1000},
		"bad":     {BadBytes: []int64{0}},
		"cluster": {ClusterBytes: 1000},
		"page":    {CodePage: 1},
		"backup":  {Type: 32, ClusterBytes: 512, BackupSector: 1},

		"no backup boot sector":    {Type: 16, BackupSector: 6},
		"no fixed root directory":  {Type: 32, ClusterBytes: 512, RootEntries: 512},
		"no MBR":                   {Active: true},
		"no GPT":                   {Table: fat.MBR, TableSeed: "x"},
		"a floppy of another type": {FloppyKiB: 1440, Type: 16},
		"a floppy with clusters":   {FloppyKiB: 1440, ClusterBytes: 1024},
	} {
		dev := mem.New(64 << 20)
		if _, err := fat.Format(dev, o); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !bytes.Equal(image(t, dev), make([]byte, 64<<20)) {
			t.Errorf("%s: something was written", name)
		}
	}
	if _, err := fat.Format(block.ReadOnly(mem.New(1<<20)), fat.FormatOptions{}); err == nil {
		t.Error("a read-only device was formatted")
	}
}
