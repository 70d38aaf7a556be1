package fat_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
)

// exercise reads and changes a volume, closes it, and looks at it again.
func (p *patient) exercise() {
	p.t.Helper()
	v, err := fat.Open(p.dev, fat.Options{WriteBack: -1})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { v.Close() })
	if n := p.intact(); n != len(p.files) {
		p.t.Fatalf("%d of %d files are there", n, len(p.files))
	}
	for i := range 30 {
		name := fmt.Sprintf("dir/a new file with number %d", i)
		p.files[name] = text(name, 300*i)
		if err := vfs.WriteFile(v, name, []byte(p.files[name]), 0o666); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := v.Remove("other/x"); err != nil {
		p.t.Fatal(err)
	}
	delete(p.files, "other/x")
	if err := v.Close(); err != nil {
		p.t.Fatal(err)
	}
	if n := p.intact(); n != len(p.files) {
		p.t.Fatalf("after changes %d of %d files are there", n, len(p.files))
	}
}

func TestActiveFAT(t *testing.T) {
	p := newPatient(t, 32)
	p.put(40, 0x81, 0) // BPB_ExtFlags: not mirrored, the second one counts
	p.put(int64(p.info.ReservedSectors)*512, bytes.Repeat([]byte{0xAB}, 512)...)
	first := p.get(int64(p.info.ReservedSectors)*512, int(p.info.FATSectors)*512)
	p.exercise()
	if !bytes.Equal(first, p.get(int64(p.info.ReservedSectors)*512, int(p.info.FATSectors)*512)) {
		t.Error("the FAT that is not active was written")
	}
	r, err := fat.Check(t.Context(), p.dev, fat.CheckOptions{})
	if err != nil || strings.Contains(findings(r), "fats-differ") || strings.Contains(findings(r), "orphan") {
		t.Fatalf("%v\n%s", err, findings(r))
	}
}

func TestRootElsewhere(t *testing.T) {
	p := newPatient(t, 32)
	// Move the root directory to the end of the volume, in two pieces.
	a, b := p.info.Clusters-10, p.info.Clusters-20
	p.put(p.cluster(a), p.get(p.cluster(2), 512)...)
	p.put(p.cluster(b), make([]byte, 512)...)
	p.chain(a, b, b, 0x0FFFFFF8, 2, 0)
	for _, boot := range []int64{0, 6 * 512} {
		p.put(boot+44, byte(a), byte(a>>8), byte(a>>16), 0)
	}
	p.info.RootCluster = a
	p.exercise()
	fsck(t, p.dev)
}

func TestOddBootSectors(t *testing.T) {
	for name, change := range map[string]func(*patient){
		"no signature":    func(p *patient) { p.put(510, 0, 0) },
		"odd media byte":  func(p *patient) { p.put(21, 0xF5) },
		"no label field":  func(p *patient) { p.put(38, 0x28) },
		"old boot sector": func(p *patient) { p.put(38, bytes.Repeat([]byte{0x90}, 450)...) },
		"both counts":     func(p *patient) { p.put(32, p.get(19, 2)...) },
		"E9 jump":         func(p *patient) { p.put(0, 0xE9, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t, 12)
			change(p)
			code := p.get(62, 448)
			p.exercise()
			if !bytes.Equal(code, p.get(62, 448)) {
				t.Error("boot code was changed")
			}
		})
	}
}

func TestFSInfoLies(t *testing.T) {
	for _, lie := range [][]byte{{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, {1, 0, 0, 0, 0xF0, 0xFF, 0xFF, 0x0F}, {0, 0, 0, 0, 2, 0, 0, 0}} {
		p := newPatient(t, 32)
		p.put(512+488, lie...)
		v := mount(t, p.dev, fat.Options{})
		u, err := v.Usage()
		if err != nil || u.FreeBytes < 30<<20 || u.FreeBytes > u.TotalBytes {
			t.Fatalf("%+v, %v", u, err)
		}
		v.Close()
		p.exercise()
		fsck(t, p.dev)
	}
}

// TestDOS1Floppy mounts a floppy whose boot sector describes nothing.
func TestDOS1Floppy(t *testing.T) {
	dev := format(t, 320<<10, fat.FormatOptions{FloppyKiB: 320})
	if _, err := dev.WriteAt(make([]byte, 512), 0); err != nil {
		t.Fatal(err)
	}
	v := mount(t, dev, fat.Options{})
	if err := vfs.WriteFile(v, "AUTOEXEC.BAT", []byte("ver\r\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(image(t, dev)[:512], make([]byte, 512)) {
		t.Error("the boot sector was written")
	}
	v = mount(t, dev, fat.Options{})
	if got, err := fs.ReadFile(v, "autoexec.bat"); err != nil || string(got) != "ver\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestMtools has mtools write what we read, and read what we wrote.
func TestMtools(t *testing.T) {
	mcopy, mmd, mdel, mren := tool(t, "mcopy"), tool(t, "mmd"), tool(t, "mdel"), tool(t, "mren")
	for _, typ := range []int{12, 16, 32} {
		p := newPatient(t, typ)
		path := save(t, p.dev)
		src := filepath.Join(t.TempDir(), "src")
		content := []byte(text("from mtools", 12_345))
		if err := os.WriteFile(src, content, 0o666); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{mcopy, "-i", path, src, "::/dir/A name that mtools wrote.dat"}, {mmd, "-i", path, "::/made by mtools"},
			{mcopy, "-i", path, src, "::/made by mtools/X"}, {mdel, "-i", path, "::/a"}, {mren, "-i", path, "::/b", "::/renamed by mtools"},
		} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p.dev = mem.FromBytes(raw)
		delete(p.files, "a")
		p.files["renamed by mtools"] = p.files["b"]
		delete(p.files, "b")
		p.files["dir/A name that mtools wrote.dat"], p.files["made by mtools/X"] = string(content), string(content)
		check(t, p.dev)
		p.exercise()
		fsck(t, p.dev)
		path = save(t, p.dev)
		for name, want := range p.files {
			got, err := exec.Command(mcopy, "-i", path, "::/"+name, "-").Output()
			if err != nil || string(got) != want {
				t.Errorf("mcopy %s: %d bytes, %v; want %d", name, len(got), err, len(want))
			}
		}
	}
}

// TestFull fills volumes and directories, which gives the right error and
// changes nothing.
func TestFull(t *testing.T) {
	dev := format(t, 200<<10, fat.FormatOptions{Type: 12, ClusterBytes: 512, RootEntries: 16})
	v := mount(t, dev, fat.Options{WriteBack: -1, Now: fixed})
	if err := vfs.WriteFile(v, "big", make([]byte, 150_000), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	f, err := v.OpenFile("big", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := image(t, dev)
	for what, err := range map[string]error{
		"write":    second(f.WriteAt(make([]byte, 100_000), 150_000)),
		"truncate": f.Truncate(300_000),
		"reserve":  vfs.Reserve(f, 300_000),
	} {
		if !errors.Is(err, diskerr.ErrNoSpace) {
			t.Errorf("%s on a full volume: %v", what, err)
		}
	}
	f.Close()
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, image(t, dev)) {
		t.Error("failed writes changed the volume")
	}
	for i := 0; ; i++ {
		err := vfs.WriteFile(v, fmt.Sprintf("F%d", i), nil, 0o666)
		if err == nil {
			continue
		}
		var full *diskerr.NoSpaceError
		if !errors.As(err, &full) || full.What != "root directory" || i != 15 {
			t.Errorf("file %d in a full root directory: %v", i, err)
		}
		break
	}
	if err := v.Rename("F3", "G3"); err != nil {
		t.Errorf("rename in a full root directory: %v", err)
	}
	if err := vfs.WriteFile(v, "F99", nil, 0o666); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("create in a full root directory: %v", err)
	}
	if err := v.Remove("big"); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(v, "big2", make([]byte, 150_000), 0o666); err != nil {
		t.Errorf("what was removed is not free: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	fsck(t, dev)
}

func second(_ int, err error) error { return err }

func TestReadOnly(t *testing.T) {
	p := newPatient(t, 16)
	before := image(t, p.dev)
	for name, v := range map[string]*fat.Volume{
		"option": mount(t, p.dev, fat.Options{ReadOnly: true}),
		"device": mount(t, block.ReadOnly(p.dev), fat.Options{}),
	} {
		for what, err := range map[string]error{
			"write": vfs.WriteFile(v, "a", nil, 0o666), "mkdir": v.Mkdir("x", 0o777), "remove": v.Remove("a"),
			"rename": v.Rename("a", "x"), "chtimes": v.Chtimes("a", vfs.Times{Modified: time.Now()}),
			"label": v.SetLabel("X"), "serial": v.SetSerial(1), "attr": v.SetAttr("a", vfs.AttrHidden, 0),
		} {
			if !errors.Is(err, diskerr.ErrReadOnly) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if got, err := fs.ReadFile(v, "a"); err != nil || string(got) != p.files["a"] {
			t.Errorf("%s: reading gives %d bytes, %v", name, len(got), err)
		}
		if err := errors.Join(v.Sync(), v.Close()); err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(before, image(t, p.dev)) {
		t.Error("a read-only volume changed")
	}
}

func TestLabelAndSerial(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		p := newPatient(t, typ)
		v := mount(t, p.dev, fat.Options{})
		for _, label := range []string{"other", "", "again"} {
			if err := v.SetLabel(label); err != nil {
				t.Fatal(err)
			}
			if i, err := v.Info(); err != nil || i.Label != strings.ToUpper(label) {
				t.Errorf("label is %q, %v", i.Label, err)
			}
		}
		if err := v.SetSerial(0x12345678); err != nil {
			t.Fatal(err)
		}
		if err := v.SetLabel("a/b"); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("an illegal label: %v", err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		fsck(t, p.dev)
		i, err := mount(t, p.dev, fat.Options{ReadOnly: true}).Info()
		if err != nil || i.Serial != 0x12345678 || i.Label != "AGAIN" {
			t.Errorf("%+v, %v", i, err)
		}
	}
}

// TestVeryFragmented makes a file of more pieces than are remembered.
func TestVeryFragmented(t *testing.T) {
	dev := format(t, 60<<20, fat.FormatOptions{Type: 32, ClusterBytes: 512})
	v := mount(t, dev, fat.Options{WriteBack: -1})
	const pieces = 40_000
	for i := range 2 * pieces {
		if i%1000 == 0 {
			if err := v.Mkdir(fmt.Sprint("d", i/1000), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := vfs.WriteFile(v, fmt.Sprintf("d%d/%d", i/1000, i), []byte{1}, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < 2*pieces; i += 2 {
		if err := v.Remove(fmt.Sprintf("d%d/%d", i/1000, i)); err != nil {
			t.Fatal(err)
		}
	}
	u, err := v.Usage()
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), int(u.FreeBytes-10*u.BlockBytes)/16)
	if err := vfs.WriteFile(v, "scattered", want, 0o666); err != nil {
		t.Fatal(err)
	}
	compare := func(n int) {
		t.Helper()
		got, err := fs.ReadFile(v, "scattered")
		if err != nil || !bytes.Equal(got, want[:n]) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
	}
	compare(len(want))
	f, err := v.OpenFile("scattered", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{len(want) - 100_000, len(want)/2 + 1, 10_000_000, 700} {
		if err := f.Truncate(int64(n)); err != nil {
			t.Fatal(err)
		}
		compare(n)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	fsck(t, dev)
}

// TestCopyFromHost copies files of sizes around the limits of the ways to copy.
func TestCopyFromHost(t *testing.T) {
	src, err := host.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	sizes := []int{0, 1, 255 << 10, 256 << 10, 256<<10 + 1, 2 << 20, 2<<20 + 333, 40<<20 + 5}
	for _, n := range sizes {
		if err := vfs.WriteFile(src, fmt.Sprint(n), []byte(text(fmt.Sprint(n), n)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	dev, err := file.Create(filepath.Join(t.TempDir(), "img"), 100<<20, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if _, err := fat.Format(dev, fat.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	v := mount(t, dev, fat.Options{})
	for range 2 { // the second time over the first
		if _, err := vfs.Copy(t.Context(), v, ".", src, ".", vfs.CopyOptions{Preserve: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range sizes {
		if got, err := fs.ReadFile(v, fmt.Sprint(n)); err != nil || string(got) != text(fmt.Sprint(n), n) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	fsck(t, dev)
}

// TestManyPathsToOneDirectory makes directories that each lead twice to the
// next: a tree of 2^20 paths in 20 clusters.
func TestManyPathsToOneDirectory(t *testing.T) {
	p := newPatient(t, 16)
	const depth = 20
	first := p.info.Clusters - depth - 2
	entry := func(name string, attr byte, c uint32) []byte {
		e := make([]byte, 32)
		copy(e, name)
		e[11], e[26], e[27] = attr, byte(c), byte(c>>8)
		return e
	}
	for i := range uint32(depth) {
		up := first + i - 1
		if i == 0 {
			up = 0
		}
		dir := slices.Concat(entry(".          ", 0x10, first+i), entry("..         ", 0x10, up))
		if i < depth-1 {
			dir = append(dir, entry("A          ", 0x10, first+i+1)...)
			dir = append(dir, entry("B          ", 0x10, first+i+1)...)
		}
		p.put(p.cluster(first+i), append(dir, make([]byte, 512-len(dir))...)...)
		p.chain(first+i, 0xFFFF)
	}
	p.put(p.slot(0, "ALONGF~1TXT")+32, entry("DEEP       ", 0x10, first)...)
	v := mount(t, p.dev, fat.Options{ReadOnly: true})
	seen := 0
	if err := fs.WalkDir(v, "DEEP", func(string, fs.DirEntry, error) error {
		if seen++; seen > 1<<depth {
			return fs.SkipAll
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if seen <= depth || seen >= 1<<depth {
		t.Fatalf("the walk meets %d names", seen)
	}
	p.repair()
	fsck(t, p.dev)
}

// TestWriteBack waits for a commit that nobody asked for.
func TestWriteBack(t *testing.T) {
	p := newPatient(t, 16)
	v := mount(t, p.dev, fat.Options{WriteBack: time.Millisecond})
	if err := vfs.WriteFile(v, "waits", []byte("a while"), 0o666); err != nil {
		t.Fatal(err)
	}
	for {
		other, err := fat.Open(p.dev, fat.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		got, err := fs.ReadFile(other, "waits")
		other.Close()
		if err == nil && string(got) == "a while" {
			return
		}
		time.Sleep(time.Millisecond) // the test's own time limit ends it
	}
}
