package gpt

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// writeDisk writes both copies of a table, and the protective MBR, to a sparse
// file. The MBR is spelled out here: this package does not make it.
func writeDisk(t *testing.T, tab *Table) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(tab.DiskSectors) * int64(tab.SectorBytes)); err != nil {
		t.Fatal(err)
	}
	put := func(p []byte, lba uint64) {
		if _, err := f.WriteAt(p, int64(lba)*int64(tab.SectorBytes)); err != nil {
			t.Fatal(err)
		}
	}
	n := uint32(tab.DiskSectors - 1)
	protective := make([]byte, 512)
	copy(protective[446:], []byte{0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	copy(protective[510:], "\x55\xAA")
	primary, backup := encode(tab)
	put(protective, 0)
	put(primary, PrimaryLBA)
	put(backup, tab.BackupLBA())
	return image
}

func TestSgdiskAcceptsWhatWeWrite(t *testing.T) {
	tools.Need(t, "sgdisk", "sfdisk")
	tab := sample(t, 512)
	image := writeDisk(t, tab)
	if out := tools.Run(t, "sgdisk", "-v", image); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v:\n%s", out)
	}
	out := tools.Run(t, "sgdisk", "-i", "1", image)
	for _, want := range []string{TypeEFISystem.String(), tab.Partitions[0].GUID.String(), "First sector: 2048", "Last sector: 4095",
		"Attribute flags: 0000000000000001"} {
		if !strings.Contains(out, want) {
			t.Errorf("sgdisk -i 1 does not say %q:\n%s", want, out)
		}
	}
	if out := tools.Run(t, "sfdisk", "--json", image); !strings.Contains(out, `"name": "EFI 💾"`) {
		t.Errorf("sfdisk --json:\n%s", out)
	}
	r := tools.Try(t, "sfdisk", "--verify", image)
	if said := r.Stdout + r.Stderr; r.Code != 0 || !strings.Contains(said, "No errors detected") {
		t.Errorf("sfdisk --verify: exit code %d\n%s", r.Code, said)
	}
}

// fdisk takes the size of sectors as an option, sgdisk and this sfdisk know 512
// only.
func TestFdiskReadsLargeSectors(t *testing.T) {
	tools.Need(t, "fdisk")
	for _, sector := range []int{1024, 2048, 4096} {
		tab := sample(t, sector)
		image := writeDisk(t, tab)
		r := tools.Try(t, "fdisk", "-b", strconv.Itoa(sector), "-l", "-o", "Start,End,UUID", image)
		said := r.Stdout + r.Stderr
		if r.Code != 0 || !strings.Contains(said, "Disklabel type: gpt") || strings.Contains(said, "corrupt") || strings.Contains(said, "mismatch") {
			t.Errorf("%d: exit code %d\n%s", sector, r.Code, said)
		}
		for _, p := range tab.Partitions {
			if line := fmt.Sprintf(`(?m)^ *%d +%d +%v$`, p.FirstLBA, p.LastLBA, p.GUID); p.Used() && !regexp.MustCompile(line).MatchString(said) {
				t.Errorf("%d: fdisk does not list %+v:\n%s", sector, p, said)
			}
		}
	}
}

func TestReadsWhatSgdiskWrites(t *testing.T) {
	tools.Need(t, "sgdisk")
	image := filepath.Join(t.TempDir(), "disk")
	const sectors = 1 << 18
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, sectors*512); err != nil {
		t.Fatal(err)
	}
	tools.Run(t, "sgdisk", "-n", "1:2048:4095", "-t", "1:EF00", "-c", "1:System é", "-n", "3:8192:+1000", "-t", "3:0700",
		"-U", "01234567-89AB-4DEF-8123-456789ABCDEF", "-A", "3:set:60", image)
	disk, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, lba := range []uint64{PrimaryLBA, sectors - 1} {
		h, err := DecodeHeader(disk[lba*512:lba*512+512], lba, sectors)
		if err != nil {
			t.Fatal(err)
		}
		tab, err := h.DecodeEntries(disk[h.EntriesLBA*512:][:h.EntriesBytes()], sectors)
		if err != nil {
			t.Fatal(err)
		}
		if tab.DiskGUID.String() != "01234567-89AB-4DEF-8123-456789ABCDEF" || len(tab.Partitions) != 3 || tab.Partitions[1].Used() {
			t.Fatalf("%+v", tab)
		}
		p, q := tab.Partitions[0], tab.Partitions[2]
		if p.Type != TypeEFISystem || p.FirstLBA != 2048 || p.LastLBA != 4095 || p.Name != "System é" {
			t.Errorf("partition 1: %+v", p)
		}
		if q.Type != TypeBasicData || q.FirstLBA != 8192 || q.LastLBA != 9191 || q.Attributes != AttrReadOnly {
			t.Errorf("partition 3: %+v", q)
		}
	}
}
