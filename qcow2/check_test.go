package qcow2

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/test/tools"
)

// checkFile runs Check on a file.
func checkFile(t testing.TB, path string) *Report {
	t.Helper()
	dev, err := file.Open(path, file.Options{ReadOnly: true})
	must(t, err)
	defer dev.Close()
	r, err := Check(t.Context(), dev)
	must(t, err)
	return r
}

// agreeWithQEMU fails the test unless qemu-img check and Check say the same.
func agreeWithQEMU(t testing.TB, path string) *Report {
	t.Helper()
	tools.Need(t, "qemu-img")
	r := checkFile(t, path)
	res := tools.Try(t, "qemu-img", "check", "-f", "qcow2", "--output=json", path)
	var theirs CheckJSON
	if err := json.Unmarshal([]byte(res.Stdout), &theirs); err != nil {
		t.Fatalf("%s: %v\n%s", res.Command, err, res.Stderr)
	}
	if ours := r.JSON(path); ours != theirs || r.ExitCode() != res.Code {
		t.Fatalf("ours   %+v exit %d\ntheirs %+v exit %d\n%v", ours, r.ExitCode(), theirs, res.Code, r.Findings)
	}
	return r
}

// damages are faults in the metadata of an image with clusters of 64 KiB, two
// refcounts of 16 bits, made by newDamaged.
var damages = []struct {
	name    string
	code    string
	sameAs  bool // qemu-img counts the same
	leaksOK bool // Repair with RepairLeaks is enough
	change  func(d *damaged)
}{
	{"leak", CodeLeak, true, true, func(d *damaged) { d.putRefcount(d.end()-2, 1) }},
	{"refcount-too-high", CodeLeak, false, false, func(d *damaged) { d.putRefcount(d.dataCluster(0), 2) }},
	{"refcount-zero", CodeRefcountLow, true, false, func(d *damaged) { d.putRefcount(d.dataCluster(0), 0) }},
	{"refcount-block-missing", CodeRefcountLow, false, false, func(d *damaged) { d.put(d.refTable, 0) }},
	{"refcount-block-misaligned", CodeMisaligned, false, false, func(d *damaged) { d.put(d.refTable, d.get(d.refTable)+512) }},
	{"refcount-block-outside", CodeOutside, false, false, func(d *damaged) { d.put(d.refTable, 1<<40) }},
	{"refcount-block-on-data", CodeOverlap, false, false, func(d *damaged) { d.put(d.refTable, uint64(d.dataCluster(0))<<16) }},
	{"copied-cleared", CodeCopiedFlag, true, false, func(d *damaged) { d.put(d.l2, d.get(d.l2)&^(1<<63)) }},
	{"l1-copied-cleared", CodeCopiedFlag, true, false, func(d *damaged) { d.put(d.l1, d.get(d.l1)&^(1<<63)) }},
	{"l2-misaligned", CodeMisaligned, false, false, func(d *damaged) { d.put(d.l2, d.get(d.l2)+512) }},
	{"l2-outside", CodeOutside, false, false, func(d *damaged) { d.put(d.l2, 1<<63|1<<40) }},
	{"l2-reserved", CodeReservedBits, false, false, func(d *damaged) { d.put(d.l2, d.get(d.l2)|1<<57) }},
	{"l2-on-l1", CodeOverlap, false, false, func(d *damaged) { d.put(d.l2, 1<<63|uint64(d.l1)) }},
	{"l2-on-header", CodeOverlap, false, false, func(d *damaged) { d.put(d.l2, d.get(d.l1)) }},
	{"l1-misaligned", CodeMisaligned, false, false, func(d *damaged) { d.put(d.l1, d.get(d.l1)+512) }},
	{"l1-outside", CodeOutside, false, false, func(d *damaged) { d.put(d.l1, 1<<63|1<<50) }},
	{"l1-reserved", CodeReservedBits, false, false, func(d *damaged) { d.put(d.l1, d.get(d.l1)|1) }},
	{"l1-self", CodeOverlap, false, false, func(d *damaged) { d.put(d.l1, 1<<63|uint64(d.l1)) }},
	{"dirty", CodeMarkedDirty, false, false, func(d *damaged) { d.p[79] |= 1 }},
	{"corrupt", CodeMarkedCorrupt, false, false, func(d *damaged) { d.p[79] |= 2 }},
}

// damaged is an image to be damaged: a disk of 8 MiB with data at its start.
type damaged struct {
	p                  []byte
	refTable, l1, l2   int64
	refcountBlockStart int64
}

func newDamaged(t testing.TB) *damaged {
	t.Helper()
	img, dev := newMemory(t, 8<<20, CreateOptions{}, Options{})
	_, err := img.WriteAt(slices.Repeat([]byte{7}, 300<<10), 0)
	must(t, err)
	must(t, img.finish())
	d := &damaged{p: make([]byte, dev.Size())}
	_, err = dev.ReadAt(d.p, 0)
	must(t, err)
	d.refTable, d.l1 = int64(d.get(48)), int64(d.get(40))
	d.l2 = int64(d.get(d.l1) &^ (1 << 63))
	d.refcountBlockStart = int64(d.get(d.refTable))
	return d
}

func (d *damaged) get(at int64) uint64       { return binary.BigEndian.Uint64(d.p[at:]) }
func (d *damaged) put(at int64, v uint64)    { binary.BigEndian.PutUint64(d.p[at:], v) }
func (d *damaged) end() int64                { return int64(len(d.p)) >> 16 }
func (d *damaged) dataCluster(i int64) int64 { return int64(d.get(d.l2+i*8)&^(1<<63)) >> 16 }
func (d *damaged) putRefcount(c int64, n uint16) {
	binary.BigEndian.PutUint16(d.p[d.refcountBlockStart+c*2:], n)
}

func TestCheckAndRepairDamage(t *testing.T) {
	for _, c := range damages {
		t.Run(c.name, func(t *testing.T) {
			d := newDamaged(t)
			if c.name == "leak" {
				d.p = append(d.p, make([]byte, 8<<16)...) // qemu-img looks at the file only
			}
			c.change(d)
			path := filepath.Join(t.TempDir(), "disk.qcow2")
			must(t, os.WriteFile(path, d.p, 0o600))
			r := checkFile(t, path)
			if c.sameAs {
				agreeWithQEMU(t, path)
			}
			if !slices.ContainsFunc(r.Findings, func(f diskerr.Finding) bool { return f.Code == c.code }) {
				t.Fatalf("no finding %q in %+v", c.code, r)
			}
			mode := RepairAll
			if c.leaksOK {
				mode = RepairLeaks
			}
			dev := mem.FromBytes(d.p)
			repaired, err := Repair(t.Context(), dev, mode)
			must(t, err)
			t.Logf("%+v", repaired)
			after, err := Check(t.Context(), dev)
			must(t, err)
			if after.Corruptions != 0 || after.Leaks != 0 || after.Overlaps != 0 {
				t.Fatalf("after the repair: %+v", after)
			}
			usable(t, dev)
		})
	}
}

// usable opens an image for writing, writes over all of it and reads it back.
func usable(t testing.TB, dev *mem.Device) {
	t.Helper()
	img, err := Open(dev, Options{})
	must(t, err)
	want := noise(rand.New(rand.NewPCG(1, 1)), img.Size())
	_, err = img.WriteAt(want, 0)
	must(t, err)
	sameContents(t, img, want)
	must(t, img.finish())
	r, err := Check(t.Context(), dev)
	must(t, err)
	if !r.Clean() {
		t.Fatalf("after writing: %+v", r)
	}
}

func TestOpenRefusesMarked(t *testing.T) {
	for bit := range 2 {
		d := newDamaged(t)
		d.p[79] |= 1 << bit
		if _, err := Open(mem.FromBytes(d.p), Options{}); !errors.Is(err, diskerr.ErrDirty) {
			t.Errorf("bit %d: %v", bit, err)
		}
		img, err := Open(mem.FromBytes(d.p), Options{ReadOnly: true})
		must(t, err)
		if _, err := img.WriteAt([]byte{1}, 0); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("bit %d: %v", bit, err)
		}
		must(t, img.Close())
	}
}
