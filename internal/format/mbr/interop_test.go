package mbr

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// dump is what sfdisk says of a disk.
type dump struct {
	PartitionTable struct {
		Label, ID  string
		Partitions []struct {
			Start, Size uint64
			Type        string
			Bootable    bool
		}
	}
}

func sfdisk(t *testing.T, image string) dump {
	t.Helper()
	var d dump
	if err := json.Unmarshal([]byte(tools.Run(t, "sfdisk", "--json", image)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// sparse makes a file of so many sectors with table at its start.
func sparse(t *testing.T, sectors int64, table []byte) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, table, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, sectors*512); err != nil {
		t.Fatal(err)
	}
	return image
}

func TestSfdiskReadsWhatWeWrite(t *testing.T) {
	tools.Need(t, "sfdisk")
	const sectors = 1 << 22
	g := AssistedGeometry(sectors)
	tab := &Table{Signature: 0xDEADBEEF}
	tab.Partitions[0] = g.NewPartition(TypeFAT32LBA, true, 2048, 1<<20)
	tab.Partitions[2] = g.NewPartition(TypeFAT16, false, 2048+1<<20, 1<<20)
	if err := tab.Validate(sectors); err != nil {
		t.Fatal(err)
	}
	image := sparse(t, sectors, encodeOf(tab))
	d := sfdisk(t, image).PartitionTable
	if d.Label != "dos" || d.ID != "0xdeadbeef" || len(d.Partitions) != 2 {
		t.Fatalf("%+v", d)
	}
	p, q := d.Partitions[0], d.Partitions[1]
	if p.Start != 2048 || p.Size != 1<<20 || p.Type != "c" || !p.Bootable || q.Start != 2048+1<<20 || q.Size != 1<<20 || q.Type != "6" || q.Bootable {
		t.Errorf("%+v", d)
	}
	r := tools.Try(t, "sfdisk", "--verify", image)
	if said := r.Stdout + r.Stderr; r.Code != 0 || !strings.Contains(said, "No errors detected") {
		t.Errorf("sfdisk --verify: exit code %d\n%s", r.Code, said)
	}
}

func TestReadsWhatSfdiskWrites(t *testing.T) {
	tools.Need(t, "sfdisk")
	const sectors = 1 << 20
	image := sparse(t, sectors, nil)
	script := filepath.Join(t.TempDir(), "script")
	lines := "label: dos\nlabel-id: 0x12345678\n" +
		"start=2048, size=10000, type=6, bootable\nstart=20480, size=500000, type=5\n" +
		"start=22528, size=1000, type=1\nstart=30720, size=2000, type=b\nstart=40960, size=3000, type=e\n"
	if err := os.WriteFile(script, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	tools.Run(t, "sh", "-c", `PATH=$PATH:/usr/sbin:/sbin; sfdisk --no-reread --no-tell-kernel "$1" < "$2"`, "sh", image, script)
	disk, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := Decode(disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := tab.Validate(sectors); err != nil {
		t.Fatal(err)
	}
	p, g := tab.Partitions[0], AssistedGeometry(sectors)
	if tab.Signature != 0x12345678 || !p.Active || p.Type != TypeFAT16 || p.FirstLBA != 2048 || p.Sectors != 10000 {
		t.Errorf("%+v", tab)
	}
	if want := (Geometry{255, 63}).NewPartition(TypeFAT16, true, 2048, 10000); p != want {
		t.Errorf("CHS: sfdisk has %+v, we with its 255 heads %+v; a BIOS has %+v", p, want, g)
	}
	ext, ok := tab.Extended()
	if !ok {
		t.Fatal("no extended partition")
	}
	w := NewLogicalWalk(ext)
	for {
		lba, ok := w.Next()
		if !ok {
			break
		}
		if err := w.Add(disk[lba*512 : lba*512+512]); err != nil {
			t.Fatal(err)
		}
	}
	want := []struct{ first, sectors uint32 }{{22528, 1000}, {30720, 2000}, {40960, 3000}}
	if len(w.Partitions) != len(want) {
		t.Fatalf("%+v", w.Partitions)
	}
	for i, p := range w.Partitions {
		if p.FirstLBA != want[i].first || p.Sectors != want[i].sectors {
			t.Errorf("logical partition %d is %+v", i+1, p)
		}
	}
}
