package stack

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/gpt"
	"github.com/fatkit/fatkit/internal/format/mbr"
)

const testDisk = 4 << 20

// diskWith returns a disk full of 5Ah bytes, but for what is put on it.
func diskWith(t testing.TB, at map[int64][]byte) *mem.Device {
	t.Helper()
	d := mem.New(testDisk)
	if _, err := d.WriteAt(bytes.Repeat([]byte{0x5A}, testDisk), 0); err != nil {
		t.Fatal(err)
	}
	for off, p := range at {
		if _, err := d.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func mbrSector(parts ...mbr.Partition) []byte {
	p := bytes.Repeat([]byte{0x5A}, mbr.Bytes)
	t := &mbr.Table{}
	copy(t.Partitions[:], parts)
	t.Encode(p)
	return p
}

// An MBR with two primary partitions and a chain of two logical ones, in
// sectors of 512 and of 2048 bytes.
func TestFindPartitionMBR(t *testing.T) {
	for _, sector := range []int{512, 2048} {
		unit := int64(sector)
		d := diskWith(t, map[int64][]byte{
			0: mbrSector(
				mbr.Partition{Type: mbr.TypeFAT16, FirstLBA: 8, Sectors: 100},
				mbr.Partition{Type: mbr.TypeExtended, FirstLBA: 200, Sectors: 400}, mbr.Partition{},
				mbr.Partition{Type: mbr.TypeFAT32LBA, FirstLBA: 700, Sectors: 50}),
			200 * unit: mbrSector(mbr.Partition{Type: mbr.TypeFAT16, FirstLBA: 10, Sectors: 90},
				mbr.Partition{Type: mbr.TypeExtended, FirstLBA: 150, Sectors: 100}),
			350 * unit: mbrSector(mbr.Partition{Type: mbr.TypeFAT12, FirstLBA: 1, Sectors: 60}),
		})
		for number, want := range map[int][2]int64{1: {8, 100}, 4: {700, 50}, 5: {210, 90}, 6: {351, 60}} {
			p, err := FindPartition(d, number, sector)
			if err != nil || p.OffsetBytes != want[0]*unit || p.LenBytes != want[1]*unit || p.Table != "mbr" {
				t.Errorf("sectors of %d: partition %d is %+v, %v", sector, number, p, err)
			}
		}
		for _, number := range []int{2, 3, 7, 1 << 30} {
			if p, err := FindPartition(d, number, sector); err == nil || !strings.Contains(err.Error(), "(MBR) has 1, 4, 5, 6") {
				t.Errorf("sectors of %d: partition %d is %+v, %v", sector, number, p, err)
			}
		}
	}
}

func gptDisk(t testing.TB, sector int) (d *mem.Device, primary, backup int64) {
	sectors := uint64(testDisk / sector)
	table, err := gpt.New(sector, sectors, gpt.GUID{1})
	if err != nil {
		t.Fatal(err)
	}
	table.Partitions = []gpt.Partition{{}, {Type: gpt.TypeBasicData, GUID: gpt.GUID{2}, FirstLBA: 100, LastLBA: 199}}
	first := make([]byte, int(table.CopySectors())*sector)
	second := make([]byte, len(first))
	table.EncodePrimary(first)
	table.EncodeBackup(second)
	zero := make([]byte, mbr.Bytes)
	mbr.NewProtective(sectors).Encode(zero)
	backup = int64(table.BackupLBA()) * int64(sector)
	return diskWith(t, map[int64][]byte{0: zero, int64(sector): first, backup: second}), int64(sector), testDisk - int64(sector)
}

// A GPT is found at any sector size, and its second copy where the first is
// damaged.
func TestFindPartitionGPT(t *testing.T) {
	for sector := 512; sector <= 4096; sector *= 2 {
		d, primary, backup := gptDisk(t, sector)
		find := func(warning string) {
			t.Helper()
			p, err := FindPartition(d, 2, 0)
			if err != nil || p.OffsetBytes != 100*int64(sector) || p.LenBytes != 100*int64(sector) || p.Table != "gpt" {
				t.Errorf("sectors of %d: %+v, %v", sector, p, err)
			}
			if (p.Warning == "") != (warning == "") || !strings.Contains(p.Warning, warning) {
				t.Errorf("sectors of %d: warning %q, want %q", sector, p.Warning, warning)
			}
		}
		find("")
		if _, err := FindPartition(d, 1, 0); err == nil || !strings.Contains(err.Error(), "(GPT) has 2") {
			t.Errorf("partition 1: %v", err)
		}
		d.WriteAt([]byte{0xFF}, primary+56) // the GUID of the disk: its checksum fails
		find("HeaderCRC32")
		d.WriteAt([]byte{0xFF}, backup)
		if _, err := FindPartition(d, 2, 0); !errors.Is(err, diskerr.ErrCorrupt) || !strings.Contains(err.Error(), "second copy") {
			t.Errorf("both copies damaged: %v", err)
		}
	}
}

// What is no table is said.
func TestFindPartitionErrors(t *testing.T) {
	loop := mbr.Partition{Type: mbr.TypeExtended, FirstLBA: 0, Sectors: 10}
	for name, c := range map[string]struct {
		disk *mem.Device
		want string
	}{
		"no table": {diskWith(t, nil), "no partition table"},
		"tiny":     {mem.New(100), "ends before byte 512"},
		"empty":    {diskWith(t, map[int64][]byte{0: mbrSector()}), "the partition table is empty"},
		"outside":  {diskWith(t, map[int64][]byte{0: mbrSector(mbr.Partition{Type: 6, FirstLBA: 8, Sectors: 1 << 20})}), "makes the partition end"},
		"loop": {diskWith(t, map[int64][]byte{0: mbrSector(mbr.Partition{Type: mbr.TypeExtended, FirstLBA: 100, Sectors: 100}),
			100 * 512: mbrSector(mbr.Partition{}, loop)}), "must lead to another record"},
		"bad record":             {diskWith(t, map[int64][]byte{0: mbrSector(mbr.Partition{Type: mbr.TypeExtended, FirstLBA: 100, Sectors: 100})}), "extended boot record"},
		"protective without GPT": {diskWith(t, map[int64][]byte{0: mbrSector(mbr.Partition{Type: mbr.TypeProtective, FirstLBA: 1, Sectors: 100})}), "EFI PART"},
	} {
		if p, err := FindPartition(c.disk, 1, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, p, err, c.want)
		}
	}
}

// FuzzFindPartition checks that every partition that is found lies on the disk,
// whatever is on it.
func FuzzFindPartition(f *testing.F) {
	d, _, _ := gptDisk(f, 512)
	table := make([]byte, 64<<10)
	d.ReadAt(table, 0)
	f.Add(table, 2, 512)
	f.Add(append(mbrSector(mbr.Partition{Type: mbr.TypeExtended, FirstLBA: 1, Sectors: 3}),
		mbrSector(mbr.Partition{Type: 6, FirstLBA: 1, Sectors: 1})...), 5, 512)
	f.Add(mbrSector(mbr.Partition{Type: 6, FirstLBA: 1, Sectors: 1}), 1, 4096)
	f.Fuzz(func(t *testing.T, disk []byte, number, sector int) {
		if sector != 512 && sector != 1024 && sector != 2048 && sector != 4096 {
			return
		}
		dev := mem.New(int64(len(disk)))
		if _, err := dev.WriteAt(disk, 0); err != nil {
			t.Fatal(err)
		}
		p, err := FindPartition(dev, number, sector)
		if err != nil {
			return
		}
		if p.Number != number || p.OffsetBytes <= 0 || p.LenBytes <= 0 || p.OffsetBytes > dev.Size()-p.LenBytes {
			t.Fatalf("%+v on a disk of %d bytes", p, dev.Size())
		}
	})
}
