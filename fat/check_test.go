package fat_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
)

// patient is a volume to be damaged.
type patient struct {
	t     testing.TB
	dev   *mem.Device
	info  fat.Info
	files map[string]string
}

// newPatient makes a volume with some files.
func newPatient(t testing.TB, typ int) *patient {
	size := map[int]int64{12: 1 << 20, 16: 9 << 20, 32: 34 << 20}[typ]
	p := &patient{t: t, files: map[string]string{}}
	p.dev = format(t, size, fat.FormatOptions{Type: typ, ClusterBytes: 512, Label: "patient"})
	v := mount(t, p.dev, fat.Options{WriteBack: -1, Now: fixed})
	for _, dir := range []string{"dir", "dir/sub", "other"} {
		if err := v.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"a", "b", "A long file name.txt", "dir/c", "dir/Another long name here", "dir/sub/deep", "other/x", "other/y"} {
		p.files[name] = text(name, 2000+700*i)
		if err := vfs.WriteFile(v, name, []byte(p.files[name]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if p.info, err = v.Info(); err == nil {
		err = v.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// put writes bytes into the volume.
func (p *patient) put(off int64, b ...byte) {
	if _, err := p.dev.WriteAt(b, off); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) get(off int64, n int) []byte {
	b := make([]byte, n)
	if err := block.ReadFull(p.dev, b, off); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// cluster returns where a cluster begins.
func (p *patient) cluster(c uint32) int64 {
	return p.info.DataOffset + int64(c-2)*int64(p.info.ClusterBytes)
}

// first returns the first cluster of a file.
func (p *patient) first(name string) uint32 {
	v, err := fat.Open(p.dev, fat.Options{ReadOnly: true})
	if err != nil {
		p.t.Fatal(err)
	}
	defer v.Close()
	fi, err := v.Stat(name)
	if err != nil {
		p.t.Fatal(err)
	}
	return fi.Sys().(*fat.Entry).FirstCluster
}

// chain sets FAT entries: pairs of a cluster and its value, in every FAT.
func (p *patient) chain(pairs ...uint32) {
	sector := int64(p.info.SectorBytes)
	for i := 0; i < len(pairs); i += 2 {
		for f := range p.info.FATs {
			fatOff := (int64(p.info.ReservedSectors) + int64(f)*int64(p.info.FATSectors)) * sector
			p.entry(fatOff, pairs[i], pairs[i+1])
		}
	}
}

// entry sets one FAT entry.
func (p *patient) entry(fatOff int64, c, v uint32) {
	switch p.info.Type {
	case 12:
		off := fatOff + int64(c) + int64(c)/2
		old := binary.LittleEndian.Uint16(p.get(off, 2))
		if c&1 == 0 {
			old = old&0xF000 | uint16(v&0xFFF)
		} else {
			old = old&0x000F | uint16(v&0xFFF)<<4
		}
		p.put(off, byte(old), byte(old>>8))
	case 16:
		p.put(fatOff+2*int64(c), byte(v), byte(v>>8))
	default:
		p.put(fatOff+4*int64(c), byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
}

// slot returns where the short entry is whose 11 bytes are name, below the
// directory at cluster dir (0 for the root).
func (p *patient) slot(dir uint32, name string) int64 {
	off := p.root()
	if dir != 0 {
		off = p.cluster(dir)
	}
	for i := range int64(16) {
		if string(p.get(off+32*i, 11)) == name {
			return off + 32*i
		}
	}
	p.t.Fatalf("there is no entry %q", name)
	return 0
}

func (p *patient) root() int64 {
	if p.info.Type == 32 {
		return p.cluster(p.info.RootCluster)
	}
	return (int64(p.info.ReservedSectors) + int64(p.info.FATs)*int64(p.info.FATSectors)) * int64(p.info.SectorBytes)
}

// damages are what can be wrong, with the code that must be found, and whether
// everything is still there after the repair.
var damages = []struct {
	name  string
	code  string
	types []int // nil for all
	whole bool
	do    func(p *patient)
}{
	{"chain loops", "chain-loop", nil, false, func(p *patient) { c := p.first("a"); p.chain(c+1, c) }},
	{"chain loops to itself", "chain-loop", nil, false, func(p *patient) { c := p.first("b"); p.chain(c+2, c+2) }},
	{"chains cross", "chain-shared", nil, false, func(p *patient) { p.chain(p.first("a"), p.first("b")+1) }},
	{"same start", "chain-shared", nil, false, func(p *patient) {
		c := p.first("b")
		p.put(p.slot(0, "A          ")+26, byte(c), byte(c>>8))
	}},
	{"file crosses a directory", "chain-shared", nil, false, func(p *patient) { p.chain(p.first("a"), p.first("dir/sub")) }},
	{"chain runs into free", "chain-free", nil, true, func(p *patient) { p.chain(p.first("a")+3, 0) }},
	{"chain runs into free in the middle", "chain-free", nil, false, func(p *patient) { p.chain(p.first("b")+2, 0) }},
	{"chain runs into bad", "chain-bad", nil, false, func(p *patient) {
		p.chain(p.first("a")+3, map[int]uint32{12: 0xFF7, 16: 0xFFF7, 32: 0xFFFFFF7}[p.info.Type])
	}},
	{"chain runs out of the volume", "chain-invalid", nil, false, func(p *patient) { p.chain(p.first("a")+1, p.info.Clusters+2) }},
	{"entry is 1", "chain-invalid", nil, false, func(p *patient) { p.chain(p.first("a")+1, 1) }},
	{"chain too short", "chain-too-short", nil, false, func(p *patient) { p.put(p.slot(0, "A          ")+30, 0x10) }},
	{"chain too long", "chain-too-long", nil, false, func(p *patient) { p.put(p.slot(0, "A          ")+28, 5, 0, 0, 0) }},
	{"empty with a chain", "chain-too-long", nil, false, func(p *patient) { p.put(p.slot(0, "A          ")+28, 0, 0, 0, 0) }},
	{"start beyond the volume", "file-start", nil, false, func(p *patient) {
		p.put(p.slot(0, "A          ")+26, 0xF0, 0xF0)
		p.put(p.slot(0, "A          ")+20, 0xF0, 0xF0)
	}},
	{"start is 1", "file-start", nil, false, func(p *patient) { p.put(p.slot(0, "A          ")+26, 1, 0) }},
	{"orphan", "orphan-chain", nil, false, func(p *patient) { p.put(p.slot(0, "A          "), 0xE5) }},
	{"orphan loop", "orphan-chain", nil, true, func(p *patient) { n := p.info.Clusters - 5; p.chain(n, n+1, n+1, n+2, n+2, n) }},
	{"orphans meet", "orphan-chain", nil, true, func(p *patient) {
		n := p.info.Clusters - 5
		p.chain(n, n+2, n+1, n+2, n+2, n+3, n+3, 0xFFFFFFF)
	}},
	{"orphan directory", "orphan-chain", nil, false, func(p *patient) { p.put(p.slot(0, "DIR        "), 0xE5) }},
	{"short name", "short-name", nil, false, func(p *patient) { p.put(p.slot(0, "A          ")+1, '*') }},
	{"short name with a control character", "short-name", nil, false, func(p *patient) { p.put(p.slot(0, "A          ")+1, 3) }},
	{"short name of a long one", "short-name", nil, false, func(p *patient) { p.put(p.slot(0, "ALONGF~1TXT")+1, '?') }},
	{"twins", "duplicate-name", nil, false, func(p *patient) { p.put(p.slot(0, "A          "), 'B') }},
	{"long-name piece lost", "long-name-orphan", nil, false, func(p *patient) { p.put(p.slot(0, "ALONGF~1TXT")-32, 0xE5) }},
	{"long-name checksum", "long-name-orphan", nil, false, func(p *patient) { p.put(p.slot(0, "ALONGF~1TXT")-32+13, 0x77) }},
	{"long name illegal", "long-name", nil, false, func(p *patient) { p.put(p.slot(0, "ALONGF~1TXT")-32+3, '?') }},
	{"long name with half a surrogate", "long-name", nil, false, func(p *patient) { p.put(p.slot(0, "ALONGF~1TXT")-32+3, 0, 0xD8) }},
	{"long name with a cluster", "long-name-cluster", nil, true, func(p *patient) { p.put(p.slot(0, "ALONGF~1TXT")-32+26, 5) }},
	{"directory with a size", "directory-size", nil, true, func(p *patient) { p.put(p.slot(0, "DIR        ")+28, 5) }},
	{"directory starts nowhere", "directory-start", nil, false, func(p *patient) { p.put(p.slot(0, "OTHER      ")+26, 0, 0) }},
	{"two entries for a directory", "directory-shared", nil, false, func(p *patient) {
		c := p.first("dir")
		p.put(p.slot(0, "OTHER      ")+26, byte(c), byte(c>>8))
	}},
	{"directory in itself", "directory-shared", nil, false, func(p *patient) {
		c := p.first("dir")
		p.put(p.slot(c, "SUB        ")+26, byte(c), byte(c>>8))
	}},
	{"file as directory", "not-a-directory", nil, false, func(p *patient) {
		p.put(p.slot(0, "A          ")+11, 0x10)
		p.put(p.slot(0, "A          ")+28, 0, 0, 0, 0)
	}},
	{"dot missing", "dot-missing", nil, true, func(p *patient) { p.put(p.cluster(p.first("dir")), 0xE5) }},
	{"dot dot overwritten", "dot-missing", nil, false, func(p *patient) { p.put(p.cluster(p.first("dir"))+32, 'Q', 'Q', 'Q') }},
	{"dot wrong", "dot-cluster", nil, true, func(p *patient) { p.put(p.cluster(p.first("dir"))+26, 9) }},
	{"dot dot wrong", "dot-cluster", nil, true, func(p *patient) { p.put(p.cluster(p.first("dir/sub"))+32+26, 9) }},
	{"dot dot of the root's child", "dot-cluster", nil, true, func(p *patient) { p.put(p.cluster(p.first("dir"))+32+26, 2) }},
	{"dot is a file", "dot-entry", nil, true, func(p *patient) { p.put(p.cluster(p.first("dir"))+11, 0x20) }},
	{"dot in the root", "dot-misplaced", nil, false, func(p *patient) { p.put(p.slot(0, "A          "), '.') }},
	{"label in a directory", "label-misplaced", nil, false, func(p *patient) { p.put(p.slot(p.first("dir"), "C          ")+11, 8) }},
	{"two labels", "label-twice", nil, false, func(p *patient) { p.put(p.slot(0, "A          ")+11, 8) }},
	{"label illegal", "label", nil, true, func(p *patient) { p.put(p.slot(0, "PATIENT    "), 'p') }},
	{"labels differ", "label-differs", nil, true, func(p *patient) { p.put(p.slot(0, "PATIENT    "), 'X') }},
	{"label in the boot sector only", "label-differs", nil, true, func(p *patient) { p.put(p.slot(0, "PATIENT    "), 0xE5) }},
	{"FATs differ", "fats-differ", nil, true, func(p *patient) {
		p.entry((int64(p.info.ReservedSectors)+int64(p.info.FATSectors))*int64(p.info.SectorBytes), p.first("a"), 0)
	}},
	{"first FAT damaged", "fats-differ", nil, true, func(p *patient) {
		p.put(int64(p.info.ReservedSectors)*int64(p.info.SectorBytes), slices.Repeat([]byte{0xF3, 0x3F}, 40)...)
	}},
	{"media in the FAT", "fat-first-entries", nil, true, func(p *patient) { p.chain(0, 0xFFFFF0F) }},
	{"dirty bit", "dirty", nil, true, func(p *patient) { p.put(map[bool]int64{false: 37, true: 65}[p.info.Type == 32], 1) }},
	{"dirty flag in the FAT", "dirty", []int{16, 32}, true, func(p *patient) { p.chain(1, 0x07FF7FFF) }},
	{"error bit", "disk-error", nil, true, func(p *patient) { p.put(map[bool]int64{false: 37, true: 65}[p.info.Type == 32], 2) }},
	{"backup differs", "backup-boot", []int{32}, true, func(p *patient) { p.put(6*512+100, 0xAA) }},
	{"boot sector gone", "boot-sector", []int{32}, true, func(p *patient) { p.put(0, make([]byte, 512)...) }},
	{"boot sectors gone", "boot-sector", nil, true, func(p *patient) {
		p.put(0, make([]byte, 512)...)
		if p.info.Type == 32 {
			p.put(6*512, make([]byte, 512)...)
		}
	}},
	{"FSInfo in the backup", "fsinfo-place", []int{32}, true, func(p *patient) { p.put(48, 6, 0) }},
	{"FSInfo damaged", "fsinfo", []int{32}, true, func(p *patient) { p.put(512, 'x') }},
	{"free count", "free-count", []int{32}, true, func(p *patient) { p.put(512+488, 7, 0) }},
	{"signature", "boot-signature", nil, true, func(p *patient) { p.put(510, 0, 0) }},
	{"garbage in a directory", "short-name", nil, false, func(p *patient) {
		p.put(p.slot(0, "A          "), []byte("\x01\x02\x03?*<>|\"+,\x00")...)
	}},
}

// repair checks without and with repair, which must find the same, and then
// nothing more.
func (p *patient) repair() *fat.CheckResult {
	ctx := context.Background()
	before := image(p.t, p.dev)
	dry, err := fat.Check(ctx, p.dev, fat.CheckOptions{Now: fixed})
	if err != nil {
		p.t.Fatal(err)
	}
	if string(before) != string(image(p.t, p.dev)) {
		p.t.Fatal("a check without repair changed the volume")
	}
	r, err := fat.Check(ctx, p.dev, fat.CheckOptions{Repair: true, Now: fixed})
	if err != nil {
		p.t.Fatal(err)
	}
	if findings(dry) != findings(r) {
		p.t.Fatalf("without repair:\n%swith repair:\n%s", findings(dry), findings(r))
	}
	again, err := fat.Check(ctx, p.dev, fat.CheckOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	if !again.Clean() {
		p.t.Fatalf("found at first:\n%safter the repair:\n%s", findings(r), findings(again))
	}
	return r
}

// intact counts the files that have kept name and content.
func (p *patient) intact() int {
	v, err := fat.Open(p.dev, fat.Options{ReadOnly: true})
	if err != nil {
		p.t.Fatal(err)
	}
	defer v.Close()
	n := 0
	for name, want := range p.files {
		if got, err := fs.ReadFile(v, name); err == nil && string(got) == want {
			n++
		}
	}
	return n
}

func TestCheckRepairs(t *testing.T) {
	for i, d := range damages {
		types := []int{12, 16, 32}
		if testing.Short() && d.types == nil {
			types = types[i%3:][:1]
		}
		for _, typ := range types {
			if d.types != nil && !slices.Contains(d.types, typ) {
				continue
			}
			t.Run(fmt.Sprintf("%s/fat%d", d.name, typ), func(t *testing.T) {
				p := newPatient(t, typ)
				d.do(p)
				r := p.repair()
				if !strings.Contains(findings(r), " "+d.code+" ") {
					t.Fatalf("%s was not found:\n%s", d.code, findings(r))
				}
				if n := p.intact(); d.whole && n != len(p.files) || n < len(p.files)-3 {
					t.Fatalf("%d of %d files are intact:\n%s", n, len(p.files), findings(r))
				}
				fsck(t, p.dev)
			})
		}
	}
}

// TestCheckLosesNothing looks for the content of files whose entry is lost.
func TestCheckLosesNothing(t *testing.T) {
	p := newPatient(t, 16)
	p.put(p.slot(0, "A          "), 0xE5)
	p.put(p.slot(0, "DIR        "), 0xE5)
	p.repair()
	v := mount(t, p.dev, fat.Options{ReadOnly: true})
	for name, want := range map[string]string{"FOUND.000/DIR00000.CHK/sub/deep": "dir/sub/deep", "FOUND.000/DIR00000.CHK/c": "dir/c"} {
		if got, err := fs.ReadFile(v, name); err != nil || string(got) != p.files[want] {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	got, err := fs.ReadFile(v, "FOUND.000/FILE0001.CHK")
	if err != nil || !strings.HasPrefix(string(got), p.files["a"]) {
		t.Errorf("the lost file: %d bytes, %v", len(got), err)
	}
}

func TestCheckFreesOrphans(t *testing.T) {
	p := newPatient(t, 32)
	p.put(p.slot(0, "A          "), 0xE5)
	r, err := fat.Check(t.Context(), p.dev, fat.CheckOptions{Repair: true, FreeOrphans: true})
	if err != nil || !strings.Contains(findings(r), "[free it]") {
		t.Fatalf("%v\n%s", err, findings(r))
	}
	fsck(t, p.dev)
	v := mount(t, p.dev, fat.Options{ReadOnly: true})
	if _, err := v.Stat("FOUND.000"); err == nil {
		t.Fatal("something was saved")
	}
}

// TestFsckFinds damages volumes at random: whatever fsck.fat finds, we find;
// after our repair it finds nothing; after its repair we find nothing of what
// it repairs.
func TestFsckFinds(t *testing.T) {
	prog := tool(t, "fsck.fat")
	seeds := 150
	if testing.Short() {
		seeds = 20
	}
	if os.Getenv("FATKIT_LONG") != "" {
		seeds = 5000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { // what a seed has made goes with it
			p := newPatient(t, []int{12, 16, 32}[seed%3])
			mutate(p, int64(seed))
			path := save(t, p.dev)
			theirs, code := exec.Command(prog, "-n", "-v", path).CombinedOutput()
			r, err := fat.Check(t.Context(), p.dev, fat.CheckOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if code != nil && r.Clean() {
				t.Errorf("fsck.fat finds something, we do not:\n%s", theirs)
			}
			p.repair()
			fsck(t, p.dev)
			if code != nil {
				afterFsck(t, prog, path, wholly)
			}
		})
	}
}

// mutate damages the metadata of a volume.
func mutate(p *patient, seed int64) {
	x := uint64(seed)*0x9E3779B97F4A7C15 + 1
	next := func(n int64) int64 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		return int64(x % uint64(n))
	}
	for range 1 + next(3) {
		switch next(4) {
		case 0:
			p.chain(uint32(2+next(60)), uint32(next(70)))
		case 1:
			p.put(p.root()+32+next(15*32), byte(next(256)))
		case 2:
			p.put(p.cluster(p.first2("dir"))+next(8*32), byte(next(256)))
		default:
			// Not the label: fsck.fat takes it to be in another code page.
			p.put(p.root()+32*(1+next(14))+next(31), byte(next(256)), byte(next(256)))
		}
	}
}

// first2 is first for a volume that may be damaged.
func (p *patient) first2(name string) uint32 {
	v, err := fat.Open(p.dev, fat.Options{ReadOnly: true})
	if err != nil {
		return 2
	}
	defer v.Close()
	fi, err := v.Stat(name)
	if err != nil {
		return 2
	}
	if c := fi.Sys().(*fat.Entry).FirstCluster; c >= 2 && c < p.info.Clusters {
		return c
	}
	return 2
}

// repairedByFsck are the codes of what fsck.fat -a repairs for good. It leaves
// alone, or does not know, what only our checker finds.
var repairedByFsck = []string{"chain-loop", "chain-free", "chain-invalid", "chain-too-short", "chain-too-long",
	"file-start", "short-name", "dirty", "free-count", "fats-differ", "long-name-cluster", "directory-size", "dot-entry"}

// wholly are those of them where fsck.fat looks for all that we look for. Of
// short names and dot entries it lets pass some that we do not, such as a name
// with a space within it.
var wholly = slices.DeleteFunc(slices.Clone(repairedByFsck), func(code string) bool {
	return code == "short-name" || code == "dot-entry"
})

// TestAfterFsck has fsck.fat repair, and finds nothing of what it repairs.
func TestAfterFsck(t *testing.T) {
	prog := tool(t, "fsck.fat")
	for _, d := range damages {
		if !slices.Contains(repairedByFsck, d.code) {
			continue
		}
		for _, typ := range []int{12, 16, 32} {
			if d.types != nil && !slices.Contains(d.types, typ) {
				continue
			}
			t.Run(fmt.Sprintf("%s/fat%d", d.name, typ), func(t *testing.T) {
				p := newPatient(t, typ)
				d.do(p)
				afterFsck(t, prog, save(t, p.dev), repairedByFsck)
			})
		}
	}
}

// afterFsck has fsck.fat repair what it can of the volume at path, and fails
// the test if we then find something of the kinds codes.
func afterFsck(t *testing.T, prog, path string, codes []string) {
	t.Helper()
	out, err := exec.Command(prog, "-a", "-w", path).CombinedOutput()
	if code := exec.Command(prog, "-n", path).Run(); code != nil {
		return // it does not repair this without being asked
	}
	raw, rerr := os.ReadFile(path)
	if rerr != nil {
		t.Fatal(rerr)
	}
	r, cerr := fat.Check(t.Context(), mem.FromBytes(raw), fat.CheckOptions{})
	if cerr != nil {
		t.Fatal(cerr)
	}
	for _, f := range r.Findings {
		if slices.Contains(codes, f.Code) {
			t.Errorf("after fsck.fat -a (%v):\n%s\n%s", err, findings(r), out)
			return
		}
	}
}
